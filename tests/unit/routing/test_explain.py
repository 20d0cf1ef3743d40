"""Decisions in words and as JSON, the memory of the last ones, and the error for nobody."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BudgetSpent, JackfieldError, ModeForbids, NoCapableProvider, Unavailable
from jackfield.routing.candidates import Candidate
from jackfield.routing.explain import Decisions, refusal
from jackfield.routing.pools import Pool
from jackfield.routing.select import Wish, select
from jackfield.routing.wishes import Wishes

AWAY = ("api.example.com:443",)


@pytest.mark.behaviour("ROUTE-02")
def test_a_decision_is_plain_json_with_everybody_in_it() -> None:
    field = [Candidate(0, "a", problem="down"), Candidate(1, "b"), Candidate(2, "c", id="c-1", type="gpu")]
    told = select(field, Wish(preferred_types=("gpu",))).as_dict()
    assert msgspec.json.decode(msgspec.json.encode(told)) == told
    assert (told["chosen"], told["policy"], told["model"]) == ("c-1", "round_robin", None)
    assert [(each["name"], each["is_in"], each["stage"], each["reason"]) for each in told["candidates"]] == [
        ("c-1", True, "balance", "type gpu is preferred"),
        ("slot-1", True, "fallback", "next if the one before fails"),
        ("slot-0", False, "policy", "down"),
    ]


@pytest.mark.behaviour("ROUTE-02")
def test_the_last_decisions_are_kept_by_request_id_and_no_more_than_those() -> None:
    pool = Pool([Candidate(0, "a"), Candidate(1, "b", problem="down")])
    decisions = Decisions(limit=3, clock=lambda: 7.0)
    for number in range(5):
        decisions.note(f"r{number}", pool.select(Wish()))
    decisions.note("r3", pool.select(Wish()))
    assert len(decisions) == 3
    assert decisions.get("r0") is None
    assert [each.request_id for each in decisions.recent(2)] == ["r3", "r4"]
    kept = decisions.get("r3")
    assert kept is not None
    assert kept.choice.selection().explain() == [
        "policy: slot-1 (b) is out: down",
        "balance: round_robin asks slot-0 (a) first",
    ]
    told = kept.as_dict()
    assert (told["request_id"], told["at"]) == ("r3", 7.0)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 40), max_size=100), st.integers(1, 10))
def test_the_memory_is_bounded_and_holds_the_newest(ids: list[int], limit: int) -> None:
    decisions = Decisions(limit=limit)
    choice = Pool([Candidate(0, "a")]).select(Wish())
    for number in ids:
        decisions.note(str(number), choice)
    newest = list(dict.fromkeys(str(number) for number in reversed(ids)))[:limit]
    assert [each.request_id for each in decisions.recent(100)] == newest


@pytest.mark.parametrize(
    ("field", "wish", "kind"),
    [
        ([], {}, NoCapableProvider),
        ([Candidate(0, "a", hosts=AWAY)], {}, ModeForbids),
        ([Candidate(0, "a", hosts=AWAY), Candidate(1, "b", models=("x",))], {"model": "y"}, NoCapableProvider),
        ([Candidate(0, "a", models=("x",)), Candidate(1, "b", cost_msat=9)], {"model": "y", "budget_msat": 1}, BudgetSpent),
        ([Candidate(0, "a", cost_msat=9), Candidate(1, "b", problem="resting")], {"budget_msat": 1}, Unavailable),
        ([Candidate(0, "a")], {"wishes": Wishes.parse({"only": ["b"]})}, NoCapableProvider),
    ],
)
def test_the_error_for_nobody_is_of_those_who_came_furthest(
    field: list[Candidate], wish: dict[str, Any], kind: type[JackfieldError]
) -> None:
    error = refusal(select(field, Wish(**wish)))
    assert type(error) is kind
    assert "nobody can take this request" in error.message
    assert error.status == (503 if kind is Unavailable else kind.default_status)


def test_the_error_for_nobody_does_not_list_hundreds() -> None:
    error = refusal(select([Candidate(slot, "p", models=("x",)) for slot in range(300)], Wish(model="y")))
    assert "for the model y" in error.message
    assert "and 292 more" in error.message
