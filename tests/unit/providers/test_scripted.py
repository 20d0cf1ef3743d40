"""The scripted player: what is written is what is said."""

import asyncio
from typing import Any

import pytest

from jackfield.core.errors import BadRequest, Overloaded, RateLimited, StreamBroken
from jackfield.core.events import ChatReply, Event, Finished, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation
from jackfield.providers.scripted import Scripted
from jackfield.testing.tools import FakeTools

TOOLS = FakeTools(None)


def _made(*replies: dict[str, Any], **config: Any) -> Scripted:
    return Scripted.create({"replies": list(replies), **config}, TOOLS)


async def _say(player: Scripted, text: str, **generation: Any) -> ChatReply:
    async with player.open(ChatRequest((text_message("user", text),), generation=Generation(**generation))) as events:
        return await fold(events)


async def _watch(player: Scripted, seen: list[Event]) -> None:
    async with player.open(ChatRequest((text_message("user", "x"),))) as events:
        async for event in events:
            seen.append(event)


async def test_the_first_matching_line_is_said_then_the_default() -> None:
    player = _made({"match": "HEL+O", "text": "hi {prompt}"}, {"match": "h", "text": "second"}, text="else")
    assert (await _say(player, "hello")).text == "hi hello"
    assert (await _say(player, "ha")).text == "second"
    assert (await _say(player, "x")).text == "else"


async def test_it_is_always_labelled() -> None:
    player = _made()
    assert player.info.simulated
    assert "simulated" in player.info.display_name
    assert (await _say(player, "x")).extra["simulated"] is True
    assert "simulated" in (await _say(player, "x")).text


async def test_a_line_can_wear_out() -> None:
    player = _made({"text": "once", "times": 1}, {"text": "then"})
    assert [(await _say(player, "x")).text for _ in range(3)] == ["once", "then", "then"]


async def test_reasoning_tools_and_usage_are_played() -> None:
    reply = await _say(
        _made({"reasoning": "let me see", "text": "so", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}), "two words"
    )
    assert [type(part).__name__ for part in reply.message.parts] == ["ReasoningPart", "TextPart", "ToolCallPart"]
    assert reply.finish_reason == "tool_calls"
    assert reply.message.tool_calls[0].arguments == '{"a":1}'
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == 2


async def test_errors_are_raised_before_or_in_the_middle() -> None:
    told = {"code": "rate_limit_exceeded", "message": "slow", "retry_after_s": 2}
    with pytest.raises(RateLimited, match="slow") as caught:
        await _say(_made({"error": told}), "x")
    assert (caught.value.retry_after_s, caught.value.provider) == (2, "scripted")
    for line, kind in (
        ({"text": "a b c", "cut_after": 2}, StreamBroken),
        ({"text": "a b", "cut_after": 9}, StreamBroken),
        ({"text": "a b c", "cut_after": 1, "error": {"code": "overloaded"}}, Overloaded),
    ):
        seen: list[Event] = []
        with pytest.raises(kind):
            await _watch(_made(line), seen)
        assert len(seen) > 1
        assert not any(isinstance(event, Finished) for event in seen)


async def test_a_slow_line_can_be_left() -> None:
    player = _made({"text": "a", "delay_s": 60})
    task = asyncio.create_task(_say(player, "x"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_max_tokens_shortens() -> None:
    reply = await _say(_made({"text": "a b c d"}), "x", max_tokens=2)
    assert (reply.text, reply.finish_reason) == ("a b ", "length")


async def test_vectors_depend_on_the_text_alone() -> None:
    reply = await _made(dimensions=5).embed(EmbedRequest(("a", "b", "a")))
    assert reply.vectors[0] == reply.vectors[2] != reply.vectors[1]
    assert {len(vector) for vector in reply.vectors} == {5}
    assert all(-1 <= number <= 1 for number in reply.vectors[0])


async def test_it_can_say_that_it_is_down() -> None:
    assert not (await _made(ready=False).probe()).is_ready
    assert [model.id for model in await _made(models=["a", "b"]).list_models()] == ["a", "b"]


@pytest.mark.parametrize(
    "line",
    [{"match": "("}, {"error": {"code": "nonsense"}}, {"txt": "x"}, {"finish_reason": "maybe"}],
)
def test_a_script_that_cannot_be_played_is_refused(line: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        _made(line)
    assert caught.value.provider == "scripted"
