"""Figures for the doctor, from the status reports of a manager that is really there."""

from typing import Any

from jackfield.app.doctoring.figures import sources_of
from jackfield.routing.backends import Outcome
from jackfield.routing.manager import BackendManager


def test_what_runs_is_the_mean_over_the_reports_and_the_rest_is_the_last_one_s() -> None:
    manager = BackendManager()
    manager.register_backend("b", "gpu", "B", object(), endpoint="http://127.0.0.1:9/v1")
    backend = manager.get_backend("b")
    assert backend is not None
    reports = [manager.get_backend_status_report()]
    for _ in range(2):
        backend.begin()
    backend.metrics.waiting = 4
    backend.metrics.note_good(2.0, 0.5, prompt_bytes=10)
    reports.append(manager.get_backend_status_report())
    (source,) = sources_of(reports, [])
    assert (source.active, source.waiting, source.is_local) == (1.0, 2.0, True)
    assert (source.p50_ms, source.first_token_ms, source.pool) == (2000.0, 500.0, "b")
    assert source.batch_max == 1


def test_the_first_words_are_those_after_the_size_of_prompts_that_was_asked_most() -> None:
    manager = BackendManager()
    manager.register_backend("b", "api", "B", object())
    backend = manager.get_backend("b")
    assert backend is not None
    for size, first_token_s, count in ((10, 0.1, 1), (50_000, 3.0, 5)):
        for _ in range(count):
            backend.end(Outcome(latency_s=4.0, first_token_s=first_token_s, prompt_bytes=size), backend.begin())
    (source,) = sources_of([manager.get_backend_status_report()], [])
    assert source.first_token_ms == 3000.0
    assert not source.is_local


def test_how_many_go_to_it_together_is_told_by_its_slot() -> None:
    manager = BackendManager()
    manager.register_backend("b", "api", "B", object())
    report = manager.get_backend_status_report()
    report["backends"][0]["slot"] = 3
    slots: list[dict[str, Any]] = [{"number": 2, "live": None}, {"number": 3, "live": {"capabilities": {"max_batch_size": 8}}}]
    assert sources_of([report], slots)[0].batch_max == 8
