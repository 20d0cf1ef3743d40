"""What is remembered of a backend stays small, however often it is looked at and asked, and reading it asks nobody."""

import gc
import logging
import tracemalloc
from typing import Any

import pytest

from jackfield.routing.attempts import FailureKind
from jackfield.routing.backends import Backend, Outcome
from jackfield.routing.health import Look
from jackfield.routing.manager import BackendManager
from jackfield.testing.fakes import FakeOpenAI

BACKENDS = 50
HEALTH_BYTES_MAX = 10_000
ALL_BYTES_MAX = 40_000


def bytes_each(play: Any) -> float:
    """Memory that a registered backend and all that `play` does to it leave behind."""
    manager = BackendManager()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(BACKENDS):
            manager.register_backend(
                f"backend-{number}", "api", f"Backend {number}", object(), endpoint="http://127.0.0.1:9/v1"
            )
            backend = manager.get_backend(f"backend-{number}")
            assert backend is not None
            play(backend)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(manager.list_backends()) == BACKENDS
    return (after - before) / BACKENDS


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Captured log lines are not the manager's memory."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def look_often(backend: Backend) -> None:
    for count in range(300):
        backend.note_look(Look(is_ready=count % 3 != 0, latency_s=0.01, models=("a", "b"), detail=f"look {count} of many"))
        backend.end(Outcome(failure=FailureKind.UPSTREAM, retry_after_s=1.0), backend.begin())


def ask_often(backend: Backend) -> None:
    look_often(backend)
    for count in range(1000):
        size = (100, 2_000, 10_000, 50_000, 100_000)[count % 5]
        backend.end(Outcome(latency_s=1 + count / 7, first_token_s=count / 7, prompt_bytes=size), backend.begin())


@pytest.mark.behaviour("PERF-03")
def test_what_looks_and_failures_leave_behind_is_less_than_ten_kilobytes() -> None:
    assert bytes_each(look_often) < HEALTH_BYTES_MAX


def test_with_all_measurements_of_all_sizes_of_prompts_it_is_bounded_too() -> None:
    assert bytes_each(ask_often) < ALL_BYTES_MAX


async def test_reading_the_state_asks_no_source(house: Any, fake: FakeOpenAI) -> None:
    await house.panel.plug(0, "openai-compat", {"base_url": fake.base_url})
    manager = house.manager()
    manager.backend_of(house.panel.slot(0).binding)
    await manager.check()
    asked = len(fake.requests)
    assert asked > 0
    for _ in range(100):
        report = manager.get_backend_status_report()
    assert report["backends_by_status"]["healthy"] == 1
    assert len(fake.requests) == asked
