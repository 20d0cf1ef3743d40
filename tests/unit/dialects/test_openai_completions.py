"""The older completions: what a chat makes of a prompt, what it refuses by name, and how answers of either kind are read."""

from typing import Any

import msgspec
import pytest

from jackfield.core.errors import BadRequest, JackfieldError, Malformed, NotSupported, StreamBroken
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, ReasoningDelta, Started, TextDelta, UsageReported
from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat
from jackfield.dialects.openai_chat import ChatQuirks, SplicePlan, StreamRelay
from jackfield.dialects.openai_completions import (
    StreamEncoder,
    decode_reply,
    decode_request,
    encode_reply,
    quirks_of,
    settings_for,
)


def fields(**given: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in given.items()}


def event(choice: dict[str, Any], **rest: Any) -> bytes:
    return b"data: " + msgspec.json.encode({"choices": [{"index": 0, **choice}], **rest}) + b"\n\n"


def test_a_prompt_becomes_the_one_message_of_a_chat() -> None:
    request = decode_request(fields(prompt=["ping"], max_tokens=7, echo=False, n=1, logprobs=None, suffix=""))
    assert [(message.role, message.text) for message in request.messages] == [("user", "ping")]
    assert request.generation.max_tokens == 7


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": [3]}, "prompt"),
        ({"prompt": "a", "suffix": "b"}, "suffix"),
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": "a", "logprobs": 1}, "logprobs"),
        ({"prompt": "a", "n": 2}, "n"),
        ({"prompt": "a", "best_of": 3}, "best_of"),
    ],
)
def test_what_only_a_completion_has_may_be_done_elsewhere(given: dict[str, Any], param: str) -> None:
    with pytest.raises(NotSupported) as refused:
        decode_request(fields(**given))
    assert (refused.value.param, refused.value.may_fall_back) == (param, True)


@pytest.mark.parametrize("given", [{}, {"prompt": None}, {"prompt": {"a": 1}}])
def test_what_is_no_prompt_is_a_mistake(given: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as refused:
        decode_request(fields(**given))
    assert refused.value.param == "prompt"


def test_what_is_sent_has_one_name_for_the_length_and_nothing_of_chats() -> None:
    quirks = ChatQuirks(max_tokens_field="max_completion_tokens", drop_fields=("n",), system_role="developer")
    given = fields(prompt="a", max_completion_tokens=3, n=2, reasoning_effort="low", suffix="b")
    body = SplicePlan.of(quirks_of(quirks)).splice(given, model="m", stream=True)
    assert msgspec.json.decode(body) == {
        "prompt": "a",
        "n": 2,
        "suffix": "b",
        "max_tokens": 3,
        "model": "m",
        "stream_options": {"include_usage": True},
    }
    quiet = SplicePlan.of(quirks_of(ChatQuirks(stream_usage=False)))
    assert b"stream_options" not in quiet.splice(fields(prompt="a", stream_options={}), model="m", stream=True)


def test_a_slots_flag_for_log_probabilities_is_no_number_of_them() -> None:
    assert settings_for(fields(logprobs=True, top_logprobs=2, temperature=0.5)) == fields(temperature=0.5)


def test_what_was_written_is_read() -> None:
    reply = decode_reply(
        b'{"choices":[{"text":"pong","finish_reason":"eos"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
    )
    assert (reply.text, reply.finish_reason, reply.raw_finish_reason, reply.usage) == ("pong", "stop", "eos", Usage(1, 2))
    again = decode_reply(encode_reply(reply, id="cmpl-1", created=5))
    assert (again.text, again.id, again.created, again.usage) == ("pong", "cmpl-1", 5, Usage(1, 2))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"no json", Malformed),
        (b"[]", Malformed),
        (b'{"choices":[]}', Malformed),
        (b'{"choices":[{"message":{"content":"a chat"}}]}', Malformed),
        (b'{"error":{"message":"down","code":503}}', JackfieldError),
        (b'{"choices":[{"text":"half","finish_reason":"abort"}]}', StreamBroken),
    ],
)
def test_what_is_no_answer_is_told(body: bytes, kind: type[JackfieldError]) -> None:
    with pytest.raises(kind):
        decode_reply(body)


def test_only_text_has_a_place_in_a_stream() -> None:
    encoder = StreamEncoder(id="cmpl-1", created=1, model="m", include_usage=True)
    told: list[Event] = [
        Started("m", "1", 1),
        PartStarted(0, "reasoning"),
        ReasoningDelta(0, "hm"),
        PartEnded(0),
        TextDelta(1, "pong"),
        UsageReported(Usage(1, 2)),
        Finished("stop"),
    ]
    chunks = b"".join(map(encoder.encode, told)) + encoder.end()
    read = [msgspec.json.decode(line[6:]) for line in chunks.split(b"\n\n") if line.startswith(b"data: {")]
    assert [choice["text"] for chunk in read for choice in chunk["choices"]] == ["pong", ""]
    assert read[-1]["usage"]["completion_tokens"] == 2
    assert chunks.endswith(openai_chat.DONE_EVENT)


def test_a_stream_that_passes_is_watched_like_that_of_a_chat() -> None:
    relay = StreamRelay(show_usage=False)
    first = event({"text": "1", "finish_reason": None})
    assert (relay.feed(first), relay.has_content, relay.pieces) == (first, True, 1)
    quiet = event({"text": "2"}) + event({"text": "3"})
    assert (relay.feed(quiet), relay.pieces) == (quiet, 3)
    assert not relay.finished
    last = event({"text": "", "finish_reason": "length"}, usage={"prompt_tokens": 1, "completion_tokens": 3})
    assert relay.feed(last) == last
    assert (relay.finished, relay.usage, relay.done) == (True, Usage(1, 3), False)
    relay.feed(b"data: [DONE]\n\n")
    assert (relay.done, relay.error) == (True, None)
