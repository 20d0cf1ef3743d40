"""GET /metrics has of every backend what the status report has of it."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jackfield.gateway.backend_figures import backend_figures
from jackfield.gateway.exposition import render
from jackfield.routing.attempts import FailureKind
from jackfield.routing.backends import Backend, Outcome
from jackfield.routing.health import Look
from jackfield.routing.manager import BackendManager

NOW = 100.0


class Clock:
    now = 40.0

    def __call__(self) -> float:
        return self.now


def read(*backends: Backend) -> dict[tuple[str, ...], float]:
    """Name and label values -> value, as Prometheus' own parser has them."""
    text = render(backend_figures(backends, NOW)).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name.removeprefix("jackfield_backend_"), *sample.labels.values()): sample.value for sample in samples}


def registered(manager: BackendManager, backend_id: str) -> Backend:
    manager.register_backend(backend_id, "api", backend_id, object(), provider="acme", model="large")
    backend = manager.get_backend(backend_id)
    assert backend is not None
    return backend


@pytest.mark.behaviour("PERF-13")
def test_all_that_is_counted_and_measured_of_a_backend_can_be_read() -> None:
    manager = BackendManager(clock=Clock())
    backend = registered(manager, "one")
    backend.note_look(Look(is_ready=True, models=("large", "small")))
    for number in range(1, 21):
        backend.end(Outcome(latency_s=number / 10), backend.begin())
    backend.end(Outcome(failure=FailureKind.UPSTREAM), backend.begin())
    backend.end(Outcome(failure=FailureKind.REQUEST), backend.begin())
    backend.end(Outcome(cancelled=True), backend.begin())
    backend.begin()
    backend.metrics.waiting = 2
    found = read(backend)
    me = ("one", "acme", "large")
    assert {key[-1]: value for key, value in found.items() if key[0] == "requests_total"} == {
        "ok": 20,
        "failed": 1,
        "rejected": 1,
        "cancelled": 1,
    }
    assert found["latency_seconds", *me, "mean"] == pytest.approx(1.05)
    assert (found["latency_seconds", *me, "p50"], found["latency_seconds", *me, "p95"]) == (1.0, 1.9)
    assert (found["queue", *me], found["active", *me], found["models", *me]) == (3, 1, 2)
    assert found["uptime_seconds", *me] == 60.0
    told: dict[str, Any] = manager.describe(backend)["metrics"]
    assert (told["requests"], told["successful"], told["failed"]) == (23, 20, 1)
    assert (told["p95_latency_ms"], told["queue_size"], told["active"], told["models_loaded"]) == (1900, 3, 1, 2)


def test_backends_stand_apart_and_what_was_not_measured_is_not_told() -> None:
    manager = BackendManager(clock=Clock())
    found = read(registered(manager, "one"), registered(manager, 'with "quotes"'))
    assert not any(key[0] == "latency_seconds" for key in found)
    assert found["requests_total", 'with "quotes"', "acme", "large", "ok"] == 0
    assert len({key[1] for key in found}) == 2
    assert read() == {}
