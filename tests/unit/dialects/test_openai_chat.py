"""Laws of the whole dialect, on generated requests, replies and streams, with OpenAI's own types and client as judges."""

from itertools import accumulate, pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._streaming import SSEDecoder
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import ValidationError

from golden.request_judge import request_judge
from jackfield.core.events import (
    ChatReply,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    fold_events,
    unfold,
)
from jackfield.core.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool, ToolChoice
from jackfield.core.usage import Usage
from jackfield.dialects.openai_chat import (
    ChatQuirks,
    StreamDecoder,
    StreamEncoder,
    StreamRelay,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    parse_fields,
    reply_error,
    reply_usage,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
SAID = TEXT.filter(bool)
NAME = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
COUNT = st.integers(0, 10_000)
LEFTOVER = st.dictionaries(
    NAME.map("x_{}".format), st.integers(1, 9) | SAID | st.lists(st.integers(), min_size=1, max_size=2), max_size=2
)
BASE64 = st.sampled_from(["AA==", "iVBORw0KGgo="])
SCHEMA = st.just({"type": "object", "properties": {"x": {"type": "integer"}}})

LAW = settings(max_examples=60, deadline=None)
QUIRKS = ChatQuirks(reasoning_field="reasoning_content", extra_fields=("*",), system_role="system")

text_parts = st.builds(TextPart, TEXT, LEFTOVER)
images = st.builds(
    ImagePart, st.just("https://x.test/a.png"), detail=st.sampled_from([None, "low"]), extra=LEFTOVER
) | st.builds(ImagePart, st.none(), BASE64, st.just("image/png"))
sounds = st.builds(AudioPart, BASE64, st.sampled_from(["wav", "mp3"]))
files = st.builds(FilePart, SAID) | st.builds(FilePart, st.none(), BASE64, SAID)
user_parts = st.lists(text_parts | images | sounds | files, min_size=1, max_size=3).map(tuple)
calls = st.lists(st.builds(ToolCallPart, SAID, NAME, TEXT, LEFTOVER), max_size=3)


@st.composite
def assistant_parts(draw: st.DrawFn) -> tuple[Any, ...]:
    parts: list[Any] = draw(st.lists(st.builds(ReasoningPart, SAID, st.none() | SAID), max_size=1))
    parts += draw(st.lists(text_parts, max_size=2))
    parts += draw(st.lists(st.builds(RefusalPart, SAID), max_size=1))
    return (*parts, *draw(calls))


messages = st.one_of(
    st.builds(Message, st.just("system"), st.builds(TextPart, TEXT).map(lambda part: (part,)), st.none() | NAME, LEFTOVER),
    st.builds(Message, st.just("user"), user_parts, st.none() | NAME, LEFTOVER),
    st.builds(Message, st.just("assistant"), assistant_parts(), st.none() | NAME, LEFTOVER),
    st.builds(
        Message,
        st.just("tool"),
        st.builds(ToolResultPart, SAID, st.lists(text_parts, min_size=1, max_size=2).map(tuple)).map(lambda part: (part,)),
        st.none(),
        LEFTOVER,
    ),
)
generations = st.builds(
    Generation,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | COUNT,
    max_tokens=st.none() | st.integers(1, 9999),
    stop=st.none() | st.lists(SAID, min_size=1, max_size=3).map(tuple),
    seed=st.none() | COUNT,
    frequency_penalty=st.none() | st.floats(-2, 2),
    presence_penalty=st.none() | st.floats(-2, 2),
    reasoning_effort=st.sampled_from([None, "low"]),
    logprobs=st.sampled_from([None, True]),
    top_logprobs=st.none() | st.integers(0, 20),
    parallel_tool_calls=st.sampled_from([None, True, False]),
)
tools = st.lists(
    st.builds(Tool, NAME, st.none() | TEXT, st.none() | SCHEMA, st.sampled_from([None, True]), LEFTOVER), max_size=2
).map(tuple)
choices = (
    st.none()
    | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"]))
    | st.builds(ToolChoice, st.just("named"), NAME)
)
formats = (
    st.none()
    | st.builds(ResponseFormat, st.sampled_from(["text", "json"]), extra=LEFTOVER)
    | st.builds(ResponseFormat, st.just("json_schema"), SCHEMA, NAME, st.sampled_from([None, True]), LEFTOVER)
)
requests = st.builds(
    ChatRequest,
    messages=st.lists(messages, min_size=1, max_size=3).map(tuple),
    model=SAID,
    generation=generations,
    tools=tools,
    tool_choice=choices,
    response_format=formats,
    stream=st.booleans(),
    user=st.none() | SAID,
    extra=LEFTOVER,
).map(lambda request: msgspec.structs.replace(request, include_usage=request.stream))

token = st.fixed_dictionaries({"token": TEXT, "logprob": st.floats(-5, 0), "bytes": st.none(), "top_logprobs": st.just([])})
usages = st.builds(Usage, COUNT, COUNT, COUNT, st.just(0), LEFTOVER)


@st.composite
def reply_parts(draw: st.DrawFn) -> tuple[Any, ...]:
    parts: list[Any] = draw(st.lists(st.builds(ReasoningPart, SAID, st.none() | SAID), max_size=1))
    parts += draw(st.lists(st.builds(TextPart, SAID), max_size=1))
    parts += draw(st.lists(st.builds(RefusalPart, SAID), max_size=1))
    return (
        *parts,
        *draw(st.lists(st.builds(ToolCallPart, SAID, NAME, SAID, LEFTOVER), max_size=3, unique_by=lambda call: call.id)),
    )


@st.composite
def replies(draw: st.DrawFn) -> ChatReply:
    parts = draw(reply_parts())
    called = any(isinstance(part, ToolCallPart) for part in parts)
    spoken = any(isinstance(part, TextPart | RefusalPart) for part in parts)
    choice = draw(LEFTOVER)
    return ChatReply(
        message=Message("assistant", parts, extra=draw(LEFTOVER)),
        model=draw(SAID),
        finish_reason=draw(st.sampled_from(["tool_calls"] if called else ["stop", "length", "content_filter"])),
        id=draw(SAID),
        created=draw(COUNT),
        usage=draw(st.none() | usages),
        logprobs=tuple(draw(st.lists(token, max_size=2))) if spoken else (),
        extra=draw(LEFTOVER) | ({"choices": [choice]} if choice else {}),
    )


def cut(draw: st.DrawFn, text: str) -> list[str]:
    sizes = draw(st.lists(st.integers(1, max(1, len(text))), max_size=3))
    places = [0, *(min(place, len(text)) for place in accumulate(sizes)), len(text)]
    return [text[start:end] for start, end in pairwise(places) if start < end]


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Lawful streams in the form that the wire can tell: no two parts of a kind in a row, calls open to the end."""
    reply = draw(replies())
    events: list[Event] = [Started(reply.model, reply.id, reply.created, draw(LEFTOVER))]
    open_calls: list[int] = []
    deltas: list[Event] = []
    for index, part in enumerate(reply.message.parts):
        match part:
            case TextPart(text) | RefusalPart(text):
                kind: Any = "text" if isinstance(part, TextPart) else "refusal"
                events.append(PartStarted(index, kind))
                events += [TextDelta(index, piece, tuple(draw(st.lists(token, max_size=1)))) for piece in cut(draw, text)]
                events.append(PartEnded(index))
            case ReasoningPart(text):
                events.append(PartStarted(index, "reasoning"))
                events += [ReasoningDelta(index, piece) for piece in cut(draw, text)]
                events.append(PartEnded(index))
            case ToolCallPart(id_, name, arguments, extra):
                events.append(PartStarted(index, "tool_call", id_, name, extra))
                deltas += [ToolCallDelta(index, piece) for piece in cut(draw, arguments)]
                open_calls.append(index)
    events += draw(st.permutations(deltas))
    events += [PartEnded(index) for index in open_calls]
    if reply.usage is not None:
        events.append(UsageReported(reply.usage))
    late = {f"late_{name}": value for name, value in draw(LEFTOVER).items()}
    events.append(Finished(reply.finish_reason, None, late, reply.message.extra))
    return events


def encoded(events: list[Event], *, include_usage: bool = True) -> bytes:
    started = events[0]
    assert isinstance(started, Started)
    encoder = StreamEncoder(id=started.id, created=started.created, model=started.model, include_usage=include_usage)
    return b"".join(map(encoder.encode, events)) + encoder.end()


def decoded(*pieces: bytes) -> list[Event]:
    decoder = StreamDecoder("p")
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()


def accumulated(stream: bytes) -> ChatCompletion:
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for event in SSEDecoder().iter_bytes(iter([stream])):
        if event.data != "[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate(event.json()))
    return ChatCompletion.model_validate(state.current_completion_snapshot.to_dict())


def assert_judged(judged: ChatCompletion, reply: ChatReply) -> None:
    """OpenAI's reading and ours are the same answer."""
    choice = judged.choices[0]
    seen = [
        (call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or []
        if call.type == "function"
    ]
    assert seen == [(call.id, call.name, call.arguments) for call in reply.message.tool_calls]
    assert (choice.message.content or "") == reply.text
    assert (choice.message.refusal or "") == "".join(part.text for part in reply.message.parts if isinstance(part, RefusalPart))
    assert choice.finish_reason == reply.finish_reason
    assert (judged.usage.total_tokens if judged.usage else None) == (reply.usage.total_tokens if reply.usage else None)
    entries = (choice.logprobs.content or choice.logprobs.refusal or []) if choice.logprobs else []
    assert len(entries) == len(reply.logprobs) or any(isinstance(part, RefusalPart) for part in reply.message.parts)


@pytest.mark.behaviour("DIAL-03", "DIAL-07")
@LAW
@given(request=requests)
def test_a_request_survives_the_wire(request: ChatRequest) -> None:
    body, warnings = encode_request(request, QUIRKS)
    assert warnings == []
    assert decode_request(parse_fields(body)) == request


@pytest.mark.behaviour("DIAL-05")
@LAW
@given(
    request=requests,
    quirks=st.sampled_from([QUIRKS, ChatQuirks(), ChatQuirks(max_tokens_field="max_completion_tokens", flatten_content=True)]),
)
def test_openais_type_accepts_our_requests(request: ChatRequest, quirks: ChatQuirks) -> None:
    request_judge().validate_json(encode_request(request, quirks)[0])


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m"},
        {"model": "m", "messages": [{"role": "user", "content": 5}]},
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
        {"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "function"}]}]},
        {"model": "m", "messages": [], "tools": [{"type": "function", "function": {}}]},
    ],
)
def test_the_judge_of_requests_is_no_rubber_stamp(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        request_judge().validate_json(msgspec.json.encode(body))


@pytest.mark.behaviour("DIAL-03", "DIAL-07")
@LAW
@given(reply=replies())
def test_a_reply_survives_the_wire(reply: ChatReply) -> None:
    body = encode_reply(reply, id=reply.id, created=reply.created)
    assert decode_reply(body) == reply
    assert reply_error(body) is None
    seen = reply_usage(body)
    assert (seen is None) is (reply.usage is None)
    assert seen is None or reply.usage is None or seen.total_tokens == reply.usage.total_tokens


@pytest.mark.behaviour("DIAL-03", "DIAL-07")
@LAW
@given(events=streams())
def test_a_stream_survives_the_wire(events: list[Event]) -> None:
    assert decoded(encoded(events)) == events


@pytest.mark.behaviour("DIAL-01", "DIAL-02")
@LAW
@given(events=streams(), cuts=st.lists(st.integers(0, 4000), max_size=10), show_usage=st.booleans())
def test_a_stream_cut_anywhere_is_the_same_stream(events: list[Event], cuts: list[int], show_usage: bool) -> None:
    body = encoded(events)
    places = [0, *sorted(min(place, len(body)) for place in cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    assert decoded(*pieces) == events
    relay = StreamRelay(show_usage=show_usage, provider="p")
    assert b"".join(map(relay.feed, pieces)) + relay.finish() == encoded(events, include_usage=show_usage)
    assert (relay.done, relay.finished, relay.error) == (True, True, None)
    assert relay.usage == next((event.usage for event in events if isinstance(event, UsageReported)), None)


@pytest.mark.behaviour("DIAL-04")
@LAW
@given(reply=replies())
def test_a_folded_stream_is_the_plain_answer(reply: ChatReply) -> None:
    plain = decode_reply(encode_reply(reply, id=reply.id, created=reply.created))
    assert fold_events(decoded(encoded(unfold(reply)))) == plain


@pytest.mark.behaviour("DIAL-05")
@LAW
@given(reply=replies())
def test_openais_types_accept_our_replies(reply: ChatReply) -> None:
    assert_judged(ChatCompletion.model_validate_json(encode_reply(reply, id=reply.id, created=reply.created)), reply)


@pytest.mark.behaviour("DIAL-05")
@LAW
@given(events=streams())
def test_openais_client_puts_our_streams_together_as_we_do(events: list[Event]) -> None:
    assert_judged(accumulated(encoded(events)), fold_events(events))
