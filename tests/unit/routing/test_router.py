"""AIRouter on a real panel of scripted sources."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jackfield.core.errors import BadRequest, NoCapableProvider, NotSupported
from jackfield.money.prices import PriceTable
from jackfield.providers.registry import load_registrar
from jackfield.routing.router import AIRouter
from jackfield.routing.select import ProviderSelector
from jackfield.routing.use_cases import UseCases
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.workbench import Toolbox
from jackfield.store.secrets import SecretStore
from jackfield.transport.egress import EgressGate


@pytest.fixture
async def router(tmp_path: Path) -> AsyncIterator[AIRouter]:
    gate = EgressGate()
    secrets = SecretStore(tmp_path, {}, use_keyring=False)
    tools = Toolbox.fresh(gate, secrets)
    panel = ProviderRegistry(load_registrar(plugins=False), tools, secrets=secrets, gate=gate, size=4)
    for slot, model in enumerate(["poet", "qwen3-coder-30b"]):
        await panel.plug(slot, "scripted", {"models": [model], "script": [{"text": f"{model} answers"}]}, model=model)
    yield AIRouter(ProviderSelector(panel, gate, PriceTable.load()), UseCases.load({"rare": ["bittensor"]}))
    await panel.aclose()
    await tools.aclose()


@pytest.mark.behaviour("SLOT-33")
async def test_a_request_goes_where_its_use_case_says(router: AIRouter) -> None:
    assert "qwen3-coder-30b" in await router.route_request("sort a list", "coding")
    assert "poet" in await router.route_request("a poem")
    selection = router.select("coding")
    assert [each.slot for each in selection.order] == [1, 0]
    assert selection.model == "qwen3-coder-30b"
    with pytest.raises(BadRequest, match="no use case 'cooking'"):
        await router.route_request("soup", "cooking")
    with pytest.raises(NoCapableProvider, match="it is none of bittensor"):
        router.pick("rare")


@pytest.mark.behaviour("PARM-15")
async def test_a_task_is_answered_as_the_prompt_is(router: AIRouter) -> None:
    adapter, _ = router.pick()
    plain = await adapter.complete("x")
    tasked = await router.route("text-generation", "x")
    assert (tasked.text, tasked.model, tasked.finish_reason) == (plain.text, plain.model, plain.finish_reason)
    assert (await router.route("chat", "x", model="qwen3-coder-30b")).model == "qwen3-coder-30b"
    assert (await router.route("chat", "x", use_case="coding")).model == "qwen3-coder-30b"
    with pytest.raises(NotSupported, match="no text for an answer"):
        await router.route("embedding", "x")
