"""From a name to a slot: the order in which readings are tried, and that any text at all ends in an answer or a refusal."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, JackfieldError, ModelNotFound, SlotEmpty, SlotOutOfRange
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway import naming
from jackfield.gateway.call import Call
from jackfield.gateway.steps.resolve import Resolve
from running_gateway import Gateway, running_gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("resolve")
    async with running_gateway(folder) as running:
        registry = running.house.registry
        await registry.plug(0, "scripted", {"models": ["parrot-1", "org/parrot-2"]}, name="Parrot")
        await registry.plug(2, "scripted", {}, model="parrot-9")
        await running.house.catalogue.models()
        yield running


def resolve(gateway: Gateway) -> Resolve:
    return gateway.house.pipeline.resolve


@pytest.mark.parametrize(
    ("text", "number", "model"),
    [
        ("slot-0", 0, None),
        ("SLOT-2", 2, None),
        (" slot-0 ", 0, None),
        ("Parrot", 0, None),
        ("parrot", 0, None),
        ("scripted/anything", 0, "anything"),
        ("scripted/parrot-9", 2, "parrot-9"),
        ("parrot-1", 0, "parrot-1"),
        ("org/parrot-2", 0, "org/parrot-2"),
        ("parrot-9", 2, "parrot-9"),
    ],
)
def test_each_reading(gateway: Gateway, text: str, number: int, model: str | None) -> None:
    slot, found = resolve(gateway).names.find(text)[0]
    assert (int(slot.number), found) == (number, model)


def test_a_name_that_nobody_has_says_what_there_is(gateway: Gateway) -> None:
    with pytest.raises(ModelNotFound, match=r"known here: slot-0, Parrot.*; GET /v1/models lists all"):
        resolve(gateway).names.find("something-else-entirely")
    with pytest.raises(ModelNotFound, match="did you mean 'Parrot'"):
        resolve(gateway).names.find("Parrott")


@pytest.mark.parametrize(
    ("text", "kind"), [("", BadRequest), ("  ", BadRequest), ("slot--1", SlotOutOfRange), ("slot-32", SlotOutOfRange)]
)
def test_what_cannot_be_a_name(gateway: Gateway, text: str, kind: type[JackfieldError]) -> None:
    with pytest.raises(kind):
        resolve(gateway).names.find(text)


def test_what_is_remembered_stays_bounded(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "PARSED_MAX", 3)
    step = resolve(gateway).names
    for number in range(20):
        with pytest.raises(JackfieldError):
            step.find(f"nobody-{number}")
    assert len(step._parsed) <= 3


@given(
    text=st.text(max_size=80) | st.from_regex(r"slot[-_]-?[0-9]{0,30}", fullmatch=True) | st.text("/sloSLOT-0129 ", max_size=12)
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_ends_in_a_slot_or_a_refusal(gateway: Gateway, text: str) -> None:
    found: int | None = None
    try:
        found = int(resolve(gateway).names.find(text)[0][0].number)
    except JackfieldError as error:
        refusal = error
    assert found in range(32) if found is not None else refusal.status in (400, 404)


def test_an_empty_slot_is_refused_with_what_to_do(gateway: Gateway) -> None:
    call = Call("req-1", OpenAIChat(), {}, model_text="slot-5", stream=False, show_usage=False, at=0.0, received_at=0.0)
    with pytest.raises(SlotEmpty, match="jackfield slots plug 5 PROVIDER"):
        resolve(gateway)(call)
