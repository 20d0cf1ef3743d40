"""The doctor's judgement about slow answers, on scripted cases: one pool and its figures in, the bottleneck out."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.app.doctoring.latency import Bottleneck, Source, bottlenecks


def source(name: str, **figures: Any) -> Source:
    quiet = {"requests": 100, "p50_ms": 400.0, "p95_ms": 700.0, "first_token_ms": 80.0}
    return Source(**{"id": name, "pool": "m", "provider": "acme", **quiet, **figures})


def first(*sources: Source, policy: str = "round_robin", **more: Any) -> Bottleneck:
    return bottlenecks(sources, policy=policy, **more)[0]


CASES: dict[str, tuple[list[Source], str, str, str]] = {
    "one idles while another is full": (
        [source("a", active=8.0), source("b")],
        "strategy",
        "a has 8 requests while b has 0",
        "least_loaded",
    ),
    "a slow one gets its turn": (
        [source("a", p50_ms=4000.0, p95_ms=5000.0), source("b")],
        "strategy",
        "a takes 4.0 s and b 400 ms",
        "best_performance",
    ),
    "a limit holds requests back": (
        [source("a", active=2.0, waiting=6.0)],
        "queue size",
        "6 requests wait in the gateway while 2 run",
        "raise limits.providers.acme",
    ),
    "a limit holds back, and the source is at its end": (
        [source("a", active=2.0, waiting=6.0, p95_ms=3000.0)],
        "queue size",
        "6 requests wait",
        "lower limits.queue_size",
    ),
    "an engine here takes one at a time": (
        [source("a", is_local=True, active=6.0, p50_ms=3000.0, p95_ms=3500.0, first_token_ms=2600.0)],
        "batching",
        "87% of an answer's time is before its first words",
        "max_batch_size",
    ),
    "all are busy": (
        [source("a", active=6.0), source("b", active=5.0)],
        "number of backends",
        "2 can be asked, and none has fewer than 5 requests",
        "slots plug",
    ),
    "those that are left are busy": (
        [source("a", active=6.0), source("b", is_routable=False)],
        "number of backends",
        "1 more cannot be asked",
        "doctor backends",
    ),
    "slow by itself": (
        [source("a", first_token_ms=4200.0, p50_ms=9000.0, p95_ms=9500.0)],
        "the source itself",
        "first words after 4.2 s",
        "faster provider",
    ),
    "slow by itself, on this machine, never streamed": (
        [source("a", is_local=True, first_token_ms=None, p50_ms=12_000.0)],
        "the source itself",
        "an answer takes 12.0 s",
        "GPU",
    ),
}


@pytest.mark.behaviour("ERR-12")
@pytest.mark.parametrize("case", CASES)
def test_the_bottleneck_is_named_with_its_figures_and_what_to_do(case: str) -> None:
    sources, cause, evidence, fix = CASES[case]
    found = first(*sources)
    assert found.cause == cause
    assert evidence in found.evidence
    assert fix in found.fix
    assert found.where in ("a", "m")


@pytest.mark.parametrize(
    "sources",
    [
        [],
        [source("a"), source("b")],
        [source("a", active=2.0), source("b", active=1.0)],
        [source("a", p50_ms=None, p95_ms=None, first_token_ms=None, requests=0)],
        [source("a", p50_ms=4000.0, requests=3), source("b", requests=100)],
        [source("a", active=6.0, is_routable=False)],
        [source("a", is_local=True, active=2.5, batch_max=8, first_token_ms=390.0)],
        [source("a", pool="one", active=2.0), source("b", pool="other")],
    ],
)
def test_where_nothing_holds_answers_up_nothing_is_blamed(sources: list[Source]) -> None:
    assert bottlenecks(sources, policy="round_robin") == []


def test_a_policy_that_looks_at_speed_is_not_blamed_for_slow_ones() -> None:
    slow = source("a", p50_ms=4000.0, p95_ms=5000.0)
    assert bottlenecks([slow, source("b")], policy="best_performance") == []


def test_where_the_queues_are_looked_at_already_the_names_in_requests_are_the_cause() -> None:
    assert "order and only" in first(source("a", active=8.0), source("b"), policy="least_loaded").fix


@pytest.mark.parametrize(("is_hedging", "said"), [(False, "hedge.enabled"), (True, "nearer or faster")])
def test_hedging_is_offered_where_it_is_off_and_somebody_else_could_answer(is_hedging: bool, said: str) -> None:
    uneven = source("a", first_token_ms=2500.0, p50_ms=2600.0, p95_ms=30_000.0)
    other = source("b", p50_ms=2600.0)
    assert said in first(uneven, other, is_hedging=is_hedging).fix


def test_several_causes_come_in_the_order_of_what_is_cheap_to_change() -> None:
    full = source("a", active=6.0, waiting=4.0)
    found = bottlenecks([full, source("c", pool="other", first_token_ms=9000.0)], policy="round_robin")
    assert [each.cause for each in found] == ["queue size", "number of backends", "the source itself"]


def test_of_two_pools_the_fuller_comes_first() -> None:
    found = bottlenecks([source("a", pool="p", active=4.0), source("b", pool="q", active=9.0)], policy="round_robin")
    assert [each.where for each in found] == ["q", "p"]


LOADS = st.floats(0, 50, allow_nan=False)
TIMES = st.none() | st.floats(0, 100_000, allow_nan=False)
SOURCES = st.builds(
    Source, id=st.sampled_from("abc"), pool=st.sampled_from("pq"), is_routable=st.booleans(), is_local=st.booleans(),
    requests=st.integers(0, 1000), active=LOADS, waiting=LOADS, p50_ms=TIMES, p95_ms=TIMES, first_token_ms=TIMES,
)  # fmt: skip


@given(st.lists(SOURCES, max_size=6), st.sampled_from(["round_robin", "least_loaded", "sticky"]))
@settings(max_examples=150, deadline=None)
def test_whatever_the_figures_are_every_finding_is_whole_and_about_who_can_be_asked(members: list[Source], policy: str) -> None:
    askable = {each.id for each in members if each.is_routable} | {each.pool for each in members if each.is_routable}
    for found in bottlenecks(members, policy=policy):
        assert found.evidence
        assert found.fix
        assert found.where in askable
