"""The Converse dialect beyond the golden files: what is written for content of every kind, and streams that are no answers."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, JackfieldError, NotSupported, StreamBroken
from jackfield.core.events import fold_events
from jackfield.core.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from jackfield.core.requests import ChatRequest, Generation, Tool, ToolChoice
from jackfield.dialects.bedrock_converse import StreamDecoder, decode_reply, encode_request
from jackfield.dialects.event_stream import encode_message

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8))
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3), max_leaves=12
)


def sent(*parts: Part, **more: Any) -> tuple[dict[str, Any], list[str]]:
    body, warnings = encode_request(ChatRequest((Message("user", parts or (TextPart("hi"),)),), **more), model="maker.m")
    return msgspec.json.decode(body), warnings


def blocks(*parts: Part) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sent(*parts)[0]["messages"][0]["content"]
    return found


def event(kind: str, value: Any) -> bytes:
    return encode_message({":message-type": "event", ":event-type": kind}, msgspec.json.encode(value))


def test_media_are_inline_or_in_s3() -> None:
    assert blocks(
        ImagePart(data="AA", media_type="image/jpeg"),
        ImagePart(url="s3://bucket/a.png"),
        FilePart(data="AA", filename="a report (1).docx"),
        FilePart(file_id="s3://bucket/notes", filename="Übersicht"),
        AudioPart("AA", "mp3"),
    ) == [
        {"image": {"format": "jpeg", "source": {"bytes": "AA"}}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/a.png"}}}},
        {"document": {"format": "docx", "name": "a report (1)", "source": {"bytes": "AA"}}},
        {"document": {"format": "pdf", "name": "bersicht", "source": {"s3Location": {"uri": "s3://bucket/notes"}}}},
        {"audio": {"format": "mp3", "source": {"bytes": "AA"}}},
    ]


@pytest.mark.parametrize(
    "part",
    [
        ImagePart(url="https://example.com/a.png"),
        ImagePart(data="AA", media_type="image/tiff"),
        FilePart(file_id="file-1"),
        AudioPart(id="earlier"),
    ],
)
def test_what_no_block_can_hold_names_its_place(part: Part) -> None:
    with pytest.raises(NotSupported) as told:
        sent(TextPart("see"), part)
    assert told.value.param == "messages[0].content[1]"


def test_choices_of_tools() -> None:
    tool = Tool("f", extra={"cache_control": {"type": "ephemeral"}, "defer_loading": True})
    for choice, word in (("auto", "auto"), ("required", "any")):
        body, warnings = sent(tools=(tool,), tool_choice=ToolChoice(choice))  # type: ignore[arg-type]
        assert body["toolConfig"]["toolChoice"] == {word: {}}
        assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}
        assert "defer_loading" in warnings[0]
    body, warnings = sent(tools=(tool,), tool_choice=ToolChoice("none"))
    assert "toolConfig" not in body
    request = ChatRequest(
        (text_message("user", "a"), Message("assistant", (ToolCallPart("1", "g", "no json"),)), Message("tool", (_result(),))),
        tool_choice=ToolChoice("none"),
    )
    raw, warnings = encode_request(request, model="maker.m")
    assert [tool["toolSpec"]["name"] for tool in msgspec.json.decode(raw)["toolConfig"]["tools"]] == ["g"]
    assert len(warnings) == 3


def _result() -> ToolResultPart:
    return ToolResultPart("1", (ReasoningPart("thought"),))


def test_a_result_that_says_nothing_is_told_as_nothing() -> None:
    assert blocks(_result())[0]["toolResult"]["content"] == [{"text": "(nothing)"}]


@pytest.mark.parametrize(("effort", "expected"), [("minimal", "low"), ("max", "max"), ("none", None), ("odd", None)])
def test_an_effort_is_the_api_s_own(effort: str, expected: str | None) -> None:
    body, warnings = sent(generation=Generation(reasoning_effort=effort))
    assert body.get("outputConfig", {}).get("effort") == expected
    assert bool(warnings) is (effort == "odd")


def test_a_request_that_says_nothing_is_refused() -> None:
    for messages in ((text_message("system", "be brief"),), (text_message("user", " "),)):
        with pytest.raises(BadRequest):
            encode_request(ChatRequest(messages), model="maker.m")


def test_reasoning_goes_back_only_with_its_signature() -> None:
    body, warnings = sent(ReasoningPart("a"), ReasoningPart("", "b", redacted=True), ReasoningPart("c", "d"))
    assert body["messages"][0]["content"] == [
        {"reasoningContent": {"redactedContent": "b"}},
        {"reasoningContent": {"reasoningText": {"text": "c", "signature": "d"}}},
    ]
    assert len(warnings) == 1


def test_a_stream_without_counts_is_whole_and_one_without_an_end_is_not() -> None:
    start = event("messageStart", {"role": "assistant"})
    said = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "a"}})
    decoder = StreamDecoder(model="m")
    events = decoder.feed(start + said + event("messageStop", {"stopReason": "end_turn"})) + decoder.finish()
    assert (fold_events(events).text, fold_events(events).usage) == ("a", None)
    broken = StreamDecoder(model="m")
    broken.feed(start + said)
    with pytest.raises(StreamBroken):
        broken.finish()


def test_citations_and_unknown_blocks_are_kept() -> None:
    cited = {"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": [{"title": "t"}]}}
    body = {"output": {"message": {"content": [cited, {"image": {"format": "png"}}]}}, "stopReason": "end_turn"}
    reply = decode_reply(msgspec.json.encode(body), model="m")
    assert reply.message.parts == (TextPart("ab", {"citations": [{"title": "t"}]}),)
    assert reply.message.extra == {"content_parts": [{"image": {"format": "png"}}]}
    decoder = StreamDecoder(model="m")
    citation = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"citation": {"title": "t"}}})
    streamed = fold_events(decoder.feed(citation + event("messageStop", {"stopReason": "end_turn"})) + decoder.finish())
    assert streamed.message.extra == {"content_parts": [{"citation": {"title": "t"}}]}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "messageStart",
                    "contentBlockStart",
                    "contentBlockDelta",
                    "contentBlockStop",
                    "messageStop",
                    "metadata",
                    "another",
                ]
            ),
            anything,
        ),
        max_size=6,
    ),
    anything,
    anything,
)
@settings(max_examples=200)
def test_no_answer_does_more_than_be_refused(events: list[tuple[str, Any]], block: Any, top: Any) -> None:
    stream = b"".join(event(kind, value) for kind, value in events)
    stream += event("contentBlockDelta", {"contentBlockIndex": 0, "delta": block})
    stream += event("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": block}})
    stream += event("messageStop", {"stopReason": "end_turn", "x": top}) + event("metadata", {"usage": top})
    decoder = StreamDecoder(model="m")
    with suppress(JackfieldError):
        fold_events(decoder.feed(stream) + decoder.finish())
    content = [block, {"toolUse": block}, {"reasoningContent": block}, {"citationsContent": block}]
    for body in (top, {"output": {"message": {"content": content}}, "stopReason": "end_turn", "usage": top}):
        with suppress(JackfieldError):
            decode_reply(msgspec.json.encode(body), model="m")
