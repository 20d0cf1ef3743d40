"""The manager of backends: registering, finding, choosing, following the panel, remembering."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jackfield.core.contracts import ProbeResult
from jackfield.core.errors import BadRequest, Conflict
from jackfield.core.profiles import Capabilities
from jackfield.routing.attempts import FailureKind
from jackfield.routing.backends import Backend, Outcome
from jackfield.routing.manager import BackendManager, ManagerConfig, get_backend_manager, share_backend_manager
from jackfield.routing.probing import LookSettings
from jackfield.store.health import StoredBackend
from jackfield.testing.fakes import FakeOpenAI

EMBEDS = Capabilities(supported_tasks=("text-embedding",))
QUIET = ManagerConfig(enable_health_checks=False)


class Ready:
    """Something that can be asked and says that it is well."""

    async def probe(self) -> ProbeResult:
        return ProbeResult(True, 0.001)


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def add(manager: BackendManager, backend_id: str, kind: str = "api", *, healthy: bool = True, **more: Any) -> Backend:
    assert manager.register_backend(backend_id, kind, backend_id.upper(), Ready(), **more)
    backend = manager.get_backend(backend_id)
    assert backend is not None
    if healthy:
        backend.end(Outcome(0.1), backend.begin())
    return backend


def chosen(manager: BackendManager, task: str = "text-generation", *given: Any, **more: Any) -> str | None:
    backend = manager.select_backend_for_task(task, *given, **more)
    return None if backend is None else backend.id


@pytest.fixture
def manager() -> BackendManager:
    return BackendManager()


@pytest.fixture
def nobody_shares() -> Iterator[None]:
    before = share_backend_manager(None)
    yield
    share_backend_manager(before)


@pytest.mark.behaviour("MGR-01")
@pytest.mark.usefixtures("nobody_shares")
def test_everybody_shares_one_manager_and_may_have_another() -> None:
    shared = get_backend_manager(ManagerConfig(load_balancing="least_loaded"))
    assert get_backend_manager() is shared
    assert get_backend_manager(ManagerConfig(load_balancing="least_loaded")) is shared
    with pytest.raises(Conflict, match="another config"):
        get_backend_manager(ManagerConfig())
    own = BackendManager(ManagerConfig())
    assert own is not shared
    add(own, "mine")
    assert shared.list_backends() == []
    assert share_backend_manager(own) is shared
    assert get_backend_manager() is own


def test_a_policy_that_there_is_not_is_refused_at_once() -> None:
    with pytest.raises(BadRequest, match="did you mean 'round_robin'"):
        BackendManager(ManagerConfig(load_balancing="round-robin"))


@pytest.mark.behaviour("MGR-02")
def test_registered_is_listed_once_and_unknown_until_seen(manager: BackendManager) -> None:
    assert manager.list_backends() == []
    given = {"instance": Ready(), "capabilities": EMBEDS, "endpoint": "http://127.0.0.1:9/v1"}
    assert manager.register_backend("a", "gpu", "A", **given) is True  # type: ignore[arg-type]
    version = manager.version
    assert manager.register_backend("a", "api", "Another") is False
    assert manager.version == version
    (backend,) = manager.list_backends()
    assert (backend.id, str(backend.type), backend.name, backend.endpoint) == ("a", "gpu", "A", "http://127.0.0.1:9/v1")
    assert (backend.capabilities, backend.instance, backend.role) == (EMBEDS, given["instance"], "embed")
    assert str(backend.status) == "unknown"
    assert manager.unregister_backend("a") is True
    assert manager.unregister_backend("a") is False
    assert manager.list_backends() == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"backend_type": "gpus"}, "backend_type must be one of gpu, .*did you mean 'gpu'"),
        ({"backend_id": " "}, "backend_id"),
        ({"backend_id": "a\nb"}, "backend_id"),
        ({"endpoint": "http://user:pw@host/"}, "credentials|password"),
        ({"endpoint": "nonsense"}, "nonsense"),
        ({"config": {"api_key": "sk-0123456789abcdef"}}, "api_key holds a secret itself"),
    ],
)
def test_nonsense_is_refused_with_a_reason(manager: BackendManager, given: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        manager.register_backend(**{"backend_id": "a", "backend_type": "api", "name": "A", **given})
    assert manager.list_backends() == []


@pytest.mark.behaviour("MGR-02")
def test_lists_are_filtered_by_type_status_and_task(manager: BackendManager) -> None:
    add(manager, "g", "gpu")
    add(manager, "a", "api", healthy=False)
    add(manager, "e", "api", capabilities=EMBEDS)

    def ids(**wanted: Any) -> list[str]:
        return [backend.id for backend in manager.list_backends(**wanted)]

    assert ids() == ["g", "a", "e"]
    assert ids(type="api") == ["a", "e"]
    assert ids(status="healthy") == ["g", "e"]
    assert ids(type="API", status="unknown") == ["a"]
    assert ids(task="embedding") == ["e"], "under any of a task's names"
    with pytest.raises(BadRequest, match="did you mean 'healthy'"):
        ids(status="helthy")


@pytest.mark.behaviour("MGR-04")
def test_preferred_types_come_first_in_their_order(manager: BackendManager) -> None:
    gpu = add(manager, "gpu", "gpu")
    add(manager, "api", "api")
    add(manager, "p2p", "p2p")
    for _ in range(4):
        assert chosen(manager, preferred_types=["gpu", "api"]) == "gpu"
        assert chosen(manager, preferred_types=["api", "gpu"]) == "api"
        assert chosen(manager, preferred_types=["cli", "P2P"]) == "p2p"
    for _ in range(5):
        gpu.end(Outcome(failure=FailureKind.UPSTREAM), gpu.begin())
    assert chosen(manager, preferred_types=["gpu", "api"]) == "api", "preferred, but its circuit is open"
    with pytest.raises(BadRequest, match="preferred_types"):
        chosen(manager, preferred_types=["tpu"])


@pytest.mark.behaviour("MGR-05")
def test_protocols_models_and_tasks_are_filtered_by(manager: BackendManager) -> None:
    add(manager, "http", capabilities=Capabilities(supported_models=("a", "b")))
    add(manager, "ws", "websocket", capabilities=Capabilities(protocols=("websocket",), supported_models=("b",)))
    add(manager, "emb", capabilities=EMBEDS)
    assert {chosen(manager, required_protocols=["websocket"]) for _ in range(4)} == {"ws"}
    assert {chosen(manager, "text-generation", "a") for _ in range(4)} == {"http"}
    assert {chosen(manager, "text-generation", "b") for _ in range(4)} == {"http", "ws"}
    assert chosen(manager, "text-generation", "c") is None
    assert chosen(manager, "text-generation", "a", required_protocols=["websocket"]) is None
    assert chosen(manager, "feature-extraction") == "emb"
    assert chosen(manager, "rerank") is None


@pytest.mark.behaviour("MISC-02")
@pytest.mark.parametrize(
    ("registered", "task"),
    [
        ("embedding", "text-embedding"),
        ("feature-extraction", "embedding"),
        ("Chat", "text-generation"),
        ("chat", "text_generation"),
    ],
)
def test_a_task_is_found_in_every_spelling(manager: BackendManager, registered: str, task: str) -> None:
    add(manager, "it", capabilities=Capabilities(supported_tasks=(registered,)))
    assert chosen(manager, task) == "it"
    assert [backend.id for backend in manager.list_backends(task=task)] == ["it"]
    assert chosen(manager, "rerank") is None


def test_a_provider_can_be_asked_for(manager: BackendManager) -> None:
    add(manager, "a", provider="one")
    add(manager, "b", provider="two")
    assert {chosen(manager, provider="two") for _ in range(3)} == {"b"}


def test_healthy_before_unknown_before_degraded_and_never_what_cannot_be_asked(manager: BackendManager) -> None:
    degraded = add(manager, "degraded")
    for _ in range(4):
        degraded.end(Outcome(failure=FailureKind.RATE_LIMIT), degraded.begin())
    degraded.end(Outcome(0.1), degraded.begin())
    degraded.end(Outcome(failure=FailureKind.RATE_LIMIT), degraded.begin())
    assert str(degraded.status) == "degraded"
    manager.register_backend("empty", "cli", "Nothing behind it", endpoint="http://127.0.0.1:9")
    assert {chosen(manager) for _ in range(3)} == {"degraded"}
    add(manager, "unknown", healthy=False)
    assert {chosen(manager) for _ in range(3)} == {"unknown"}
    good = add(manager, "good")
    assert {chosen(manager) for _ in range(3)} == {"good"}
    assert (good.selection_count, good.last_selection_reason) == (3, "supports text-generation; round_robin")


@pytest.mark.behaviour("MGR-07")
@pytest.mark.parametrize("preferred", [None, ["gpu"], ["cli", "gpu"]])
def test_turns_are_even(manager: BackendManager, preferred: list[str] | None) -> None:
    for name in "abc":
        add(manager, name, "gpu")
    if preferred:
        add(manager, "other", "api")
    counts = Counter(chosen(manager, preferred_types=preferred) for _ in range(300))
    assert counts == {"a": 100, "b": 100, "c": 100}


def test_the_configured_policy_decides() -> None:
    manager = BackendManager(ManagerConfig(load_balancing="least_loaded"))
    first, second = add(manager, "a"), add(manager, "b")
    first.begin()
    assert {chosen(manager) for _ in range(4)} == {"b"}
    second.begin()
    second.begin()
    assert {chosen(manager) for _ in range(4)} == {"a"}


@pytest.mark.behaviour("MGR-06")
def test_the_report_has_sums_entries_and_a_time() -> None:
    clock = Clock()
    manager = BackendManager(clock=clock, wall=lambda: 1_700_000_000.0)
    gpu = add(manager, "g", "gpu", capabilities=Capabilities(hardware_types=("cuda",)), model="m")
    add(manager, "e", "api", healthy=False, capabilities=EMBEDS, endpoint="http://127.0.0.1:9/v1")
    gpu.end(Outcome(0.3), gpu.begin())
    gpu.end(Outcome(failure=FailureKind.UPSTREAM), gpu.begin())
    chosen(manager)
    gpu.begin()
    report = manager.get_backend_status_report()
    assert report["total_backends"] == 2
    assert report["backends_by_type"] == {"gpu": 1, "api": 1, "cli": 0, "p2p": 0, "websocket": 0, "mcp": 0, "hybrid": 0}
    assert {status: count for status, count in report["backends_by_status"].items() if count} == {"healthy": 1, "unknown": 1}
    assert (report["total_requests"], report["total_successful"], report["total_failed"]) == (3, 2, 1)
    assert report["supported_tasks"] == ["text-embedding", "text-generation"]
    assert report["timestamp"] == 1_700_000_000.0
    entry = report["backends"][0]
    assert entry == manager.describe(gpu)
    assert {
        key: entry[key] for key in ("id", "name", "type", "status", "endpoint", "tasks", "protocols", "hardware_types")
    } == {
        "id": "g",
        "name": "G",
        "type": "gpu",
        "status": "healthy",
        "endpoint": None,
        "tasks": ["text-generation"],
        "protocols": ["http"],
        "hardware_types": ["cuda"],
    }
    assert entry["last_selection_reason"] == "supports text-generation; round_robin"
    assert set(entry["liveness"]) == {"configured", "authorized", "reachable", "live", "ready", "healthy", "routable"}
    metrics = entry["metrics"]
    assert (metrics["requests"], metrics["queue_size"], metrics["models_loaded"]) == (3, 1, 0)
    assert metrics["success_rate"] == pytest.approx(200 / 3)
    assert metrics["avg_latency_ms"] == pytest.approx(200)
    assert msgspec.json.encode(report), "plain JSON"


# The panel


async def plugged(house: Any, fake: FakeOpenAI, slot: int = 0, **more: Any) -> Any:
    await house.panel.plug(slot, "openai-compat", {"base_url": fake.base_url}, **more)
    return house.panel.slot(slot).binding


@pytest.mark.behaviour("MGR-25")
async def test_what_the_settings_plug_is_registered_without_anybodys_doing(house: Any, fake: FakeOpenAI) -> None:
    manager = house.manager(QUIET)
    async with manager.follow(house.panel):
        assert manager.list_backends() == []
        await house.panel.plug_set(
            {
                "0": {"provider": "openai-compat", "config": {"base_url": fake.base_url}, "name": "here"},
                "3": {"provider": "scripted"},
            }
        )
        await until(lambda: len(manager.list_backends()) == 2)
        told = {backend.slot: (backend.provider, str(backend.type), str(backend.status)) for backend in manager.list_backends()}
        assert told == {0: ("openai-compat", "api", "healthy"), 3: ("scripted", "gpu", "healthy")}
        await house.panel.swap_slots(0, 3)
        await until(lambda: {backend.slot: backend.provider for backend in manager.list_backends()}[3] == "openai-compat")
        await house.panel.unplug(3)
        await until(lambda: [backend.provider for backend in manager.list_backends()] == ["scripted"])


async def until(holds: Any, within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_binding_has_one_backend_a_model(house: Any, fake: FakeOpenAI) -> None:
    binding = await plugged(house, fake)
    manager = house.manager(QUIET)
    own = manager.backend_of(binding)
    assert manager.backend_of(binding) is own
    assert manager.backend_of(binding, "fake-model") is own
    other = manager.backend_of(binding, "other")
    assert other is not own
    assert own.id == f"openai-compat/fake-model@127.0.0.1:{fake.port}"
    await house.panel.mutate_slot(0, temperature=0.5)
    assert manager.backend_of(house.panel.slot(0).binding) is own, "other settings, the same source"


async def test_clones_are_backends_of_their_own(house: Any, fake: FakeOpenAI) -> None:
    await plugged(house, fake)
    await house.panel.clone_slot(0, 2)
    manager = house.manager(QUIET)
    async with manager.follow(house.panel):
        ids = [backend.id for backend in manager.list_backends()]
        assert [name.partition("#")[2] for name in ids] == ["", "2", "3"]
        assert {chosen(manager, "chat", "fake-model") for _ in range(3)} == set(ids)


async def test_made_up_model_names_do_not_fill_the_memory(house: Any, fake: FakeOpenAI) -> None:
    binding = await plugged(house, fake)
    manager = house.manager(QUIET)
    own = manager.backend_of(binding)
    busy = manager.backend_of(binding, "busy")
    busy.begin()
    for number in range(500):
        manager.backend_of(binding, f"made-up-{number}")
    assert len(manager.list_backends()) <= 64
    assert {own, busy} <= set(manager.list_backends())


async def test_candidates_for_a_model_are_whoever_has_it(house: Any, fake: FakeOpenAI) -> None:
    async with FakeOpenAI(["fake-model", "second"]) as other:
        await plugged(house, fake, 0)
        await plugged(house, other, 1)
        manager = house.manager(QUIET)
        async with manager.follow(house.panel):
            assert [backend.slot for backend in manager.candidates()] == [0, 1]
            assert [backend.slot for backend in manager.candidates("fake-model")] == [0, 1]
            (second,) = manager.candidates("second")
            assert (second.slot, second.model) == (1, "second")
            assert manager.candidates("nobody has it") == ()
            known = manager.candidates("second")
            assert manager.candidates("second") is known
            version = manager.version
            await house.panel.unplug(1)
            await until(lambda: manager.version != version)
            assert manager.candidates("second") == ()


async def test_running_attempts_outlive_an_unplug(house: Any, fake: FakeOpenAI) -> None:
    binding = await plugged(house, fake)
    manager = house.manager(QUIET)
    async with manager.follow(house.panel):
        backend = manager.backend_of(binding)
        began = backend.begin()
        await house.panel.unplug(0)
        await until(lambda: manager.list_backends() == [])
        backend.end(Outcome(0.1), began)
        assert backend.metrics.queue == 0


# Remembering


@pytest.mark.behaviour("MGR-22")
async def test_after_a_restart_all_are_known_and_unknown_until_looked_at(opened: Any, tmp_path: Path, fake: FakeOpenAI) -> None:
    config = {"api_key": "env:SOME_KEY", "note": "kept"}
    async with opened(tmp_path) as house:
        await plugged(house, fake)
        manager = house.manager(ManagerConfig(looks=LookSettings(interval_s=60.0)))
        async with manager.follow(house.panel):
            manager.register_backend("mine", "cli", "Mine", Ready(), EMBEDS, fake.base_url, weight=3.0, config=config)
            await manager.check()
            assert {str(backend.status) for backend in manager.list_backends()} == {"healthy"}
        stored = house.repository.load()
        assert [(row.origin, row.status) for row in stored] == [("registered", "healthy"), ("slot", "healthy")]

    await fake.stop()
    async with opened(tmp_path) as house:
        manager = house.manager(QUIET)
        await house.panel.restore()
        async with manager.follow(house.panel):
            mine, slot = manager.get_backend("mine"), manager.backend_of(house.panel.slot(0).binding)
            assert mine is not None
            assert (mine.name, str(mine.type), mine.endpoint, mine.weight) == ("Mine", "cli", fake.base_url, 3.0)
            assert mine.identity.config == config
            assert (str(mine.status), str(slot.status)) == ("unknown", "unknown")
            assert not mine.is_routable, "nothing is behind it yet"
            await manager.check()
            assert (str(mine.status), str(slot.status)) == ("offline", "offline")
            assert manager.register_backend("mine", "cli", "Mine", Ready(), EMBEDS), "its instance is back"
            assert not manager.register_backend("mine", "cli", "Mine", Ready())
            await manager.check()
            back = manager.get_backend("mine")
            assert back is not None
            assert str(back.status) == "healthy"
            assert (back.identity.config, back.endpoint, back.weight) == (config, fake.base_url, 3.0)


@pytest.mark.behaviour("MGR-22")
async def test_pruning_takes_what_is_stale_idle_and_in_no_slot(house: Any, fake: FakeOpenAI) -> None:
    clock = Clock()
    await plugged(house, fake)
    manager = house.manager(QUIET, clock=clock)
    slot = manager.backend_of(house.panel.slot(0).binding)
    add(manager, "stale")
    busy = add(manager, "busy")
    busy.begin()
    clock.now += 200
    add(manager, "fresh")
    clock.now += 200
    assert manager.prune_stale_backends() == ["stale"]
    assert {backend.id for backend in manager.list_backends()} == {slot.id, "busy", "fresh"}
    assert manager.prune_stale_backends(max_age_s=100) == ["fresh"]


async def test_what_a_newer_version_wrote_is_left_out(house: Any) -> None:
    house.repository.save_all(
        [StoredBackend(id="odd", type="quantum", name="Odd"), StoredBackend(id="fine", type="api", name="Fine")]
    )
    manager = house.manager(QUIET)
    await manager.load()
    assert [backend.id for backend in manager.list_backends()] == ["fine"]


async def test_an_old_row_is_stale_at_once(house: Any) -> None:
    house.repository.save_all([StoredBackend(id="old", type="api", name="Old", registered_at=1.0, last_seen_at=2.0)])
    manager = house.manager(QUIET)
    await manager.load()
    assert manager.prune_stale_backends() == ["old"]


async def test_a_full_disk_does_not_end_the_looking(house: Any, fake: FakeOpenAI, caplog: pytest.LogCaptureFixture) -> None:
    manager = house.manager()
    async with manager.follow(house.panel):
        house.database.close()
        manager.register_backend("a", "api", "A", Ready())
        await until(lambda: "could not be written down" in caplog.text)
        (backend,) = manager.list_backends()
        await until(lambda: str(backend.status) == "healthy")
