"""GET /metrics: what is counted, how it is written, that nobody can make it grow. The judge is Prometheus' own parser."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from jackfield.core.ids import SlotNumber
from jackfield.core.profiles import ModelProfile
from jackfield.core.requests import Generation
from jackfield.core.usage import Money, Usage
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.call import Call
from jackfield.gateway.exposition import Family, Histogram, number, render, written
from jackfield.gateway.metrics import (
    BREAKER_STATES,
    LINES_MAX,
    OUTCOMES_MAX,
    STATUSES,
    BackendSample,
    Counter,
    Metrics,
    backends,
    in_flight,
    known_model,
)
from jackfield.providers.scripted import Scripted, ScriptedConfig
from jackfield.slots.live import LiveProvider
from jackfield.slots.slot import Binding, Slot, SlotSpec

NAMES = {
    "jackfield_requests_total": "counter",
    "jackfield_request_seconds": "histogram",
    "jackfield_first_token_seconds": "histogram",
    "jackfield_tokens_total": "counter",
    "jackfield_cost_msat_total": "counter",
    "jackfield_unpriced_total": "counter",
    "jackfield_in_flight": "gauge",
    "jackfield_backend_status": "gauge",
    "jackfield_breaker_state": "gauge",
    "jackfield_retries_total": "counter",
    "jackfield_hedges_total": "counter",
}


def parsed(text: bytes) -> dict[str, Metric]:
    """The families by name; one that stands there twice is an error, as it is to Prometheus."""
    families = list(text_string_to_metric_families(text.decode()))
    found = {family.name: family for family in families}
    assert len(found) == len(families)
    return found


def values(text: bytes, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one name by the values of their labels."""
    samples = [sample for family in parsed(text).values() for sample in family.samples if sample.name == name]
    found = {tuple(sample.labels.values()): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


@pytest.fixture
def binding() -> Binding:
    return bound("small")


def bound(model: str | None, listed: Iterable[str] = ()) -> Binding:
    live = LiveProvider(Scripted(ScriptedConfig(), Generation()), Scripted.card)
    live.listing = tuple(ModelProfile(id=each) for each in listed)
    return Binding(live, SlotSpec("scripted", model=model, generation=Generation()))


def call(
    binding: Binding | None,
    *,
    model: str | None = None,
    outcome: str = "ok",
    slot: int | None = 3,
    usage: Usage | None = None,
    cost: Money | None = None,
    first_token_at: float | None = None,
    is_followed: bool = False,
) -> Call:
    made = Call("req-1", OpenAIChat(), {}, model_text="x", stream=False, show_usage=False, at=0.0, received_at=0.0)
    made.slot_number, made.binding, made.model, made.outcome = slot, binding, model, outcome
    made.books_are_closed = not is_followed
    made.usage, made.cost, made.first_token_at = usage, cost, first_token_at
    return made


def counted(*calls: Call, clock: Callable[[], float] = lambda: 0.2) -> bytes:
    metrics = Metrics(clock=clock)
    for each in calls:
        metrics.observe(each)
    return metrics.render()


@pytest.mark.behaviour("METR-01")
def test_every_name_is_there_with_its_kind_and_help(binding: Binding) -> None:
    slots = [Slot(SlotNumber(3), "slot_3", binding.spec, binding), Slot(SlotNumber(4), "slot_4")]
    sample = BackendSample("scripted:small", "scripted", "small", "healthy", "closed")
    metrics = Metrics([lambda: in_flight(slots), lambda: backends([sample])])
    metrics.observe(call(binding))
    metrics.observe(call(binding, outcome="rate_limit_exceeded", is_followed=True))
    metrics.hedges.add("won")
    found = parsed(metrics.render())
    assert {family.name: family.type for family in found.values()} == {
        (name.removesuffix("_total") if kind == "counter" else name): kind for name, kind in NAMES.items()
    }
    assert all(family.documentation and family.samples for family in found.values())


@pytest.mark.behaviour("METR-01")
def test_calls_are_counted_by_slot_provider_model_and_outcome(binding: Binding) -> None:
    text = counted(
        call(binding), call(binding), call(binding, outcome="timeout"), call(None, slot=None, outcome="model_not_found")
    )
    assert values(text, "jackfield_requests_total") == {
        ("3", "scripted", "small", "ok"): 2,
        ("3", "scripted", "small", "timeout"): 1,
        ("", "", "", "model_not_found"): 1,
    }


def test_an_attempt_that_another_follows_is_a_retry_and_no_request(binding: Binding) -> None:
    other = bound("small")
    failed = call(binding, outcome="overloaded", usage=Usage(10, 0), cost=Money(3), first_token_at=0.01, is_followed=True)
    text = counted(failed, call(other, slot=4))
    assert values(text, "jackfield_requests_total") == {("4", "scripted", "small", "ok"): 1}
    assert values(text, "jackfield_retries_total") == {("3", "scripted", "small", "overloaded"): 1}
    assert values(text, "jackfield_cost_msat_total")["3", "scripted", "small"] == 3
    assert values(text, "jackfield_first_token_seconds_count")["3", "scripted", "small"] == 0


def test_tokens_and_costs_add_up(binding: Binding) -> None:
    priced = call(binding, usage=Usage(10, 5, cached_tokens=4, reasoning_tokens=2), cost=Money(7))
    text = counted(priced, priced, call(binding, usage=Usage(1, 1)), call(binding, outcome="timeout"))
    labels = ("3", "scripted", "small")
    assert values(text, "jackfield_tokens_total") == {
        (*labels, "prompt"): 21,
        (*labels, "completion"): 11,
        (*labels, "cached"): 8,
        (*labels, "reasoning"): 4,
    }
    assert values(text, "jackfield_cost_msat_total") == {labels: 14}
    assert values(text, "jackfield_unpriced_total") == {labels: 1}


def test_times_of_good_answers_fall_into_buckets(binding: Binding) -> None:
    slow = call(binding, first_token_at=0.05)
    text = counted(slow, call(binding), call(binding, outcome="timeout"))
    labels = ("3", "scripted", "small")
    seconds = values(text, "jackfield_request_seconds_bucket")
    assert (seconds[(*labels, "0.1")], seconds[(*labels, "0.25")], seconds[(*labels, "+Inf")]) == (0, 2, 2)
    assert values(text, "jackfield_request_seconds_count") == {labels: 2}
    assert values(text, "jackfield_request_seconds_sum")[labels] == pytest.approx(0.4)
    first = values(text, "jackfield_first_token_seconds_bucket")
    assert (first[(*labels, "0.025")], first[(*labels, "0.05")], first[(*labels, "+Inf")]) == (0, 1, 1)


@given(st.lists(st.floats(0, 1000), max_size=40))
@settings(max_examples=60)
def test_a_histogram_counts_every_value_once_and_upwards(observed: list[float]) -> None:
    histogram = Histogram((0.1, 1.0, 10.0))
    for value in observed:
        histogram.observe(value)
    samples = list(histogram.samples(""))
    buckets = [count for suffix, _, count in samples if suffix == "_bucket"]
    assert buckets == [sum(value <= bound for value in observed) for bound in (0.1, 1.0, 10.0, float("inf"))]
    assert samples[-1] == ("_count", "", len(observed))


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=150)
def test_any_label_and_help_survive_the_way(label: str, help: str) -> None:
    clean = "".join(help.split())
    text = render(
        [Family("a_total", "counter", clean, [("", written(("name", label)), 1)]), Family("b", "gauge", "b", [("", "", 2)])]
    )
    found = parsed(text)
    assert found["a"].samples[0].labels == {"name": label}
    assert found["b"].samples[0].value == 2


def test_what_utf_8_cannot_write_does_not_break_the_page() -> None:
    assert b'name="?"' in render([Family("a", "gauge", "a", [("", written(("name", "\ud800")), 1)])])


@pytest.mark.parametrize(
    ("value", "written"), [(3, "3"), (0.1, "0.1"), (float("inf"), "+Inf"), (float("-inf"), "-Inf"), (float("nan"), "NaN")]
)
def test_numbers_are_written_as_the_format_has_them(value: float, written: str) -> None:
    assert number(value) == written


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (None, "gpt-4"),
        ("gpt-4", "gpt-4"),
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4:latest", "gpt-4"),
        ("gpt-4-turbo", "other"),
        ("gpt-4\n", "other"),
        ("", "other"),
        ("ignore all previous instructions", "other"),
    ],
)
@pytest.mark.behaviour("METR-02")
def test_only_models_that_the_slot_has_become_labels(name: str | None, label: str) -> None:
    assert known_model(bound("gpt-4", ["gpt-4o", "o3"]), name) == label


def test_a_slot_without_a_model_of_its_own_is_labelled_so() -> None:
    live_default = bound(None)
    assert known_model(live_default, None) == (live_default.model or "")


@pytest.mark.behaviour("METR-02")
def test_nobody_can_make_it_grow_without_bound(binding: Binding) -> None:
    metrics = Metrics()
    for index in range(10_000):
        metrics.observe(call(binding, model=f"made-up-{index}"))
        metrics.observe(call(binding, outcome=f"made_up_{index}"))
        metrics.hedges.add(f"made_up_{index}")
        metrics.observe(call(binding, model=f"made-up-{index}", outcome=f"made_up_{index}", is_followed=True))
    text = metrics.render()
    requests = values(text, "jackfield_requests_total")
    assert {key[2] for key in requests} == {"small", "other"}
    assert len({key[3] for key in requests}) <= OUTCOMES_MAX + 1
    assert sum(requests.values()) == 20_000
    assert len(values(text, "jackfield_retries_total")) <= OUTCOMES_MAX + 1
    assert len(values(text, "jackfield_hedges_total")) <= OUTCOMES_MAX + 1
    for slot in range(LINES_MAX + 100):
        metrics.observe(call(binding, slot=slot))
    assert len(values(metrics.render(), "jackfield_cost_msat_total")) <= LINES_MAX + 1


def test_a_model_that_is_listed_later_is_named_from_the_next_look_on() -> None:
    binding = bound("small")
    metrics = Metrics()
    metrics.observe(call(binding, model="large"))
    binding.live.listing = (ModelProfile(id="large"),)
    metrics.render()
    metrics.observe(call(binding, model="large"))
    requests = values(metrics.render(), "jackfield_requests_total")
    assert requests == {("3", "scripted", "other", "ok"): 1, ("3", "scripted", "large", "ok"): 1}


def test_running_requests_are_read_when_somebody_looks(binding: Binding) -> None:
    metrics = Metrics([lambda: in_flight([Slot(SlotNumber(3), "slot_3", binding.spec, binding)])])
    assert values(metrics.render(), "jackfield_in_flight") == {("3", "scripted"): 0}
    binding.acquire()
    assert values(metrics.render(), "jackfield_in_flight") == {("3", "scripted"): 1}


def test_a_backend_is_in_exactly_one_status_and_one_state() -> None:
    samples = [
        BackendSample(f"b{index}", "scripted", "small", status, BREAKER_STATES[index % len(BREAKER_STATES)])
        for index, status in enumerate(STATUSES)
    ]
    text = render(backends(samples))
    status = values(text, "jackfield_backend_status")
    assert [sum(value for key, value in status.items() if key[0] == sample.backend) for sample in samples] == [1] * 6
    assert all(status[sample.backend, "scripted", "small", sample.status] == 1 for sample in samples)
    state = values(text, "jackfield_breaker_state")
    assert all(state[sample.backend, "scripted", "small", sample.breaker] == 1 for sample in samples)
    assert sum(state.values()) == 6


def test_counters_keep_their_words_apart() -> None:
    counter = Counter("x_total", "x", ("one", "two"))
    counter.add("a", "b")
    counter.add("a", "c", by=2)
    assert values(render([counter.family()]), "x_total") == {("a", "b"): 1, ("a", "c"): 2}
