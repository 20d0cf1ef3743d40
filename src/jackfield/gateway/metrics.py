"""The figures of GET /metrics: what every call came to, counted in its books, and what is true at the moment of looking.

`observe` is one of the books and costs less than a microsecond. Labels are bounded: a model is named only if its slot is
known to have it, an outcome only while there are few of them; the rest counts under "other". Never a prompt, never a key.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter

import msgspec

from jackfield.gateway.call import Call
from jackfield.gateway.exposition import Family, Histogram, Sample, render, written
from jackfield.routing.breaker import BreakerState
from jackfield.routing.health import BackendStatus
from jackfield.slots.slot import Binding, Slot

OK = "ok"
OTHER = "other"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
STATUSES = tuple(str(status) for status in BackendStatus)
BREAKER_STATES = tuple(str(state) for state in BreakerState)
LINES_MAX = 2048
TALLIES_MAX = 8192
OUTCOMES_MAX = 64
SEEN_MAX = 4096
NAME_MAX_CHARS = 200

# What a source appends to a model's name when it says which version answered: -2026-08-06, @20260806, -001, :latest.
_VERSION = re.compile(r"[-@:](\d[\d-]*|latest)")

Source = Callable[[], Iterable[Family]]
_Key = tuple[int | None, int, str | None, str]


class BackendSample(msgspec.Struct, frozen=True):
    """One backend as it stands: `status` is a BackendStatus, `breaker` a BreakerState."""

    backend: str
    provider: str
    model: str
    status: str
    breaker: str


class _Line:
    """What is counted for one slot, provider and model."""

    __slots__ = (
        "cached_tokens",
        "completion_tokens",
        "cost_msat",
        "first_token",
        "labels",
        "prompt_tokens",
        "reasoning_tokens",
        "seconds",
        "unpriced",
    )

    def __init__(self, slot: str, provider: str, model: str) -> None:
        self.labels = written(("slot", slot), ("provider", provider), ("model", model))
        self.seconds = Histogram(SECONDS)
        self.first_token = Histogram(SECONDS)
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = self.reasoning_tokens = 0
        self.cost_msat = self.unpriced = 0


class _Tally:
    """Requests of one line that ended in one way, and attempts that did, after which another one was made."""

    __slots__ = ("attempts", "count", "is_good", "line", "outcome")

    def __init__(self, line: _Line, outcome: str) -> None:
        self.line = line
        self.outcome = outcome
        self.is_good = outcome == OK
        self.count = 0
        self.attempts = 0


class Counter:
    """Counts by a few words of our own. One event loop only."""

    def __init__(self, name: str, help: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._help = help
        self._labels = labels
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *words: str, by: int = 1) -> None:
        """`words` are the labels' values, in the order of their names."""
        if words not in self._counts and len(self._counts) >= OUTCOMES_MAX:
            words = (OTHER,) * len(self._labels)
        self._counts[words] = self._counts.get(words, 0) + by

    def family(self) -> Family:
        samples = [("", written(*zip(self._labels, words, strict=True)), count) for words, count in self._counts.items()]
        return Family(self._name, "counter", self._help, samples)


class Metrics:
    """Put `observe` among the books, and `sources` for what is read when somebody looks. Written on the event loop only."""

    def __init__(self, sources: Iterable[Source] = (), clock: Callable[[], float] = perf_counter) -> None:
        self._sources = tuple(sources)
        self._clock = clock
        self._lines: dict[tuple[str, str, str], _Line] = {}
        self._tallies: dict[tuple[_Line, str], _Tally] = {}
        self._seen: dict[_Key, _Tally] = {}
        self._outcomes: set[str] = {OK, "cancelled"}
        self.hedges = Counter("jackfield_hedges_total", "Second requests sent for a first token, by who won.", ("outcome",))

    def observe(self, call: Call) -> None:
        """Counts one call whose outcome is settled, or, while its books are open, an attempt that another one follows."""
        binding = call.binding
        key = (call.slot_number, 0 if binding is None else binding.serial, call.model, call.outcome)
        tally = self._seen.get(key)
        if tally is None:
            tally = self._meet(key, call)
        line = tally.line
        if call.books_are_closed:
            tally.count += 1
            received_at = call.received_at
            if tally.is_good:
                seconds, spent_s = line.seconds, self._clock() - received_at
                seconds.counts[bisect_left(SECONDS, spent_s)] += 1
                seconds.sum += spent_s
            if call.first_token_at is not None:
                first, waited_s = line.first_token, call.first_token_at - received_at
                first.counts[bisect_left(SECONDS, waited_s)] += 1
                first.sum += waited_s
        else:
            tally.attempts += 1
        usage = call.usage
        if usage is not None:
            line.prompt_tokens += usage.prompt_tokens
            line.completion_tokens += usage.completion_tokens
            if usage.cached_tokens:
                line.cached_tokens += usage.cached_tokens
            if usage.reasoning_tokens:
                line.reasoning_tokens += usage.reasoning_tokens
        if call.cost is not None:
            line.cost_msat += call.cost.msat
        elif tally.is_good:
            line.unpriced += 1

    def render(self) -> bytes:
        """Everything, as GET /metrics answers it. Some 40 us for each slot and model that was used."""
        self._seen.clear()  # what a slot is known to have may have changed
        return render(self.families())

    def families(self) -> Iterator[Family]:
        yield from self._own()
        yield self.hedges.family()
        for source in self._sources:
            yield from source()

    def _own(self) -> Iterator[Family]:
        lines = self._lines.values()
        yield Family(
            "jackfield_requests_total",
            "counter",
            "Requests that ended, by outcome: ok or an error code.",
            [("", _ending(tally), tally.count) for tally in self._tallies.values() if tally.count],
        )
        yield Family(
            "jackfield_retries_total",
            "counter",
            "Attempts that failed and were followed by another, by where and with what they failed.",
            [("", _ending(tally), tally.attempts) for tally in self._tallies.values() if tally.attempts],
        )
        yield Family(
            "jackfield_request_seconds",
            "histogram",
            "Seconds from the whole request to the whole answer, good answers only.",
            [sample for line in lines for sample in line.seconds.samples(line.labels)],
        )
        yield Family(
            "jackfield_first_token_seconds",
            "histogram",
            "Seconds from the whole request to the first token, where one was seen.",
            [sample for line in lines for sample in line.first_token.samples(line.labels)],
        )
        yield Family(
            "jackfield_tokens_total",
            "counter",
            "Tokens as the sources count them. prompt includes cached, completion includes reasoning.",
            [
                ("", f'{line.labels},kind="{kind}"', getattr(line, f"{kind}_tokens"))
                for line in lines
                for kind in ("prompt", "completion", "cached", "reasoning")
            ],
        )
        yield Family(
            "jackfield_cost_msat_total",
            "counter",
            "Cost in millisatoshi of the answers that have a price.",
            [("", line.labels, line.cost_msat) for line in lines],
        )
        yield Family(
            "jackfield_unpriced_total",
            "counter",
            "Good answers whose price is not known: not in the cost, and not free.",
            [("", line.labels, line.unpriced) for line in lines],
        )

    def _meet(self, key: _Key, call: Call) -> _Tally:
        """The tally for a combination that was not seen since the last look."""
        binding = call.binding
        slot = "" if call.slot_number is None else str(call.slot_number)
        provider = "" if binding is None else binding.info.id
        line = self._line(slot, provider, "" if binding is None else known_model(binding, call.model))
        outcome = self._outcome(call.outcome)
        tally = self._tally(line, outcome)
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen[key] = tally
        return tally

    def _tally(self, line: _Line, outcome: str) -> _Tally:
        if (line, outcome) not in self._tallies and len(self._tallies) >= TALLIES_MAX:
            outcome = OTHER
        tally = self._tallies.get((line, outcome))
        if tally is None:
            tally = self._tallies[line, outcome] = _Tally(line, outcome)
        return tally

    def _line(self, slot: str, provider: str, model: str) -> _Line:
        names = (slot, provider, model)
        if names not in self._lines and len(self._lines) >= LINES_MAX:
            names = (OTHER, OTHER, OTHER)
        line = self._lines.get(names)
        if line is None:
            line = self._lines[names] = _Line(*names)
        return line

    def _outcome(self, outcome: str) -> str:
        """Codes may be an upstream's own words: the first ones count by name."""
        if outcome not in self._outcomes:
            if len(self._outcomes) >= OUTCOMES_MAX or not outcome.isidentifier() or len(outcome) > NAME_MAX_CHARS:
                return OTHER
            self._outcomes.add(outcome)
        return outcome


def known_model(binding: Binding, name: str | None) -> str:
    """`name` as a label: only as its slot's own model or one that its source lists; a dated version counts as its model."""
    own = binding.model or ""
    if name is None or name == own:
        return own[:NAME_MAX_CHARS]
    near = OTHER
    for model in (own, *(profile.id for profile in binding.live.listing or ())):
        if name == model:
            return name[:NAME_MAX_CHARS]
        if model and name.startswith(model) and _VERSION.fullmatch(name, len(model)):
            near = model
    return near[:NAME_MAX_CHARS]


def _ending(tally: _Tally) -> str:
    return f"{tally.line.labels},{written(('outcome', tally.outcome))}"


def in_flight(slots: Iterable[Slot]) -> Iterator[Family]:
    """How many requests run on each plugged slot now."""
    yield Family(
        "jackfield_in_flight",
        "gauge",
        "Requests that run now.",
        [
            (
                "",
                written(("slot", str(int(slot.number))), ("provider", slot.binding.info.id)),
                slot.binding.live.in_flight,
            )
            for slot in slots
            if slot.binding is not None
        ],
    )


def backends(samples: Iterable[BackendSample]) -> Iterator[Family]:
    """The status and the breaker of each backend, 1 for the state that it is in and 0 for the others."""
    found = list(samples)
    yield Family(
        "jackfield_backend_status",
        "gauge",
        "1 for the status that the backend has.",
        [_state(sample, "status", state, sample.status) for sample in found for state in STATUSES],
    )
    yield Family(
        "jackfield_breaker_state",
        "gauge",
        "1 for the state that the backend's circuit breaker is in.",
        [_state(sample, "state", state, sample.breaker) for sample in found for state in BREAKER_STATES],
    )


def _state(sample: BackendSample, label: str, state: str, now: str) -> Sample:
    names = (("backend", sample.backend), ("provider", sample.provider), ("model", sample.model), (label, state))
    return "", written(*names), int(state == now)
