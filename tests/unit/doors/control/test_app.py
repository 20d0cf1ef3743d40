"""The control door over its own HTTP: every route, every refusal, and no secret in any answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx2
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.core.contracts import ProbeResult, Provider, ProviderCard, ProviderInfo, ProviderTools
from jackfield.core.errors import BadRequest
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReported
from jackfield.core.profiles import ModelProfile
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.doors.control.app import create_control_app
from jackfield.doors.control.bodies import CloneBody, InvokeBody, MutateBody, PlugBody, RestoreBody, SwapBody
from jackfield.doors.control.panel import ControlPanel
from jackfield.gateway.steps.resolve import Resolve
from jackfield.providers.registry import Registrar
from jackfield.routing.manager import BackendManager
from jackfield.slots.catalogue import Catalogue
from jackfield.slots.discovery import Discovery
from jackfield.slots.registry import ProviderRegistry
from jackfield.store.consents import ConsentRepository
from jackfield.store.engine import Database
from jackfield.store.journal import Journal
from jackfield.store.ledger import LedgerRepository, LedgerRow
from jackfield.store.secrets import SecretStore
from jackfield.store.slots import SlotRepository
from jackfield.transport.egress import EgressGate

CANARY = "canary-hunter2-0123456789"
V1 = "/control/v1"


class Echo:
    """Answers with the prompt. Config: `host` (where it says prompts go), `is_down`, `api_key`."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="echo", type="local", display_name="Echo", aliases=("parrot",), config_keys=("host", "is_down", "api_key", "model")
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        hosts = (config["host"],) if "host" in config else ()
        self.info = ProviderInfo("echo", "api" if hosts else "local", "Echo", hosts=hosts, simulated=True)
        self.is_down = config.get("is_down", False)
        self.asked = asyncio.Event()
        self.stopped = asyncio.Event()

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        for key in config:
            if key not in cls.card.config_keys:
                raise BadRequest(f"unknown key {key!r}", param=key)
        return cls(config)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        text = request.messages[-1].text
        if text == "hang":
            self.asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped.set()
        yield self._events(text)

    async def _events(self, text: str) -> AsyncIterator[Event]:
        for event in (
            Started("echo-1"),
            PartStarted(0, "text"),
            TextDelta(0, text),
            PartEnded(0),
            UsageReported(Usage(1, 1)),
            Finished("stop"),
        ):
            yield event

    async def list_models(self) -> tuple[ModelProfile, ...]:
        return (ModelProfile("echo-1"),)

    async def probe(self) -> ProbeResult:
        return ProbeResult(not self.is_down, 0.001, "start it" if self.is_down else "")

    async def aclose(self) -> None: ...


_satisfies: type[Provider] = Echo


class Tools:
    http: Any = None
    web: Any = None
    models_dir: str | None = None
    environ: Mapping[str, str] = {}

    def __init__(self, secrets: SecretStore) -> None:
        self.secrets = secrets


class Looked:
    """Counts how often somebody looked around."""

    def __init__(self) -> None:
        self.looks = 0

    async def __call__(self) -> Discovery:
        self.looks += 1
        return Discovery()


class Door:
    """A control door over a real registry, and a client that speaks to it."""

    def __init__(self, panel: ControlPanel, folder: Path) -> None:
        self.panel = panel
        self.folder = folder
        self.app = create_control_app(panel)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url="http://127.0.0.1:7311", timeout=10)

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.call("GET", path, status=status)

    async def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        return await self.call("POST", path, body, status)

    async def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = await self.http.request(method, f"{V1}/{path}", json=body)
        assert answer.status_code == status, answer.text
        assert CANARY not in answer.text
        return answer.json()

    async def error(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = await self.http.request(method, f"{V1}/{path}", json=body)
        assert 400 <= answer.status_code < 500, answer.text
        found: dict[str, Any] = answer.json()["error"]
        assert found["message"]
        return {**found, "status": answer.status_code}


@asynccontextmanager
async def open_door(folder: Path, **given: Any) -> AsyncIterator[Door]:
    database = Database(folder / "jackfield.db")
    consents = ConsentRepository(database)
    journal = Journal(folder / "journal.jsonl")
    secrets = SecretStore(folder / "secrets", {"ECHO_KEY": CANARY}, use_keyring=False)
    registrar = Registrar()
    registrar.register(Echo)
    gate = EgressGate()
    registry = ProviderRegistry(
        registrar,
        Tools(secrets),
        SlotRepository(database),
        secrets=secrets,
        gate=gate,
        consents=consents,
        size=8,
        clock=lambda: 1000.0,
    )
    catalogue = Catalogue(registry)
    backends = BackendManager(clock=lambda: 50.0, wall=lambda: 1000.0, gate=gate)
    resolve = Resolve(registry, catalogue, backends, gate, fallbacks={"echo-1": ("slot-7",)})
    parts: dict[str, Any] = {
        "registry": registry,
        "registrar": registrar,
        "catalogue": catalogue,
        "backends": backends,
        "explain": resolve.explain,
        "gate": gate,
        "secrets": secrets,
        "discover": Looked(),
        "clock": lambda: 1000.0,
        "ledger": LedgerRepository(database),
        "journal": journal,
        "consents": consents,
    }
    door = Door(ControlPanel(**{**parts, **given}), folder)
    try:
        yield door
    finally:
        await door.http.aclose()
        await catalogue.aclose()
        await registry.aclose()
        journal.close()
        database.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def served(door: Door) -> AsyncIterator[str]:
    """The door on a real socket; gives its address."""
    server = uvicorn.Server(uvicorn.Config(door.app, host="127.0.0.1", port=0, lifespan="off", log_config=None, ws="none"))
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(5):
            while not server.started:
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}{V1}"
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait_for(serving, 10)


@pytest.mark.behaviour("SLOT-02", "SLOT-05")
async def test_shows_every_slot_empty_ones_too(door: Door) -> None:
    await door.post("slots/2/plug", {"provider": "echo", "model": "echo-1", "name": "bird"})
    panel = await door.get("slots")
    assert (panel["size"], panel["plugged"], len(panel["slots"])) == (8, 1, 8)
    assert panel["slots"][0]["state"] == "empty"
    assert panel["slots"][0]["provider"] is None
    assert {int(slot["number"]): slot["provider"] for slot in panel["slots"] if slot["provider"]} == door.panel.registry.active
    slot = await door.get("slots/2")
    assert slot == panel["slots"][2]
    assert (slot["model_id"], slot["name"], slot["state"], slot["provider"], slot["model"]) == (
        "slot-2",
        "bird",
        "plugged",
        "echo",
        "echo-1",
    )
    assert slot["live"]["standing"]["is_ready"] is True
    assert slot["live"]["is_simulated"] is True


@pytest.mark.behaviour("CTRL-01")
async def test_every_operation_shows_the_slots_as_they_are_after_it(door: Door) -> None:
    plugged = await door.post("slots/0/plug", {"provider": "parrot", "generation": {"temperature": 0.5}, "role": "chat"})
    assert (plugged["provider"], plugged["generation"], plugged["role"]) == ("echo", {"temperature": 0.5}, "chat")
    assert (await door.post("slots/0/rename", {"name": "polly"}))["name"] == "polly"

    clones = await door.post("slots/0/clone", {"count": 2})
    assert [(slot["number"], slot["name"]) for slot in clones["slots"]] == [(1, "polly_clone_1"), (2, "polly_clone_2")]
    assert [slot["number"] for slot in (await door.post("slots/0/clone"))["slots"]] == [3]

    mutated = await door.post("slots/1/mutate", {"settings": {"temperature": 0.25}})
    assert mutated["changed"] == {"temperature": [0.5, 0.25]}
    assert mutated["slot"]["generation"] == {"temperature": 0.25}
    noisy = await door.post("slots/1/mutate", {"rate": 1.0, "scale": 0.3, "seed": 7})
    assert noisy["changed"]
    assert (await door.post("slots/1/mutate"))["slot"]["number"] == 1

    swapped = await door.post("slots/swap", {"a": 0, "b": 5})
    assert [(slot["number"], slot["state"], slot["name"]) for slot in swapped["slots"]] == [
        (0, "empty", "slot_0"),
        (5, "plugged", "polly"),
    ]
    undone = await door.post("slots/undo")
    assert undone["undone"] == "swap"
    assert (await door.get("slots/0"))["name"] == "polly"

    grabbed = await door.post("slots/0/grab")
    assert (await door.post("slots/0/unplug"))["unplugged"] is True
    assert (await door.post("slots/0/unplug"))["unplugged"] is False
    restored = await door.post("slots/restore", {"key": grabbed["key"], "slot": 6})
    assert (restored["number"], restored["name"], restored["generation"]) == (6, "polly", {"temperature": 0.5})
    assert (await door.error("POST", "slots/restore", {"key": "nothing"}))["status"] == 404


async def test_a_source_that_is_down_is_refused_unless_it_may_be(door: Door) -> None:
    down = {"provider": "echo", "config": {"is_down": True}}
    refused = await door.post("slots/0/plug", down, status=502)
    assert refused["error"]["code"] == "unavailable"
    assert "start it" in refused["error"]["message"]
    assert (await door.get("slots/0"))["state"] == "empty"
    shown = await door.post("slots/0/plug", {**down, "require_ready": False})
    assert shown["problem"] == "start it"
    status = await door.get("providers/status")
    assert status["slots"][0]["is_ready"] is False
    assert status["slots"][0]["standing"]["detail"] == "start it"


async def test_invokes_a_slot(door: Door) -> None:
    await door.post("slots/1/plug", {"provider": "echo"})
    assert (await door.post("slots/1/invoke", {"text": "hello"}))["output"] == "hello"
    said = [{"role": "user", "content": "from messages"}]
    assert (await door.post("slots/1/invoke", {"messages": said, "max_tokens": 5}))["output"] == "from messages"
    assert (await door.error("POST", "slots/1/invoke", {"text": "x", "mode": "sing"}))["param"] == "mode"
    assert (await door.error("POST", "slots/2/invoke", {"text": "x"}))["code"] == "slot_empty"


async def test_a_client_who_leaves_stops_what_it_invoked(door: Door) -> None:
    await door.post("slots/1/plug", {"provider": "echo"})
    binding = door.panel.registry.slot(1).binding
    assert binding is not None
    echo = binding.provider
    assert isinstance(echo, Echo)
    async with served(door) as address, httpx2.AsyncClient() as client:
        asking = asyncio.create_task(client.post(f"{address}/slots/1/invoke", json={"text": "hang"}))
        await asyncio.wait_for(echo.asked.wait(), 5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.wait_for(echo.stopped.wait(), 1)


SLOT_CALLS = [
    ("GET", "slots/{}", None),
    ("POST", "slots/{}/plug", {"provider": "echo"}),
    ("POST", "slots/{}/unplug", None),
    ("POST", "slots/{}/clone", None),
    ("POST", "slots/{}/mutate", None),
    ("POST", "slots/{}/rename", {"name": "x"}),
    ("POST", "slots/{}/grab", None),
    ("POST", "slots/{}/invoke", {"text": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), SLOT_CALLS)
async def test_a_slot_that_is_not_there_is_said_to_be_out_of_range(door: Door, method: str, path: str, body: Any) -> None:
    for number in ("-1", "8", "1023", "1024", "99999999"):
        error = await door.error(method, path.format(number), body)
        assert (error["status"], error["code"], error["param"]) == (400, "slot_out_of_range", "slot")
    error = await door.error(method, path.format("first"), body)
    assert (error["status"], error["param"]) == (400, "slot")


async def test_swap_and_restore_check_their_numbers_too(door: Door) -> None:
    await door.post("slots/0/plug", {"provider": "echo"})
    key = (await door.post("slots/0/grab"))["key"]
    for error in (
        await door.error("POST", "slots/swap", {"a": 0, "b": -1}),
        await door.error("POST", "slots/swap", {"a": 10**30, "b": 0}),
        await door.error("POST", "slots/restore", {"key": key, "slot": -1}),
    ):
        assert (error["status"], error["code"]) == (400, "slot_out_of_range")


@pytest.mark.behaviour("CONF-18")
async def test_a_misspelt_name_is_told_which_was_meant(door: Door) -> None:
    error = await door.error("POST", "slots/0/plug", {"provder": "echo"})
    assert (error["status"], error["param"]) == (400, "provder")
    assert "did you mean 'provider'?" in error["message"]
    assert "did you mean 'echo'?" in (await door.error("POST", "slots/0/plug", {"provider": "ecko"}))["message"]
    assert "did you mean 'limit'?" in (await door.error("GET", "ledger?limt=3"))["message"]
    assert (await door.error("GET", "ledger?limit=many"))["param"] == "limit"
    assert (await door.error("GET", "ledger?limit=-1"))["param"] == "limit"
    assert (await door.error("POST", "slots/0/plug"))["message"] == "this call needs a JSON body"
    assert (await door.error("POST", "slots/0/clone", {"count": 0}))["param"] == "count"


async def test_what_is_not_there_and_what_is_not_allowed(door: Door) -> None:
    assert (await door.error("GET", "slotz"))["status"] == 404
    assert (await door.error("PUT", "slots/0"))["status"] == 405
    assert (await door.error("POST", "slots/undo"))["status"] == 409
    too_much = await door.error("POST", "slots/0/rename", {"name": "x" * 2_000_000})
    assert (too_much["status"], too_much["code"]) == (413, "body_too_large")


@pytest.mark.behaviour("SLOT-04", "SEC-04")
async def test_a_literal_key_is_put_away_and_shown_nowhere(door: Door) -> None:
    shown = await door.post("slots/0/plug", {"provider": "echo", "config": {"api_key": CANARY}})
    assert shown["config"]["api_key"].startswith("file:")
    await door.post("slots/1/plug", {"provider": "echo", "config": {"api_key": "env:ECHO_KEY"}})
    door.panel.secrets.resolve("env:ECHO_KEY")
    for path in (
        "slots",
        "slots/0",
        "slots/1",
        "providers",
        "providers/echo",
        "providers/status",
        "models",
        "settings",
        "ledger",
    ):
        await door.get(path)
    assert (await door.get("providers/echo"))["config"] == {"api_key": "env:ECHO_KEY"}
    error = await door.error("POST", "slots/0/plug", {"provider": "echo", "config": {"base_url": f"http://u:{CANARY}@h/v1"}})
    assert CANARY not in json.dumps(error)
    for file in door.folder.rglob("*"):
        assert not file.is_file() or CANARY.encode() not in file.read_bytes(), file


async def test_settings_are_shown_without_secrets(tmp_path: Path) -> None:
    facts = {"mode": "local_only", "server": {"api_key": "a-literal-one", "port": 1}}
    async with open_door(tmp_path, settings=lambda: facts) as door:
        assert await door.get("settings") == {"mode": "local_only", "server": {"api_key": "[redacted]", "port": 1}}


@pytest.mark.behaviour("CTRL-04")
async def test_a_consent_is_asked_for_listed_and_taken_back(door: Door) -> None:
    away = {"provider": "echo", "config": {"host": "api.example.com:443"}}
    refused = await door.error("POST", "slots/0/plug", away)
    assert (refused["status"], refused["code"]) == (403, "mode_forbids")
    assert "api.example.com" in refused["message"]
    assert await door.get("consents") == {"mode": "local_only", "consents": {}}

    await door.post("slots/0/plug", {**away, "consent": True})
    assert await door.get("consents") == {"mode": "burst", "consents": {"echo": ["api.example.com"]}}
    assert (await door.get("providers/echo"))["is_consented"] is True

    assert (await door.call("DELETE", "consents/parrot"))["consents"] == {}
    assert door.panel.consents is not None
    assert ConsentRepository.load(door.panel.consents) == {}  # type: ignore[arg-type]
    assert (await door.error("DELETE", "consents/echo"))["status"] == 404
    assert (await door.error("DELETE", "consents/nobody"))["code"] == "provider_not_found"


@pytest.mark.behaviour("SLOT-07")
async def test_providers_are_listed_once_with_what_they_can_do(door: Door) -> None:
    await door.post("slots/3/plug", {"provider": "echo"})
    listed = await door.get("providers")
    assert [provider["card"]["id"] for provider in listed["providers"]] == ["echo"]
    assert listed["providers"][0]["card"]["capabilities"]["streaming"] is True
    assert listed["providers"][0]["slots"] == [3]
    assert await door.get("providers/Parrot") == listed["providers"][0]
    assert "echo" in (await door.error("GET", "providers/ecko"))["message"]


async def test_models_of_all_slots(door: Door) -> None:
    await door.post("slots/3/plug", {"provider": "echo"})
    models = (await door.get("models"))["models"]
    assert {model["slot"] for model in models} == {3}
    assert "slot-3" in {model["id"] for model in models}


async def test_discovery_is_remembered_until_it_is_refreshed(door: Door) -> None:
    found = await door.get("discovery")
    assert found["at"] == 1000.0
    await door.get("discovery")
    assert door.panel.discover.looks == 1  # type: ignore[attr-defined]
    await door.get("discovery?refresh=1")
    assert door.panel.discover.looks == 2  # type: ignore[attr-defined]
    assert (await door.error("GET", "discovery?refresh=perhaps"))["param"] == "refresh"


async def test_the_ledger_shows_what_the_journal_has(door: Door) -> None:
    assert door.panel.journal is not None
    for number in range(3):
        row = LedgerRow(f"r{number}", float(number), 0, "echo", "echo-1", 2, 3, 0, 0, 0, 0.1, None, False, "ok", 200)
        door.panel.journal.append(row)
    ledger = await door.get("ledger?limit=2")
    assert [row["request_id"] for row in ledger["rows"]] == ["r2", "r1"]
    assert (ledger["totals"]["calls"], ledger["totals"]["completion_tokens"], ledger["lost"]) == (3, 9, 0)
    assert (await door.get("ledger?limit=0"))["rows"] == []


async def test_no_ledger_says_so(tmp_path: Path) -> None:
    async with open_door(tmp_path, ledger=None, journal=None) as door:
        assert (await door.error("GET", "ledger"))["code"] == "no_ledger"


@pytest.mark.behaviour("CTRL-03")
async def test_tells_events_to_whoever_listens_and_stops_when_they_leave(door: Door) -> None:
    async with served(door) as address, httpx2.AsyncClient(timeout=5) as client:
        async with client.stream("GET", f"{address}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            assert await anext(lines) == ": listening"
            await client.post(f"{address}/slots/4/plug", json={"provider": "echo"})
            await client.post(f"{address}/slots/4/rename", json={"name": "tweety"})
            heard: list[dict[str, Any]] = []
            async with asyncio.timeout(5):
                while len(heard) < 2:
                    line = await anext(lines)
                    if line.startswith("data: "):
                        heard.append(json.loads(line[6:]))
            assert [(event["kind"], event["slots"], event["actor"]) for event in heard] == [
                ("plug", [4], "control"),
                ("rename", [4], "control"),
            ]
        async with asyncio.timeout(5):
            while door.panel.registry._feed._subscriptions:
                await asyncio.sleep(0.01)


async def test_too_many_listeners_are_told_before_they_wait(tmp_path: Path) -> None:
    async with open_door(tmp_path, max_listeners=0) as door:
        answer = await door.http.get(f"{V1}/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error"]["code"] == "overloaded"


@pytest.mark.behaviour("CTRL-05")
async def test_describes_every_route_and_every_body(door: Door) -> None:
    described = await door.get("schema/openapi.json")
    calls = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert len(calls) == 29
    assert all(path.startswith(V1) for _, path in calls)
    bodies = {name for name in described["components"]["schemas"] if name.endswith("Body")}
    assert {"PlugBody", "CloneBody", "MutateBody", "SwapBody", "RenameBody", "RestoreBody", "InvokeBody"} <= bodies
    fields = described["components"]["schemas"]["PlugBody"]["properties"]
    assert set(fields) >= {"provider", "config", "model", "name", "consent", "require_ready"}
    refused = described["paths"][f"{V1}/slots/{{slot}}/plug"]["post"]["responses"]["400"]
    assert refused["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}
    statuses = {path: set(each) - {"200"} for path, each in _answers(described, "post").items()}
    assert statuses[f"{V1}/slots/{{slot}}/rename"] == {"400", "401", "403", "404", "409", "413", "503"}
    assert statuses[f"{V1}/slots/{{slot}}/plug"] - statuses[f"{V1}/slots/{{slot}}/rename"] == {"502", "504"}
    assert set(_answers(described, "get")[f"{V1}/slots"]) == {"200", "400", "401", "403"}


def _answers(described: Any, method: str) -> dict[str, Any]:
    return {path: calls[method]["responses"] for path, calls in described["paths"].items() if method in calls}


async def test_has_no_cors_and_no_pages(door: Door) -> None:
    answer = await door.http.options(
        f"{V1}/slots", headers={"origin": "http://evil.example", "access-control-request-method": "POST"}
    )
    assert not [name for name in answer.headers if name.startswith("access-control")]
    for page in ("schema/swagger", "schema/redoc", "schema/elements", "schema/rapidoc"):
        assert (await door.http.get(f"{V1}/{page}")).status_code == 404


async def test_a_fault_of_ours_tells_nothing_of_the_inside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> dict[str, Any]:
        raise RuntimeError(f"api_key={CANARY}")

    async with open_door(tmp_path, settings=broken) as door:
        answer = await door.http.get(f"{V1}/settings")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert CANARY not in answer.text
    assert "control door: GET /control/v1/settings failed" in caplog.text
    assert CANARY not in caplog.text


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["echo", "slot-0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    sorted(
        {
            name
            for body in (PlugBody, CloneBody, MutateBody, SwapBody, RestoreBody, InvokeBody)
            for name in body.__struct_fields__
        }
    )
)
BODIES = st.dictionaries(FIELDS, ANY_JSON, max_size=4).map(lambda body: json.dumps(body).encode()) | st.binary(max_size=30)
SEGMENTS = st.integers(-3, 10).map(str) | st.text("abc-.%/0 ", min_size=1, max_size=5)
OPERATIONS = ["plug", "unplug", "clone", "mutate", "rename", "grab", "invoke"]
PATHS = st.builds("slots/{}/{}".format, SEGMENTS, st.sampled_from(OPERATIONS)) | st.sampled_from(
    ["slots/swap", "slots/undo", "slots/restore", "slots/plug-model"]
)


@pytest.mark.behaviour("CTRL-02")
async def test_no_body_is_answered_with_a_fault_of_ours(tmp_path: Path) -> None:
    async with open_door(tmp_path) as door:
        await door.post("slots/0/plug", {"provider": "echo"})
        for path, body in _samples(300):
            answer = await door.http.post(f"{V1}/{path}", content=body, headers={"content-type": "application/json"})
            assert answer.status_code < 500 or answer.json()["error"]["code"] in UPSTREAM_CODES, (path, body, answer.text)
            if answer.status_code >= 400:
                assert answer.json()["error"]["message"]


UPSTREAM_CODES = {"unavailable", "timeout"}


def _samples(count: int) -> list[tuple[str, bytes]]:
    """Requests that hypothesis thinks of; the same ones each time."""
    found: list[tuple[str, bytes]] = []

    @settings(max_examples=count, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(PATHS, BODIES)
    def collect(path: str, body: bytes) -> None:
        found.append((path, body))

    collect()
    return found
