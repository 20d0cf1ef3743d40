"""Every provider that can be plugged, as the handle on its slot shows it: config looked at for nothing, calls, names, errors.

The sources are fakes (provider_cases.py). A provider that is registered and has no place there fails each of these.
"""

import importlib
import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jackfield.core import contracts
from jackfield.core.contracts import PROVIDER_KINDS, Provider
from jackfield.core.errors import BadRequest, JackfieldError, NotSupported
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest
from jackfield.providers.registry import load_registrar
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.handle import SlotAdapter
from jackfield.slots.registry import ProviderRegistry
from jackfield.store.secrets import SecretStore
from jackfield.testing.tools import FakeTools
from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import HttpClient
from provider_cases import CANARY, COMMANDS, Config, Stand, standing_of

pytest.importorskip("mcp")
pytest.importorskip("websockets")

REGISTRAR = load_registrar(plugins=False)
IDS = REGISTRAR.ids()
ONLY_AN_ANSWER_TELLS = {*COMMANDS, "litellm"}
"""Whether their key is good, these say only when they are asked something, which would cost."""
NO_PLACE = {"human", "litellm"}
"""Nothing has to be reached, or nothing can be without asking."""
NO_CHAT = {"tei"}
CALLS: list[type] = [
    kind for _, kind in inspect.getmembers(contracts, inspect.isclass) if getattr(kind, "_is_runtime_protocol", False)
]
"""Every protocol that a provider may keep, `Provider` among them."""


@pytest.fixture
def gate() -> EgressGate:
    return EgressGate()


@pytest.fixture
async def tools(gate: EgressGate) -> AsyncIterator[FakeTools]:
    http = HttpClient(gate)
    try:
        yield FakeTools(http, {"env:CANARY": CANARY})
    finally:
        await http.aclose()


@pytest.fixture
async def panel(gate: EgressGate, tools: FakeTools, tmp_path: Path) -> AsyncIterator[ProviderRegistry]:
    secrets = SecretStore(tmp_path / "secrets", {}, use_keyring=False)
    registry = ProviderRegistry(REGISTRAR, tools, secrets=secrets, gate=gate, size=2)
    yield registry
    await registry.aclose()


@pytest.fixture
async def stand(id_: str, tools: FakeTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    async with standing_of(id_)(id_, tools, tmp_path, monkeypatch) as standing:
        yield standing


async def plugged(panel: ProviderRegistry, id_: str, config: Config) -> SlotAdapter:
    await panel.plug(0, id_, config, require_ready=False)
    adapter = panel.get_adapter(0)
    assert isinstance(adapter, SlotAdapter)
    return adapter


@pytest.mark.behaviour("TEST-10")
@pytest.mark.parametrize("id_", IDS)
async def test_validate_config(id_: str, stand: Stand, panel: ProviderRegistry, caplog: pytest.LogCaptureFixture) -> None:
    assert await (await plugged(panel, id_, stand.config)).validate_config() is True
    assert (stand.refuse_key is None) == (id_ in ONLY_AN_ANSWER_TELLS or not _takes_a_key(id_))
    assert (stand.go_away is None) == (id_ in NO_PLACE)
    for step, word in ((stand.refuse_key, "key"), (stand.go_away, "")):
        if step is not None:
            caplog.clear()
            assert await (await plugged(panel, id_, await step())).validate_config() is False
            told = [record.message for record in caplog.records if "config is not valid" in record.message]
            assert told, "it does not say why"
            assert word in told[0]
    assert CANARY not in caplog.text
    assert stand.spent() == 0


@pytest.mark.behaviour("TEST-09")
@pytest.mark.parametrize("id_", IDS)
async def test_it_is_made_without_contact_and_tells_who_it_is(id_: str, stand: Stand, tools: FakeTools) -> None:
    kind = REGISTRAR.get(id_)
    assert inspect.ismodule(importlib.import_module(kind.__module__))
    provider = kind.create(stand.config, tools)
    assert isinstance(provider, Provider)
    assert (provider.info.id, kind.card.id) == (id_, id_)
    assert provider.info.type in PROVIDER_KINDS
    assert stand.spent() == 0
    await provider.aclose()
    await provider.aclose()


@pytest.mark.behaviour("TEST-09")
@pytest.mark.parametrize("id_", IDS)
async def test_its_calls_are_those_of_the_contract(id_: str, stand: Stand, tools: FakeTools) -> None:
    provider = REGISTRAR.get(id_).create(stand.config, tools)
    for call in CALLS:
        if isinstance(provider, call):
            for name, promised in _methods(call):
                _check_same(promised, inspect.signature(getattr(provider, name)), f"{id_}.{name}")
    assert isinstance(provider, Provider)
    await provider.aclose()


@pytest.mark.behaviour("TEST-09")
@pytest.mark.parametrize("id_", IDS)
async def test_a_wrong_config_and_an_absent_source_are_told(id_: str, stand: Stand, panel: ProviderRegistry) -> None:
    with pytest.raises(BadRequest) as wrong:
        await panel.plug(0, id_, {**stand.config, "x_nonsense": 1})
    assert "x_nonsense" in f"{wrong.value.param} {wrong.value}"
    assert wrong.value.provider == id_
    if stand.go_away is None:
        return
    adapter = await plugged(panel, id_, await stand.go_away())
    if id_ == "scripted":  # a script that says that it is down still plays
        return
    with pytest.raises(JackfieldError) as away:
        await adapter.forward("ping", timeout=5)
    assert away.value.provider == id_
    assert isinstance(away.value, NotSupported) == (id_ in NO_CHAT)


@pytest.mark.behaviour("ADPT-33")
@pytest.mark.parametrize("id_", [id_ for id_ in IDS if id_ not in {*NO_CHAT, *NO_PLACE, "scripted"}])
async def test_a_failure_is_told_with_a_remedy_and_is_in_the_log(
    id_: str, stand: Stand, tools: FakeTools, caplog: pytest.LogCaptureFixture
) -> None:
    assert stand.go_away is not None
    provider = REGISTRAR.get(id_).create(await stand.go_away(), tools)
    assert isinstance(provider, Provider)
    with caplog.at_level("INFO", "jackfield.providers"), pytest.raises(JackfieldError) as away:
        async with provider.open(ChatRequest((text_message("user", "ping"),), model=None)) as events:
            await fold(events)
    await provider.aclose()
    assert str(away.value).startswith(away.value.provider or "?")
    assert any(mark in away.value.message for mark in (";", ": ", "(")), f"no remedy in: {away.value}"
    logged = [record for record in caplog.records if hasattr(record, "operation")]
    assert logged, "it is not in the log"
    assert {"provider", "model", "operation"} <= set(vars(logged[-1]))


@pytest.mark.behaviour("TEST-09")
@pytest.mark.parametrize("id_", [id_ for id_ in IDS if id_ not in {*NO_CHAT, "human", "litellm", "local", "scripted"}])
async def test_settings_by_other_names_arrive_or_are_told(id_: str, stand: Stand, panel: ProviderRegistry) -> None:
    adapter = await plugged(panel, id_, stand.config)
    done = await adapter.ask("ping", max_new_tokens=37, temp=0.625, stop_sequences=["§"])
    sent = set(_leaves(msgspec.json.decode(stand.last_body()))) if stand.last_body is not None else set()
    told = " ".join(done.warnings)
    for name, value in (("max_tokens", 37), ("temperature", 0.625), ("stop", "§")):
        assert {value, str(value)} & sent or name in told, f"{name} went nowhere: {sent}, {told!r}"
    with pytest.raises(BadRequest, match="temperature"):
        await adapter.ask("ping", temperature="warm")


def _takes_a_key(id_: str) -> bool:
    card = REGISTRAR.get(id_).card
    return "api_key" in card.config_keys or id_ == "hybrid"


def _methods(call: type) -> Iterator[tuple[str, inspect.Signature]]:
    for name, method in vars(call).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            signature = inspect.signature(method)
            yield name, signature.replace(parameters=list(signature.parameters.values())[1:])


def _check_same(promised: inspect.Signature, made: inspect.Signature, where: str) -> None:
    """Callable as promised, by place and by name; more parameters are fine where they may be left out."""
    made.bind(*promised.parameters)
    made.bind(**dict.fromkeys(promised.parameters))
    names = list(made.parameters)[: len(promised.parameters)]
    assert names == list(promised.parameters), f"{where} is {made}, the contract says {promised}"


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def test_the_handle_has_every_call_of_the_adapter() -> None:
    assert {name for name in dir(InferenceProviderAdapter) if not name.startswith("_")} <= set(dir(SlotAdapter))
