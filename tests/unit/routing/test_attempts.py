"""What follows a failed attempt: kinds, the table, one budget a request."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core import errors
from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    BudgetSpent,
    ContentRefused,
    ContextOverflow,
    EgressDenied,
    JackfieldError,
    Malformed,
    MissingExtra,
    ModelNotFound,
    Overloaded,
    RateLimited,
    ServiceFailed,
    StreamBroken,
    TimedOut,
    Unavailable,
)
from jackfield.dialects.openai_chat import decode_error
from jackfield.routing.attempts import (
    RULES,
    Action,
    FailureKind,
    RetryBudget,
    RetrySettings,
    RetryTokens,
    Step,
    kind_of,
    needs_larger_context,
)

NEVER = 1e9


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def budget(clock: Clock | None = None, *, deadline: float = NEVER, random: float = 0.5, **more: Any) -> RetryBudget:
    return RetryBudget(deadline, clock=clock or Clock(), random=lambda: random, **more)


def step(error: JackfieldError, *, siblings: int = 0, fallbacks: int = 0, committed: bool = False, **more: Any) -> Step:
    return budget(**more).next_step(error, committed=committed, siblings=siblings, fallbacks=fallbacks)


def body(code: str = "") -> bytes:
    return json.dumps({"error": {"message": "no", "code": code or None}}).encode()


@pytest.mark.behaviour("ERR-10")
@pytest.mark.parametrize(
    ("status", "code", "class_", "kind", "is_retryable"),
    [
        (400, "", BadRequest, "request", False),
        (400, "context_length_exceeded", ContextOverflow, "request", False),
        (400, "content_filter", ContentRefused, "content", False),
        (401, "", AuthFailed, "credential", False),
        (402, "", BudgetSpent, "account", False),
        (403, "", AuthFailed, "credential", False),
        (404, "model_not_found", ModelNotFound, "request", False),
        (408, "", TimedOut, "transport", True),
        (422, "", BadRequest, "request", False),
        (429, "", RateLimited, "rate_limit", True),
        (429, "insufficient_quota", BudgetSpent, "account", False),
        (500, "", Unavailable, "upstream", True),
        (502, "", Unavailable, "upstream", True),
        (503, "", Overloaded, "overload", True),
        (504, "", TimedOut, "transport", True),
        (529, "", Overloaded, "overload", True),
    ],
)
def test_a_status_has_a_class_a_kind_and_says_whether_it_is_retried(
    status: int, code: str, class_: type[JackfieldError], kind: str, is_retryable: bool
) -> None:
    error = decode_error(status, body(code), provider="there")
    assert type(error) is class_
    assert kind_of(error) == kind
    assert (step(error).action is Action.RETRY_SAME) is is_retryable


def test_a_socket_error_behind_an_unavailable_makes_it_the_transports() -> None:
    refused = Unavailable("refused")
    refused.__cause__ = ConnectionRefusedError()
    assert kind_of(refused) is FailureKind.TRANSPORT
    assert kind_of(StreamBroken("cut")) is FailureKind.TRANSPORT
    assert kind_of(Malformed("garbage")) is FailureKind.UPSTREAM
    assert kind_of(ServiceFailed("crashed")) is FailureKind.UPSTREAM


@pytest.mark.parametrize("class_", [MissingExtra, EgressDenied, ModelNotFound, errors.SlotEmpty, errors.Conflict])
def test_what_is_no_fault_of_the_source_says_nothing_about_its_health(class_: type[JackfieldError]) -> None:
    assert kind_of(class_("no")) is FailureKind.REQUEST


def test_every_error_has_a_kind_and_every_kind_a_rule() -> None:
    known = [class_ for class_ in vars(errors).values() if isinstance(class_, type) and issubclass(class_, JackfieldError)]
    assert {kind_of(class_("x")) for class_ in known} <= set(RULES) == set(FailureKind)
    harmful = set(FailureKind) - {FailureKind.REQUEST, FailureKind.CONTENT, FailureKind.CREDENTIAL, FailureKind.ACCOUNT}
    assert all(kind_of(class_("x")) in harmful for class_ in known if class_.hurts_health)


@pytest.mark.behaviour("MGR-34")
def test_a_429_is_retried_no_sooner_than_it_asked_for_and_a_401_never() -> None:
    clock = Clock()
    carried = budget(clock, deadline=60.0, random=0.0)
    told = carried.next_step(RateLimited("slow down", retry_after_s=2), committed=False, siblings=0, fallbacks=0)
    assert told.action is Action.RETRY_SAME
    assert told.delay_s >= 2.0
    assert step(AuthFailed("wrong key")).action is Action.GIVE_UP


@pytest.mark.behaviour("MGR-34")
def test_waits_double_under_full_jitter_up_to_ten_seconds() -> None:
    def delays(random: float, first_delay_s: float = 0.2) -> list[float]:
        carried = budget(random=random, settings=RetrySettings(first_delay_s=first_delay_s))
        error = Overloaded("busy")
        return [carried.next_step(error, committed=False, siblings=0, fallbacks=0).delay_s for _ in range(3)]

    assert delays(0.999_999) == pytest.approx([0.2, 0.4, 0.8], rel=1e-3)
    assert delays(0.999_999, first_delay_s=4) == pytest.approx([4, 8, 10], rel=1e-3)
    assert delays(0.5) == pytest.approx([0.1, 0.2, 0.4])
    assert delays(0.0) == [0, 0, 0]


def test_a_sibling_comes_before_waiting_and_waiting_before_another_model() -> None:
    error = RateLimited("slow down", retry_after_s=2)
    assert step(error, siblings=1, fallbacks=1)[:2] == (Action.SIBLING, 0.0)
    assert step(error, fallbacks=1).action is Action.RETRY_SAME
    assert step(RateLimited("much later", retry_after_s=20), fallbacks=1).action is Action.FALLBACK
    assert step(RateLimited("much later", retry_after_s=20)).action is Action.RETRY_SAME


def test_a_wait_longer_than_the_time_left_is_not_begun() -> None:
    error = RateLimited("slow down", retry_after_s=30)
    assert step(error, siblings=1, deadline=29.0).action is Action.SIBLING
    told = step(error, deadline=29.0)
    assert told.action is Action.GIVE_UP
    assert "longer than this request may take" in told.reason
    assert error.retry_after_s == 30, "the client is told what the source asked for"


def test_the_request_is_repeated_once_before_another_model_is_asked_and_thrice_where_there_is_none() -> None:
    def actions(fallbacks: int) -> list[str]:
        carried = budget()
        return [
            carried.next_step(Unavailable("500"), committed=False, siblings=0, fallbacks=fallbacks).action for _ in range(4)
        ]

    assert actions(1) == ["retry_same", "fallback", "retry_same", "give_up"]
    assert actions(0) == ["retry_same", "retry_same", "retry_same", "give_up"]


def test_a_silent_source_is_asked_a_second_time_and_no_third() -> None:
    carried = budget()
    told = [carried.next_step(TimedOut("silence"), committed=False, siblings=0, fallbacks=0).action for _ in range(2)]
    assert told == [Action.RETRY_SAME, Action.GIVE_UP]


def test_an_overflow_goes_where_there_is_more_room_and_a_bad_request_nowhere() -> None:
    assert needs_larger_context(ContextOverflow("too long"))
    assert not needs_larger_context(BadRequest("no"))
    assert step(ContextOverflow("too long"), fallbacks=1).action is Action.FALLBACK
    assert step(ContextOverflow("too long")).action is Action.GIVE_UP
    assert step(BadRequest("no"), siblings=3, fallbacks=3).action is Action.GIVE_UP


def test_a_refusal_goes_to_another_model_only_where_the_client_allows_it() -> None:
    refusal = ContentRefused("no")
    assert step(refusal, fallbacks=1).action is Action.GIVE_UP
    assert step(refusal, fallbacks=1, falls_back_on_refusal=True).action is Action.FALLBACK


@pytest.mark.behaviour("TRY-02")
def test_when_everything_fails_a_pool_gets_little_more_than_its_callers_send() -> None:
    tokens = RetryTokens(share=0.1, burst=10)
    sent = 0
    for _ in range(1000):
        tokens.earn()
        carried = budget(tokens=tokens)
        sent += 1
        while carried.next_step(Unavailable("500"), committed=False, siblings=1, fallbacks=0).action is not Action.GIVE_UP:
            sent += 1
    assert 1100 <= sent <= 1110


def test_without_tokens_another_model_may_still_be_asked() -> None:
    tokens = RetryTokens(burst=0)
    assert step(Unavailable("500"), siblings=1, fallbacks=1, tokens=tokens).action is Action.FALLBACK
    told = step(Unavailable("500"), siblings=1, tokens=tokens)
    assert told.action is Action.GIVE_UP
    assert "being repeated already" in told.reason


@given(st.lists(st.booleans(), max_size=200))
def test_tokens_taken_never_exceed_the_share_and_the_burst(takes: list[bool]) -> None:
    tokens = RetryTokens(share=0.1, burst=3)
    earned = taken = 0
    for take in takes:
        if take:
            taken += tokens.take()
        else:
            tokens.earn()
            earned += 1
        assert taken <= 3 + 0.1 * earned + 1e-9
        assert 0 <= tokens.level <= 3


ERRORS = st.builds(
    lambda class_, retry_after_s: class_("x", retry_after_s=retry_after_s),
    st.sampled_from(
        (
            *(AuthFailed, BudgetSpent, RateLimited, Overloaded, Unavailable, TimedOut, Malformed, StreamBroken, ServiceFailed),
            *(BadRequest, ContextOverflow, ContentRefused, ModelNotFound, MissingExtra),
        )
    ),
    st.none() | st.floats(-5, 400),
)
TURNS = st.lists(
    st.tuples(ERRORS, st.booleans(), st.integers(0, 2), st.integers(0, 2), st.floats(0, 20)), min_size=1, max_size=12
)


@pytest.mark.behaviour("TRY-01", "MGR-34")
@settings(max_examples=200)
@given(TURNS, st.floats(0, 0.999), st.integers(0, 6), st.booleans(), st.floats(0, 200))
def test_whatever_fails_the_budget_holds(
    turns: list[tuple[JackfieldError, bool, int, int, float]], random: float, limit: int, allows: bool, deadline: float
) -> None:
    clock = Clock()
    carried = budget(clock, deadline=deadline, random=random, settings=RetrySettings(limit=limit), falls_back_on_refusal=allows)
    acted = 0
    for error, committed, siblings, fallbacks, passed in turns:
        clock.now += passed
        left_s = carried.remaining_s()
        told = carried.next_step(error, committed=committed, siblings=siblings, fallbacks=fallbacks)
        if told.action is Action.GIVE_UP:
            assert told.reason
            continue
        acted += 1
        assert not committed, "nothing may follow what the client has seen"
        assert left_s > 0
        assert told.delay_s < left_s
        if told.action is Action.RETRY_SAME:
            assert error.may_retry or isinstance(error, StreamBroken), "what broke off before content may be asked once more"
            assert told.delay_s >= (error.retry_after_s or 0)
            assert told.delay_s <= max(0, error.retry_after_s or 0) + 10
        else:
            assert (siblings if told.action is Action.SIBLING else fallbacks) > 0
            assert error.may_fall_back or (isinstance(error, ContentRefused) and allows)
    assert acted <= limit
    assert carried.left == limit - acted
