"""Who stands behind a name is remembered while the panel stays as it is, and looked at anew when it changes."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from jackfield.core.errors import BadRequest, ModelNotFound
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway import standing as module
from jackfield.gateway.call import Call
from jackfield.gateway.naming import Names
from jackfield.gateway.standing import Standings
from jackfield.gateway.steps.resolve import Resolve
from jackfield.routing.use_cases import UseCases
from running_gateway import Gateway, running_gateway


@pytest_asyncio.fixture
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path_factory.mktemp("standing")) as running:
        for number in range(3):
            await running.house.registry.plug(number, "scripted", {"models": ["parrot-1"]})
        await running.house.catalogue.models()
        yield running


def standings(gateway: Gateway, **fallbacks: tuple[str, ...]) -> Standings:
    house = gateway.house
    return Standings(Names(house.registry, house.catalogue, house.backends), house.gate, fallbacks)


async def test_a_name_is_looked_at_once_until_the_panel_changes(gateway: Gateway) -> None:
    kept = standings(gateway)
    first = kept.of("parrot-1")
    assert [target.slot for target in first.targets.values()] == [0, 1, 2]
    assert kept.of("parrot-1") is first
    assert first.state is not None
    await gateway.house.registry.unplug(1)
    assert [target.slot for target in kept.of("parrot-1").targets.values()] == [0, 2]


async def test_turns_go_on_over_a_change_of_the_panel(gateway: Gateway) -> None:
    resolve = gateway.house.pipeline.resolve
    asked = []
    for turn in range(4):
        if turn == 2:
            await gateway.house.registry.rename_slot(2, "other")
        call = Call("r", OpenAIChat(), {}, model_text="parrot-1", stream=False, show_usage=False, at=0.0, received_at=0.0)
        resolve(call)
        assert call.route is not None
        assert call.route.has_others
        asked.append(call.route.first.slot)
    assert sorted(asked[:3]) == [0, 1, 2]
    assert asked[3] == asked[0]


async def test_what_a_fallback_shares_with_the_name_itself_is_asked_once(gateway: Gateway) -> None:
    kept = standings(gateway, **{"slot-0": ("parrot-1", "slot-1", "nobody-has-this")})
    standing = kept.of("slot-0")
    assert standing.sole is None
    assert [[target.slot for target in group] for group in standing.fallbacks] == [[0, 1, 2], [1], []]
    assert {target.model for target in standing.fallbacks[0]} == {"parrot-1"}


async def test_what_is_remembered_stays_bounded(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NAMES_MAX", 3)
    kept = standings(gateway)
    for number in range(20):
        kept.of(f"scripted/anything-{number}")
    assert len(kept) == 3


async def test_a_use_case_is_a_name_too(gateway: Gateway) -> None:
    house = gateway.house
    rules = UseCases.load({"parroting": ["scripted/parrot-1"], "elsewhere": ["openai/gpt-5"]})
    resolve = Resolve(house.registry, house.catalogue, house.backends, house.gate, use_cases=rules)
    standing = resolve.standings.of("use-case/parroting")
    assert {target.model for target in standing.targets.values()} == {"parrot-1"}
    assert len(standing.targets) == 3
    assert next(target["reason"] for target in resolve.explain("use-case/parroting")["targets"]) == "fits scripted/parrot-1"
    with pytest.raises(ModelNotFound, match="asks for openai/gpt-5"):
        resolve.standings.of("use-case/elsewhere")
    with pytest.raises(BadRequest, match="parroting"):
        resolve.standings.of("use-case/parotting")
