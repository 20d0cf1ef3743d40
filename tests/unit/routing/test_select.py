"""Selection: five stages in their order, each exclusion with its reason."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, NoCapableProvider
from jackfield.core.modes import OperatingMode
from jackfield.core.profiles import Capabilities, CapabilityRequirement
from jackfield.money.prices import PriceTable
from jackfield.providers.registry import load_registrar
from jackfield.routing.select import POLICIES, STAGES, Candidate, ProviderSelector, Wish, select
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.workbench import Toolbox
from jackfield.store.secrets import SecretStore
from jackfield.transport.egress import EgressGate

AWAY = ("api.example.com:443",)
ABLE = Capabilities(tools=True, max_context=8000)
BURST = {"mode": OperatingMode.BURST, "consents": {"cloud": frozenset({"api.example.com"})}}


def candidate(slot: int, **more: Any) -> Candidate:
    return Candidate(slot, **{"provider": "here", "capabilities": ABLE, **more})


@pytest.mark.behaviour("SLOT-25")
@pytest.mark.parametrize(
    ("what", "wish", "stage", "reason"),
    [
        ({"provider": "cloud", "hosts": AWAY}, {}, "mode", "the mode is local_only"),
        ({"provider": "cloud", "hosts": AWAY}, {"mode": OperatingMode.AIRGAPPED}, "mode", "airgapped"),
        ({"provider": "cloud", "hosts": AWAY}, {"mode": OperatingMode.BURST}, "mode", "nobody has consented"),
        ({"provider": "cloud", "hosts": AWAY}, BURST, None, ""),
        ({"hosts": ("127.0.0.1:1",)}, {"mode": OperatingMode.AIRGAPPED}, None, ""),
        ({"capabilities": Capabilities()}, {"requirement": CapabilityRequirement(tools=True)}, "capability", "tools"),
        ({}, {"requirement": CapabilityRequirement(min_context=9000)}, "capability", "min_context"),
        ({"models": ("a",)}, {"requirement": CapabilityRequirement(model="b")}, "capability", "does not list the model b"),
        ({"models": ("a", "b")}, {"requirement": CapabilityRequirement(model="b")}, None, ""),
        ({"models": ()}, {"requirement": CapabilityRequirement(model="b")}, None, ""),
        ({"role": "embed"}, {}, "capability", "for embed, not chat"),
        ({"cost_msat": 11}, {"budget_msat": 10}, "budget", "11 msat of 10"),
        ({"cost_msat": None}, {"budget_msat": 10}, "budget", "price is not known"),
        ({"cost_msat": None}, {}, None, ""),
        ({"problem": "start the server"}, {}, "policy", "start the server"),
        # Several reasons: the first stage in order speaks.
        (
            {"provider": "cloud", "hosts": AWAY, "capabilities": Capabilities()},
            {"requirement": CapabilityRequirement(tools=True)},
            "mode",
            "",
        ),
        (
            {"capabilities": Capabilities(), "cost_msat": 9},
            {"requirement": CapabilityRequirement(tools=True), "budget_msat": 1},
            "capability",
            "",
        ),
        ({"cost_msat": 9, "problem": "down"}, {"budget_msat": 1}, "budget", ""),
    ],
)
def test_every_exclusion_has_its_stage_and_reason(
    what: dict[str, Any], wish: dict[str, Any], stage: str | None, reason: str
) -> None:
    selection = select([candidate(3, **what)], Wish(**wish))
    if stage is None:
        assert selection.chosen is not None
        assert selection.exclusions == ()
        return
    assert selection.chosen is None
    (out,) = selection.exclusions
    assert (out.stage, out.slot) == (stage, 3)
    assert reason in out.reason
    assert selection.explain()[0].startswith(f"{stage}: slot-3 ")


FIELD = [
    candidate(0, provider="a", hosts=AWAY, cost_msat=5, latency_s=0.3, in_flight=2),
    candidate(1, provider="b", cost_msat=None, latency_s=0.1, in_flight=1),
    candidate(2, provider="c", cost_msat=1, latency_s=0.0, in_flight=0),
]


@pytest.mark.behaviour("SLOT-25")
@pytest.mark.parametrize(
    ("rules", "order"),
    [
        ({}, [0, 1, 2]),
        ({"policy": "local_first"}, [1, 2, 0]),
        ({"policy": "cheapest"}, [2, 0, 1]),
        ({"policy": "fastest"}, [1, 0, 2]),
        ({"policy": "least_loaded"}, [2, 1, 0]),
        ({"fallback": ("c", "slot-1")}, [2, 1, 0]),
        ({"fallback": ("slot-1",), "policy": "cheapest"}, [1, 2, 0]),
    ],
)
def test_policy_and_fallback_give_the_order(rules: dict[str, Any], order: list[int]) -> None:
    wish = Wish(mode=OperatingMode.BURST, consents={"a": frozenset({"api.example.com"})}, **rules)
    selection = select(FIELD, wish)
    assert [each.slot for each in selection.order] == order
    lines = selection.explain()
    assert f"slot-{order[0]}" in lines[0]
    assert [line for line in lines if line.startswith("fallback:")] == [
        f"fallback: then {each.label}" for each in selection.order[1:]
    ]


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(BadRequest, match="did you mean 'cheapest'"):
        select([], Wish(policy="cheapst"))


candidates = st.lists(
    st.builds(
        Candidate,
        slot=st.integers(0, 31),
        provider=st.sampled_from("abc"),
        hosts=st.sampled_from([(), AWAY]),
        capabilities=st.sampled_from([Capabilities(), ABLE]),
        cost_msat=st.none() | st.integers(0, 20),
        latency_s=st.floats(0, 2),
        in_flight=st.integers(0, 5),
        problem=st.sampled_from([None, "down"]),
    ),
    max_size=8,
    unique_by=lambda each: each.slot,
)
wishes = st.builds(
    Wish,
    requirement=st.sampled_from([CapabilityRequirement(), CapabilityRequirement(tools=True)]),
    mode=st.sampled_from(list(OperatingMode)),
    budget_msat=st.none() | st.integers(0, 20),
    policy=st.sampled_from(sorted(POLICIES)),
    fallback=st.lists(st.sampled_from(["a", "b", "slot-3"]), max_size=2).map(tuple),
)


@settings(max_examples=200)
@given(candidates, wishes, st.randoms())
def test_everybody_is_either_in_the_order_or_excluded_and_the_order_is_settled(
    field: list[Candidate], wish: Wish, chance: Any
) -> None:
    selection = select(field, wish)
    seen = [*(each.slot for each in selection.order), *(out.slot for out in selection.exclusions)]
    assert len(seen) == len(field)
    assert set(seen) == {each.slot for each in field}
    assert all(out.stage in STAGES and out.reason for out in selection.exclusions)
    if wish.mode is not OperatingMode.BURST:
        assert all(each.is_local for each in selection.order)
    shuffled = list(field)
    chance.shuffle(shuffled)
    assert select(shuffled, wish) == selection


@pytest.mark.behaviour("SLOT-25")
async def test_the_selector_reads_the_panel(tmp_path: Path) -> None:
    gate = EgressGate()
    secrets = SecretStore(tmp_path, {}, use_keyring=False)
    tools = Toolbox.fresh(gate, secrets)
    panel = ProviderRegistry(load_registrar(plugins=False), tools, secrets=secrets, gate=gate, size=4)
    selector = ProviderSelector(panel, gate, PriceTable.load())
    with pytest.raises(NoCapableProvider, match="nothing is plugged"):
        selector.pick()
    await panel.plug(0, "scripted", {"models": ["poet"]})
    await panel.plug(1, "bittensor", {}, require_ready=False)
    await panel.plug(2, "openai-compat", {"base_url": "https://api.example.invalid/v1"}, consent=True, require_ready=False)
    assert selector.pick(CapabilityRequirement(model="poet")) is panel.get_adapter(0)
    selection = selector.select(CapabilityRequirement(embeddings=True), budget_msat=0)
    assert [each.slot for each in selection.order] == [0]
    assert {out.slot: out.stage for out in selection.exclusions} == {1: "capability", 2: "budget"}
    gate.set_mode(OperatingMode.LOCAL_ONLY)
    assert {out.slot: out.stage for out in selector.select().exclusions} == {1: "policy", 2: "mode"}
    with pytest.raises(NoCapableProvider, match=r"slot-2 \(openai-compat\) is out: prompts would go to"):
        selector.pick(CapabilityRequirement(model="no such model"))
    await panel.aclose()
    await tools.aclose()
