"""The stages: needs, protocols, prices and wishes, each exclusion with its stage and reason."""

from decimal import Decimal
from typing import Any

import pytest

from jackfield.core.modes import OperatingMode
from jackfield.core.profiles import Capabilities, CapabilityRequirement
from jackfield.money.prices import Price
from jackfield.routing.candidates import Candidate
from jackfield.routing.select import Wish, select
from jackfield.routing.wishes import Wishes

AWAY = ("api.example.com:443",)
BURST = {"mode": OperatingMode.BURST, "consents": {"cloud": frozenset({"api.example.com"})}}
TOOLS = CapabilityRequirement(tools=True)


def wishes(**fields: Any) -> dict[str, Any]:
    return {"wishes": Wishes.parse(fields)}


@pytest.mark.behaviour("MGR-05", "MGR-10", "ROUTE-01")
@pytest.mark.parametrize(
    ("what", "wish", "stage", "reason"),
    [
        # Needs: only a known "no" excludes.
        ({}, {"needs": TOOLS}, None, ""),
        ({"capabilities": Capabilities(tools=False)}, {"needs": TOOLS}, "capability", "does not have tools"),
        ({"capabilities": Capabilities(max_context=100)}, {"min_context": 101}, "capability", "101 tokens, only of 100"),
        ({"capabilities": Capabilities(max_context=100)}, {"min_context": 100}, None, ""),
        ({}, {"min_context": 101}, None, ""),
        ({}, {"needs": TOOLS, **wishes(require_parameters=True)}, "capability", "not known to have tools"),
        ({}, {"min_context": 101, **wishes(require_parameters=True)}, "capability", "not known to have min_context"),
        ({"capabilities": Capabilities(tools=True)}, {"needs": TOOLS, **wishes(require_parameters=True)}, None, ""),
        ({}, {"needs": CapabilityRequirement(task="embedding")}, "capability", "the task embedding"),
        # Tasks have one name under many spellings.
        (
            {"capabilities": Capabilities(supported_tasks=("feature-extraction",))},
            {"requirement": CapabilityRequirement(task="text-embedding")},
            None,
            "",
        ),
        ({}, {"requirement": CapabilityRequirement(task="text-embedding")}, "capability", "not known to have task"),
        # Protocols.
        ({}, {"protocols": ("websocket",)}, "capability", "the protocol websocket"),
        ({"capabilities": Capabilities(protocols=("http", "websocket"))}, {"protocols": ("WebSocket",)}, None, ""),
        # Models.
        ({"models": ("a",)}, {"model": "b"}, "capability", "does not list the model b"),
        ({"models": ("a",)}, {"model": "a"}, None, ""),
        # Prices.
        ({"cost_msat": 3}, wishes(max_price={"prompt": 1}), "budget", "price is not known"),
        ({}, wishes(max_price={"prompt": 0}), None, ""),
        (
            {"price": Price(Decimal(2), Decimal(1))},
            wishes(max_price={"prompt": 1, "completion": 1}),
            "budget",
            "prompt tokens cost $2",
        ),
        ({"price": Price(Decimal(1), Decimal(3))}, wishes(max_price={"completion": 2.5}), "budget", "completion is $2.5"),
        ({"price": Price(Decimal(1), Decimal(3))}, wishes(max_price={"prompt": 1}), None, ""),
        # Who may be asked.
        ({}, wishes(only=["slot-4", "groq"]), "policy", "provider.only does not name it"),
        ({}, wishes(only=["slot-3"]), None, ""),
        ({}, wishes(ignore=["here"]), "policy", "provider.ignore names it"),
        ({"id": "b-1"}, wishes(ignore=["b-1"]), "policy", "provider.ignore names it"),
        ({}, wishes(data_collection="deny"), None, ""),
        ({"keeps_data": True}, wishes(data_collection="deny"), "policy", "keeps prompts"),
        ({"provider": "cloud", "hosts": AWAY}, {**BURST, **wishes(zdr=True)}, "policy", "not known to keep no prompts"),
        ({"provider": "cloud", "hosts": AWAY, "keeps_data": False}, {**BURST, **wishes(zdr=True)}, None, ""),
        # Fallbacks.
        ({}, wishes(order=["groq"], allow_fallbacks=False), "fallback", "provider.order does not name it"),
        ({}, wishes(order=["here"], allow_fallbacks=False), None, ""),
        ({}, wishes(order=["groq"]), None, ""),
    ],
)
def test_an_exclusion_has_its_stage_and_its_reason(
    what: dict[str, Any], wish: dict[str, Any], stage: str | None, reason: str
) -> None:
    selection = select([Candidate(3, **{"provider": "here", **what})], Wish(**wish))
    if stage is None:
        assert selection.exclusions == ()
        assert selection.chosen is not None
        return
    (out,) = selection.exclusions
    assert out.stage == stage
    assert reason in out.reason
    assert selection.chosen is None


FIELD = [
    Candidate(0, "cloud", type="api", cost_msat=9, latency_s=0.1, tokens_per_s=80),
    Candidate(1, "engine", type="gpu", latency_s=0.3, tokens_per_s=20),
    Candidate(2, "tool", type="cli", cost_msat=3, latency_s=0.2, tokens_per_s=40),
]


@pytest.mark.behaviour("MGR-04", "ROUTE-01")
@pytest.mark.parametrize(
    ("rules", "order"),
    [
        ({"preferred_types": ("gpu", "api")}, [1, 0, 2]),
        ({"preferred_types": ("cli",)}, [2, 0, 1]),
        ({"preferred_types": ("gpu",), "fallback": ("tool",)}, [1, 2, 0]),
        (wishes(order=["tool", "slot-1"]), [2, 1, 0]),
        (wishes(order=["tool"], sort="price"), [2, 1, 0]),
        (wishes(sort="price"), [1, 2, 0]),
        (wishes(sort="throughput"), [0, 2, 1]),
        (wishes(sort="latency"), [0, 2, 1]),
        (wishes(order=["tool", "engine"], allow_fallbacks=False), [2, 1]),
        (wishes(sort="price", allow_fallbacks=False), [1]),
    ],
)
def test_preferences_come_before_any_policy(rules: dict[str, Any], order: list[int]) -> None:
    selection = select(FIELD, Wish(**rules))
    assert [each.slot for each in selection.order] == order
    assert len(selection.order) + len(selection.exclusions) == len(FIELD)


@pytest.mark.behaviour("MGR-10")
def test_the_decision_shows_the_filters_and_then_the_strategy() -> None:
    field = [
        Candidate(0, "cloud", hosts=AWAY),
        Candidate(1, "plain", capabilities=Capabilities(tools=False)),
        Candidate(2, "dear", cost_msat=50),
        Candidate(3, "down", problem="its circuit is open"),
        Candidate(4, "busy", in_flight=2),
        Candidate(5, "idle"),
    ]
    lines = select(field, Wish(needs=TOOLS, budget_msat=10, policy="least_loaded")).explain()
    assert [line.partition(":")[0] for line in lines] == ["mode", "capability", "budget", "policy", "balance", "fallback"]
    assert lines[4] == "balance: least_loaded asks slot-5 (idle) first"
    assert lines[5] == "fallback: then slot-4 (busy)"
