"""Looking at real sources on loopback: killed, hanging, refusing our key, and back again."""

import asyncio
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import pytest

from jackfield.core.contracts import ProbeResult
from jackfield.routing.attempts import FailureKind
from jackfield.routing.backends import Backend, BackendStatus, Outcome
from jackfield.routing.manager import BackendManager, ManagerConfig
from jackfield.routing.probing import LookSettings
from jackfield.testing.fakes import Behaviour, FakeOpenAI

HUNG = Behaviour(everywhere=True, hang="before")
DOWN = Behaviour(everywhere=True, status=503)


class Seen:
    """Waits for statuses, and keeps those that were told."""

    def __init__(self, manager: BackendManager) -> None:
        self.told: list[str] = []
        self._news = asyncio.Event()
        manager.listeners.append(self._tell)

    def _tell(self, backend: Backend, before: BackendStatus, after: BackendStatus) -> None:
        self.told.append(str(after))
        self._news.set()

    async def until(self, backend: Backend, *wanted: str, within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while str(backend.status) not in wanted:
                self._news.clear()
                await self._news.wait()


async def plugged(house: Any, fake: FakeOpenAI, slot: int = 0, **more: Any) -> None:
    await house.panel.plug(slot, "openai-compat", {"base_url": fake.base_url}, **more)


@pytest.mark.behaviour("MGR-14")
async def test_killed_is_seen_within_an_interval_and_so_is_its_return(house: Any, fake: FakeOpenAI) -> None:
    await plugged(house, fake)
    manager = house.manager()
    seen = Seen(manager)
    async with manager.follow(house.panel):
        (backend,) = manager.list_backends()
        await seen.until(backend, "healthy")
        await fake.stop()
        began = perf_counter()
        await seen.until(backend, "offline", "unhealthy")
        took_s = perf_counter() - began
        assert backend.facts.reachable is False
        assert took_s < 1.0, "an interval is 0.2 s here"
        assert not backend.is_routable
        async with fake:
            await seen.until(backend, "healthy")
            assert backend.is_routable


@pytest.mark.behaviour("MGR-13")
async def test_one_source_walks_through_all_six(house: Any, fake: FakeOpenAI) -> None:
    fake.behaviour = DOWN
    await plugged(house, fake, require_ready=False)
    manager = house.manager()
    walked = [str(manager.backend_of(house.panel.slot(0).binding).status)]
    (backend,) = manager.list_backends()

    async def look() -> None:
        await manager.check()
        walked.append(str(backend.status))

    await look()
    fake.behaviour = Behaviour()
    await look()
    for _ in range(5):
        backend.end(Outcome(0.1), backend.begin())
        backend.end(Outcome(failure=FailureKind.UPSTREAM), backend.begin())
    walked.append(str(backend.status))
    fake.behaviour = DOWN
    await look()
    await fake.stop()
    await look()
    assert walked == ["unknown", "initializing", "healthy", "degraded", "unhealthy", "offline"]


@pytest.mark.behaviour("MGR-14")
async def test_a_failed_request_is_looked_into_at_once(house: Any, fake: FakeOpenAI) -> None:
    await plugged(house, fake)
    manager = house.manager(ManagerConfig(looks=LookSettings(interval_s=60.0, recheck_s=0.0)))
    seen = Seen(manager)
    async with manager.follow(house.panel):
        (backend,) = manager.list_backends()
        await seen.until(backend, "healthy")
        await fake.stop()
        backend.end(Outcome(failure=FailureKind.TRANSPORT), backend.begin())
        await seen.until(backend, "offline")


@pytest.mark.behaviour("MGR-15")
async def test_a_dead_address_without_a_probe_is_never_healthy(house: Any, fake: FakeOpenAI) -> None:
    manager = house.manager()
    assert manager.register_backend("dead", "api", "Dead", endpoint=fake.base_url, instance=object())
    assert manager.register_backend("blind", "cli", "Blind", instance=object())
    dead, blind = manager.get_backend("dead"), manager.get_backend("blind")
    assert dead is not None
    assert blind is not None
    assert (str(dead.status), str(blind.status)) == ("unknown", "unknown")
    await manager.check()
    assert (str(dead.status), str(blind.status)) == ("unknown", "unknown"), "that something listens says nothing of its health"
    assert dead.facts.reachable is True
    await fake.stop()
    await manager.check()
    assert (str(dead.status), str(blind.status)) == ("offline", "unknown")
    assert not dead.is_routable


async def test_a_probe_of_somebodys_own_is_asked(house: Any) -> None:
    answers: list[Any] = [ProbeResult(True, 0.01, models=("a", "b")), ProbeResult(False, 0.01, "full"), ValueError("oops")]

    class Own:
        async def probe(self) -> ProbeResult:
            told = answers.pop(0)
            if isinstance(told, Exception):
                raise told
            return told  # type: ignore[no-any-return]

    manager = house.manager()
    manager.register_backend("own", "gpu", "Own", instance=Own())
    own = manager.get_backend("own")
    assert own is not None
    told = []
    for _ in range(3):
        await manager.check()
        told.append((str(own.status), own.reason))
    assert told == [
        ("healthy", "it answers"),
        ("unhealthy", "it is there and not ready (full)"),
        ("unhealthy", "it is there and not ready (its probe failed: ValueError: oops)"),
    ]
    assert own.metrics.models_loaded == 2


async def test_a_refused_key_is_told_apart(house: Any) -> None:
    async with FakeOpenAI(require_key="sk-right-0123456789") as fake:
        await house.panel.plug(
            0, "openai-compat", {"base_url": fake.base_url, "api_key": "sk-wrong-0123456789"}, require_ready=False
        )
        manager = house.manager()
        manager.backend_of(house.panel.slot(0).binding)
        await manager.check()
        (backend,) = manager.list_backends()
        facts = backend.facts
        assert (str(backend.status), facts.reachable, facts.authorized) == ("unhealthy", True, False)
        assert "key" in backend.reason
        assert "sk-wrong" not in backend.reason


async def test_a_busy_source_that_is_late_is_not_taken_down(house: Any, fake: FakeOpenAI) -> None:
    await plugged(house, fake)
    manager = house.manager(ManagerConfig(looks=LookSettings(deadline_s=0.1)))
    backend = manager.backend_of(house.panel.slot(0).binding)
    backend.end(Outcome(0.1), backend.begin())
    fake.behaviour = HUNG
    await manager.check()
    assert str(backend.status) == "healthy"


async def test_what_hangs_holds_nobody_up(house: Any, fake: FakeOpenAI) -> None:
    async with FakeOpenAI(behaviour=HUNG) as hung:
        await plugged(house, hung, 0, require_ready=False)
        await plugged(house, fake, 1)
        manager = house.manager(ManagerConfig(looks=LookSettings(deadline_s=0.3, at_once=1)))
        for number in (0, 1):
            manager.backend_of(house.panel.slot(number).binding)
        began = perf_counter()
        await manager.check()
        assert perf_counter() - began < 1.0
        assert [str(backend.status) for backend in manager.list_backends()] == ["initializing", "healthy"]


async def test_one_source_is_looked_at_once_for_all_its_models(house: Any) -> None:
    async with FakeOpenAI(["a", "b"]) as fake:
        await plugged(house, fake)
        manager = house.manager()
        binding = house.panel.slot(0).binding
        first, second = manager.backend_of(binding, "a"), manager.backend_of(binding, "b")
        asked = len(fake.requests)
        await manager.check()
        assert len(fake.requests) == asked + 1
        assert (str(first.status), str(second.status)) == ("healthy", "healthy")


@pytest.mark.behaviour("MGR-20")
async def test_loading_and_unloading_shows_in_the_metrics(house: Any, fake: FakeOpenAI) -> None:
    await plugged(house, fake)
    manager = house.manager()
    backend = manager.backend_of(house.panel.slot(0).binding)
    counts = []
    for models in (["fake-model"], ["fake-model", "second"], ["fake-model"]):
        fake.models = list(models)
        await manager.check()
        counts.append(backend.metrics.models_loaded)
    assert counts == [1, 2, 1]


async def test_the_panel_learns_what_a_look_found(house: Any, fake: FakeOpenAI) -> None:
    await fake.stop()
    await plugged(house, fake, require_ready=False)
    assert house.panel.slot(0).problem is not None
    manager = house.manager()
    seen = Seen(manager)
    async with manager.follow(house.panel):
        (backend,) = manager.list_backends()
        await seen.until(backend, "offline")
        async with fake:
            await seen.until(backend, "healthy")
            await eventually(lambda: house.panel.slot(0).problem is None)
            await eventually(lambda: backend.models == ("fake-model",))


async def eventually(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.behaviour("PERF-01")
async def test_a_look_takes_less_than_a_tenth_of_a_second(house: Any, fake: FakeOpenAI) -> None:
    await plugged(house, fake)
    manager = house.manager()
    manager.backend_of(house.panel.slot(0).binding)
    took_s = []
    for _ in range(40):
        began = perf_counter()
        await manager.check()
        took_s.append(perf_counter() - began)
    assert sorted(took_s)[37] < 0.1


@pytest.mark.behaviour("PERF-02")
async def test_fifty_sources_a_minute_take_less_than_a_hundredth_of_a_core(house: Any, fake: FakeOpenAI) -> None:
    await plugged(house, fake)
    manager = house.manager()
    manager.backend_of(house.panel.slot(0).binding)
    await manager.check()
    began = process_time()
    for _ in range(50):
        await manager.check()
    spent_s = process_time() - began
    assert spent_s < 0.6, "in this process, the fake server's own work included"


async def test_a_look_under_way_ends_with_the_block(house: Any, fake: FakeOpenAI) -> None:
    await plugged(house, fake)
    manager = house.manager()
    before = {task.get_name() for task in asyncio.all_tasks()}
    async with manager.follow(house.panel):
        (backend,) = manager.list_backends()
        fake.behaviour = HUNG
        await eventually(lambda: backend.seen.is_looking)
    assert {task.get_name() for task in asyncio.all_tasks()} <= before
    assert not backend.seen.is_looking
