"""Batches: never larger than said, each answer to whoever asked, one caller's trouble his own, bounded and left clean."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from jackfield.core.contracts import Provider
from jackfield.core.errors import BadRequest, JackfieldError, Malformed, Overloaded, SlotEmpty, Unavailable
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.scripted import Scripted, ScriptedConfig
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.batching import Batching, BatchSettings, in_batches
from jackfield.slots.registry import ProviderRegistry

SIZE = 8
LONG_S = 60.0
"""Longer than any test: whoever is answered was not waited for."""
Outcomes = Sequence[ChatReply | JackfieldError]


class Watched(Scripted):
    """A simulated source that repeats what it is asked. `sizes` of its batches; with `gate` closed none of them ends."""

    def __init__(self, **config: Any) -> None:
        fields = {"text": "{prompt}", "max_batch_size": SIZE, **config}
        super().__init__(msgspec.convert(fields, ScriptedConfig), Generation())
        self.sizes: list[int] = []
        self.at_once = self.most_at_once = self.cut = self.closed = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def complete_batch(self, requests: Sequence[ChatRequest]) -> list[ChatReply | JackfieldError]:
        self.sizes.append(len(requests))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
            return list(await self.outcomes(requests))
        except asyncio.CancelledError:
            self.cut += 1
            raise
        finally:
            self.at_once -= 1

    async def outcomes(self, requests: Sequence[ChatRequest]) -> Outcomes:
        return await super().complete_batch(requests)

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()


def asked(text: str, **more: Any) -> ChatRequest:
    return ChatRequest((text_message("user", text),), **more)


async def say(batching: Provider, text: str) -> str:
    async with asyncio.timeout(10), batching.open(asked(text)) as events:
        return (await fold(events)).text


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


@pytest.mark.behaviour("MGR-35")
async def test_under_load_batches_are_full_and_never_larger_and_answers_reach_their_callers() -> None:
    source = Watched()
    batching = Batching(source, SIZE)
    answers = await asyncio.gather(*(say(batching, f"caller {number}") for number in range(50)))
    assert answers == [f"caller {number}" for number in range(50)]
    assert max(source.sizes) == SIZE
    assert sum(source.sizes) == 50
    assert source.most_at_once == 1
    assert len(source.sizes) == 7


async def test_who_comes_while_a_batch_runs_is_in_the_next_one() -> None:
    source = Watched()
    source.gate.clear()
    batching = Batching(source, SIZE, BatchSettings(wait_s=0))
    first = asyncio.create_task(say(batching, "first"))
    await until(lambda: source.sizes)
    others = [asyncio.create_task(say(batching, str(number))) for number in range(5)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(first, *others) == ["first", "0", "1", "2", "3", "4"]
    assert source.sizes == [1, 5]


async def test_a_full_batch_waits_for_nobody_and_a_lonely_request_only_a_moment() -> None:
    source = Watched()
    patient = Batching(source, SIZE, BatchSettings(wait_s=LONG_S))
    await asyncio.gather(*(say(patient, str(number)) for number in range(SIZE)))
    assert await say(Batching(source, SIZE), "alone") == "alone"
    assert source.sizes == [SIZE, 1]


async def test_several_batches_run_together_where_that_is_wished() -> None:
    source = Watched()
    source.gate.clear()
    batching = Batching(source, SIZE, BatchSettings(at_once=2))
    asking = [asyncio.create_task(say(batching, str(number))) for number in range(3 * SIZE)]
    await until(lambda: len(source.sizes) == 2)
    source.gate.set()
    await asyncio.gather(*asking)
    assert (source.sizes, source.most_at_once) == ([SIZE] * 3, 2)


@pytest.mark.behaviour("MGR-35")
async def test_one_failing_member_fails_alone() -> None:
    source = Watched(replies=[{"match": "bad", "error": {"code": "overloaded"}}, {"text": "{prompt}"}])
    batching = Batching(source, SIZE, BatchSettings(wait_s=LONG_S))
    answers = await asyncio.gather(
        *(say(batching, "bad" if number in (2, 5) else str(number)) for number in range(SIZE)), return_exceptions=True
    )
    failures = [answers[2], answers[5]]
    assert all(isinstance(failure, Overloaded) for failure in failures)
    assert failures[0] is not failures[1]
    assert [answer for answer in answers if isinstance(answer, str)] == ["0", "1", "3", "4", "6", "7"]


async def test_a_refusal_of_the_whole_batch_is_parted_until_it_is_his_whose_request_was_refused() -> None:
    class Strict(Watched):
        async def outcomes(self, requests: Sequence[ChatRequest]) -> Outcomes:
            if any(request.messages[0].text == "bad" for request in requests):
                raise BadRequest("one of them is malformed")
            return await super().outcomes(requests)

    source = Strict()
    batching = Batching(source, SIZE, BatchSettings(wait_s=LONG_S))
    answers = await asyncio.gather(
        *(say(batching, "bad" if number == 3 else str(number)) for number in range(SIZE)), return_exceptions=True
    )
    assert isinstance(answers[3], BadRequest)
    assert [answer for answer in answers if isinstance(answer, str)] == ["0", "1", "2", "4", "5", "6", "7"]
    assert source.sizes == [8, 4, 2, 2, 1, 1, 4]


@pytest.mark.parametrize(
    ("given", "expected"),
    [(Unavailable("down"), Unavailable), ("one too few", Malformed), (ZeroDivisionError(), ZeroDivisionError)],
    ids=["down", "one too few", "a fault in its code"],
)
async def test_what_hits_all_is_told_to_all(given: Any, expected: type[Exception]) -> None:
    class Broken(Watched):
        async def outcomes(self, requests: Sequence[ChatRequest]) -> Outcomes:
            if isinstance(given, Exception):
                raise given
            return (await super().outcomes(requests))[1:]

    source = Broken()
    batching = Batching(source, SIZE, BatchSettings(wait_s=LONG_S))
    answers = await asyncio.gather(*(say(batching, str(number)) for number in range(SIZE)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [expected] * SIZE
    assert source.sizes == [SIZE]


@pytest.mark.behaviour("MGR-35")
async def test_a_caller_who_leaves_takes_nobody_along() -> None:
    source = Watched()
    source.gate.clear()
    batching = Batching(source, 2, BatchSettings(wait_s=0.01))
    asking = [asyncio.create_task(say(batching, str(number))) for number in range(6)]
    await until(lambda: source.sizes)
    asking[0].cancel()
    asking[3].cancel()
    await asyncio.sleep(0)
    source.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, str)] == ["1", "2", "4", "5"]
    assert (source.sizes, source.cut) == ([2, 2, 1], 0)


async def test_a_batch_that_nobody_waits_for_is_cut_and_the_next_one_begins() -> None:
    source = Watched()
    source.gate.clear()
    batching = Batching(source, 2, BatchSettings(wait_s=0.01))
    asking = [asyncio.create_task(say(batching, str(number))) for number in range(3)]
    await until(lambda: source.sizes)
    for task in asking[:2]:
        task.cancel()
    await until(lambda: len(source.sizes) == 2)
    source.gate.set()
    assert (await asyncio.gather(*asking, return_exceptions=True))[2] == "2"
    assert (source.sizes, source.cut, source.at_once) == ([2, 1], 1, 0)


async def test_leaving_before_the_batch_has_begun_leaves_room_for_others() -> None:
    source = Watched()
    batching = Batching(source, 2, BatchSettings(wait_s=0.01))
    asking = [asyncio.create_task(say(batching, str(number))) for number in range(2)]
    await asyncio.sleep(0)  # both have asked, and their batch is a task that has not run yet
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert await say(batching, "next") == "next"
    assert source.sizes == [1]


async def test_the_line_is_bounded() -> None:
    source = Watched()
    source.gate.clear()
    batching = Batching(source, SIZE, BatchSettings(wait_s=0, waiting_max=3))
    asking = [asyncio.create_task(say(batching, "runs"))]
    await until(lambda: source.sizes)
    asking += [asyncio.create_task(say(batching, str(number))) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="3 requests wait") as refusal:
        await say(batching, "one too many")
    assert (refusal.value.code, refusal.value.retry_after_s) == ("queue_full", 1.0)
    source.gate.set()
    assert len(await asyncio.gather(*asking)) == 4


async def test_closing_tells_everybody_and_cuts_what_runs() -> None:
    source = Watched()
    source.gate.clear()
    batching = Batching(source, 2, BatchSettings(wait_s=0.01))
    asking = [asyncio.create_task(say(batching, str(number))) for number in range(5)]
    await until(lambda: source.sizes)
    await batching.aclose()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [SlotEmpty] * 5
    assert (source.sizes, source.cut, source.closed) == ([2], 1, 1)
    with pytest.raises(SlotEmpty):
        await say(batching, "late")


async def test_a_stream_is_not_gathered() -> None:
    source = Watched()
    async with Batching(source, SIZE, BatchSettings(wait_s=LONG_S)).open(asked("now", stream=True)) as events:
        assert (await fold(events)).text == "now"
    assert source.sizes == []


def test_only_what_can_and_may_is_gathered() -> None:
    source = Watched()
    assert in_batches(source, 1) is source
    assert isinstance(in_batches(source, 2), Batching)
    assert in_batches(source, 2).info is source.info


class Counting(InferenceProviderAdapter):
    """Somebody's engine that computes up to eight answers together (simulated)."""

    provider_id, provider_type, display_name = "counting", "local", "Counting"
    made: list["Counting"] = []  # noqa: RUF012 - every instance, for a look

    def __init__(self) -> None:
        self.sizes: list[int] = []
        Counting.made.append(self)

    @property
    def capabilities(self) -> Any:
        return msgspec.structs.replace(super().capabilities, supports_batching=True, max_batch_size=SIZE)

    async def forward(self, prompt: str, **kwargs: Any) -> str:
        return f"alone: {prompt}"

    async def complete_batch(self, requests: Sequence[ChatRequest]) -> Outcomes:
        self.sizes.append(len(requests))
        return [ChatReply(text_message("assistant", request.messages[-1].text), "m", "stop") for request in requests]


@pytest.mark.behaviour("MGR-35")
async def test_a_plugged_source_that_can_is_asked_in_batches_through_its_handle(panel: ProviderRegistry) -> None:
    Counting.made.clear()
    panel.register("counting", Counting)
    assert await panel.plug(0, "counting")
    adapter = panel.get_adapter(0)
    assert adapter is not None
    answers = await asyncio.gather(*(adapter.complete(asked(str(number))) for number in range(20)))
    assert [answer.text for answer in answers] == [str(number) for number in range(20)]
    assert Counting.made[-1].sizes == [8, 8, 4]
