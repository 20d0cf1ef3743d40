"""Every backend's own figures for GET /metrics, read when somebody looks: what the status report says, as Prometheus reads it.

Bounded by the backends that there are. Asks no source anything.
"""

from collections.abc import Iterable, Iterator

from jackfield.gateway.exposition import Family, Sample, written
from jackfield.routing.backends import Backend
from jackfield.routing.measures import BackendMetrics

OUTCOMES = ("ok", "failed", "rejected", "cancelled")
"""Attributes of a backend's metrics: its good answers, its own failures, the requests' faults, and what callers gave up."""


def backend_figures(backends: Iterable[Backend], now: float) -> Iterator[Family]:
    """`now` in seconds of the manager's clock."""
    labelled = [(_labels(backend), backend.metrics) for backend in backends]
    yield Family(
        "jackfield_backend_requests_total",
        "counter",
        "Attempts at a backend by their end; rejected is the request's fault, not the backend's.",
        [
            ("", f"{labels},{written(('outcome', outcome))}", getattr(metrics, outcome))
            for labels, metrics in labelled
            for outcome in OUTCOMES
        ],
    )
    yield Family(
        "jackfield_backend_latency_seconds",
        "gauge",
        "Mean, median and 95th percentile of a backend's last good answers; missing before the first.",
        [sample for labels, metrics in labelled for sample in _latencies(labels, metrics)],
    )
    yield _gauge("queue", "Requests that run at a backend or wait for it.", [(at, each.queue) for at, each in labelled])
    yield _gauge("active", "Requests that run at a backend now.", [(at, each.active) for at, each in labelled])
    yield _gauge("models", "Models that a backend has loaded or lists.", [(at, each.models_loaded) for at, each in labelled])
    yield _gauge(
        "uptime_seconds",
        "Seconds since a backend was registered in this run.",
        [(at, now - each.started_at) for at, each in labelled],
    )


def _gauge(name: str, help: str, values: Iterable[tuple[str, float]]) -> Family:
    return Family(f"jackfield_backend_{name}", "gauge", help, [("", labels, value) for labels, value in values])


def _latencies(labels: str, metrics: BackendMetrics) -> Iterator[Sample]:
    window = metrics.latency
    for name, value in (("mean", window.mean), ("p50", window.percentile(50)), ("p95", window.percentile(95))):
        if value is not None:
            yield "", f"{labels},{written(('of', name))}", value


def _labels(backend: Backend) -> str:
    return written(("backend", backend.id), ("provider", backend.provider), ("model", backend.model or ""))
