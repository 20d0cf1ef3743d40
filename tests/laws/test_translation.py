"""Laws of translation, for every pair of dialects that a door and a source may speak.

A request that a client writes in one dialect says the same in another, and an answer comes back the same: text, tools, calls,
results, images, thoughts, the reason to stop, the tokens used. What has no place in the other dialect is named in a warning.
"""

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.events import ChatReply, Event, FinishReason, fold_events, unfold
from jackfield.core.messages import ImagePart, Message, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from jackfield.core.requests import ChatRequest, Generation, Tool, ToolChoice
from jackfield.core.usage import Usage
from jackfield.dialects import anthropic_messages, gemini, ollama, openai_chat, openai_responses

MODEL = "a-model"
PAIR_EXAMPLES = 16
"""For each of 25 pairs; a change of a dialect is worth a run with some hundreds."""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="


class Dialect(NamedTuple):
    """Both sides of a wire format. `forgets` are the parts of an answer that it has no place for."""

    write: Callable[[ChatRequest], tuple[bytes, list[str]]]
    module: Any
    forgets: frozenset[str] = frozenset()

    def read(self, body: bytes) -> ChatRequest:
        request: ChatRequest = self.module.decode_request(openai_chat.parse_fields(body))
        return request

    def stream(self, events: Sequence[Event]) -> bytes:
        encoder = self.module.StreamEncoder(id="r-1", created=7, model=MODEL, include_usage=True)
        return b"".join(encoder.encode(event) for event in events) + bytes(encoder.end())

    def hear(self, stream: bytes, cuts: Sequence[int]) -> list[Event]:
        decoder = self.module.StreamDecoder("source")
        places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
        events: list[Event] = []
        for begin, end in itertools.pairwise(places):
            events += decoder.feed(stream[begin:end])
        return events + list(decoder.finish())


DIALECTS = {
    "openai_chat": Dialect(
        lambda request: openai_chat.encode_request(request, openai_chat.ChatQuirks(), model=MODEL), openai_chat
    ),
    "anthropic_messages": Dialect(
        lambda request: anthropic_messages.encode_request(request, model=MODEL),
        anthropic_messages,
        frozenset({"reasoning_tokens"}),
    ),
    "gemini": Dialect(lambda request: gemini.encode_request(request, model=MODEL), gemini, frozenset({"call_ids"})),
    "openai_responses": Dialect(lambda request: openai_responses.encode_request(request, model=MODEL), openai_responses),
    "ollama": Dialect(
        lambda request: ollama.encode_request(request, model=MODEL),
        ollama,
        frozenset({"call_ids", "cached_tokens", "reasoning_tokens"}),
    ),
}
PAIRS = pytest.mark.parametrize(
    ("door", "source"),
    [pytest.param(a, b, id=f"{one} to {two}") for (one, a), (two, b) in itertools.product(DIALECTS.items(), repeat=2)],
)

# What is generated: conversations as they are, not all that a type allows

_words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(str.strip)
_names = st.sampled_from(("get_weather", "add", "look_up"))
_arguments = st.dictionaries(st.sampled_from(("city", "a", "b")), st.integers(-9, 9) | _words, max_size=3)
_images = st.just(ImagePart(data=PIXEL, media_type="image/png"))
_tools = st.lists(
    st.builds(
        Tool, _names, _words, st.just({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
    ),
    max_size=3,
    unique_by=lambda tool: tool.name,
).map(tuple)


@st.composite
def _rounds(draw: st.DrawFn) -> tuple[Message, ...]:
    """The assistant says something or calls tools, and is answered."""
    said = (TextPart(draw(_words)),) if draw(st.booleans()) else ()
    calls = tuple(
        ToolCallPart(f"call_{number}", name, json.dumps(draw(_arguments)))
        for number, name in enumerate(draw(st.lists(_names, max_size=2, unique=True)))
    )
    if not calls:
        return Message("assistant", said or (TextPart("well"),)), Message("user", (TextPart(draw(_words)),))
    results = tuple(Message("tool", (ToolResultPart(call.id, (TextPart(draw(_words)),), call.name),)) for call in calls)
    return (Message("assistant", (*said, *calls)), *results)


@st.composite
def _requests(draw: st.DrawFn) -> ChatRequest:
    system = (Message("system", (TextPart(draw(_words)),)),) if draw(st.booleans()) else ()
    seen = (draw(_images),) if draw(st.booleans()) else ()
    rounds = tuple(itertools.chain.from_iterable(draw(st.lists(_rounds(), max_size=2))))
    tools = draw(_tools)
    choices: list[ToolChoice | None] = [None]
    if tools:
        choices += [ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("named", tools[0].name)]
    return ChatRequest(
        (*system, Message("user", (TextPart(draw(_words)), *seen)), *rounds),
        MODEL,
        Generation(
            temperature=draw(st.none() | st.sampled_from((0.0, 0.5, 1.0))),
            top_p=draw(st.none() | st.sampled_from((0.1, 0.9))),
            max_tokens=draw(st.integers(1, 4000)),
            stop=draw(st.none() | st.just(("END",))),
        ),
        tools,
        draw(st.sampled_from(choices)),
    )


@st.composite
def _replies(draw: st.DrawFn) -> ChatReply:
    thought = (ReasoningPart(draw(_words)),) if draw(st.booleans()) else ()
    calls = tuple(
        ToolCallPart(f"call_{number}", name, json.dumps(draw(_arguments)))
        for number, name in enumerate(draw(st.lists(_names, max_size=2)))
    )
    said = (TextPart(draw(_words)),) if draw(st.booleans()) or not calls else ()
    reason: FinishReason = "tool_calls" if calls else "length" if draw(st.booleans()) else "stop"
    completion = draw(st.integers(2, 500))
    prompt = draw(st.integers(1, 900))
    usage = Usage(prompt, completion, draw(st.integers(0, prompt)), draw(st.integers(0, completion - 1)) if thought else 0)
    return ChatReply(Message("assistant", (*thought, *said, *calls)), MODEL, reason, id="r-1", created=7, usage=usage)


# What must be the same


def turns(request: ChatRequest) -> list[tuple[str, list[Any]]]:
    """Who said what, in order. Whether results come as messages or as parts, and how a call is numbered, is the dialect's."""
    found: list[tuple[str, list[Any]]] = []
    for message in request.messages:
        who = {"developer": "system", "tool": "user"}.get(message.role, message.role)
        if not found or found[-1][0] != who:
            found.append((who, []))
        found[-1][1].extend(map(meaning, message.parts))
    return found


def meaning(part: Any) -> Any:
    match part:
        case TextPart(text):
            return "text", text
        case ToolCallPart(_, name, arguments):
            return "call", name, json.loads(arguments or "{}")
        case ToolResultPart(_, content):
            return "result", "".join(each.text for each in content if isinstance(each, TextPart))
        case ImagePart(url, data, media_type):
            return "image", data or (url or "").partition("base64,")[2], media_type or "image/png"
        case ReasoningPart(text):
            return "thought", text
    return part


def tools(request: ChatRequest) -> list[tuple[str, str | None, Any]]:
    return [(tool.name, tool.description, tool.parameters) for tool in request.tools]


def lost(before: ChatRequest, after: ChatRequest) -> list[str]:
    """Names of the settings that say something else, or nothing, afterwards."""
    names = [name for name in ("temperature", "top_p", "max_tokens", "stop")
             if getattr(before.generation, name) != getattr(after.generation, name)]  # fmt: skip
    said_so = mode(before) == "none" and not after.tools
    return names + (["tool_choice"] if mode(before) != mode(after) and not said_so else [])


def mode(request: ChatRequest) -> str:
    choice = request.tool_choice
    return "auto" if choice is None else choice.name or choice.mode


@PAIRS
@settings(max_examples=PAIR_EXAMPLES, deadline=None)
@given(request=_requests())
def test_a_request_says_the_same_on_the_other_side(door: Dialect, source: Dialect, request: ChatRequest) -> None:
    asked_bytes, from_client = door.write(request)
    asked = door.read(asked_bytes)
    sent_bytes, warnings = source.write(asked)
    sent = source.read(sent_bytes)
    assert turns(sent) == turns(request)
    if sent.tools or mode(request) != "none":  # without tools none can be called: that too is a way to say so
        assert tools(sent) == tools(request)
    unsaid = [name for name in lost(request, sent) if not any(name in warning for warning in (*from_client, *warnings))]
    assert unsaid == []
    ids = [part.id for message in sent.messages for part in message.tool_calls]
    answered = [part.call_id for message in sent.messages for part in message.parts if isinstance(part, ToolResultPart)]
    assert answered == ids  # every result still belongs to its call


@PAIRS
@settings(max_examples=PAIR_EXAMPLES, deadline=None)
@given(reply=_replies(), cuts=st.lists(st.integers(0, 10_000), max_size=5))
def test_an_answer_says_the_same_on_the_other_side(door: Dialect, source: Dialect, reply: ChatReply, cuts: list[int]) -> None:
    from_source = source.hear(source.stream(unfold(reply)), cuts)
    heard = fold_events(door.hear(door.stream(from_source), ()))  # fold checks order: one start, parts nest, indices rise
    assert [meaning(part) for part in heard.message.parts] == [meaning(part) for part in reply.message.parts]
    assert heard.finish_reason == reply.finish_reason
    assert reply.usage is not None
    assert heard.usage is not None
    forgets = door.forgets | source.forgets
    for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"):
        if name not in forgets:
            assert getattr(heard.usage, name) == getattr(reply.usage, name), name
    if "call_ids" not in forgets:
        assert [call.id for call in heard.message.tool_calls] == [call.id for call in reply.message.tool_calls]
    assert len({call.id for call in heard.message.tool_calls}) == len(reply.message.tool_calls)


@PAIRS
@settings(max_examples=PAIR_EXAMPLES // 2, deadline=None)
@given(reply=_replies())
def test_a_whole_answer_is_the_stream_in_one_piece(door: Dialect, source: Dialect, reply: ChatReply) -> None:
    whole = source.module.decode_reply(source.module.encode_reply(reply, id="r-1", created=7))
    told = door.module.decode_reply(door.module.encode_reply(whole, id="r-1", created=7))
    streamed = fold_events(door.hear(door.stream(source.hear(source.stream(unfold(reply)), ())), ()))
    assert [meaning(part) for part in told.message.parts] == [meaning(part) for part in streamed.message.parts]
    assert told.finish_reason == streamed.finish_reason
    assert told.usage is not None
    assert streamed.usage is not None
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (
        streamed.usage.prompt_tokens,
        streamed.usage.completion_tokens,
    )


@pytest.mark.parametrize("name", ["anthropic_messages", "gemini", "openai_responses"])
@settings(max_examples=60, deadline=None)
@given(signature=st.text("ABCDEFGHabcdefgh0123456789+/=", min_size=8, max_size=60), thought=_words)
def test_a_signed_thought_survives_byte_for_byte(name: str, signature: str, thought: str) -> None:
    """A client gives it back in its next turn, and the source that signed it must find it unchanged."""
    dialect = DIALECTS[name]
    call = ToolCallPart("call_1", "add", "{}")
    said = Message("assistant", (ReasoningPart(thought, signature), TextPart("so"), call))
    reply = ChatReply(said, MODEL, "tool_calls", id="r-1", created=7, usage=Usage(1, 2))
    heard = fold_events(dialect.hear(dialect.stream(unfold(reply)), ()))
    assert [part.signature for part in heard.message.parts if isinstance(part, ReasoningPart)] == [signature]
    results = Message("tool", (ToolResultPart(heard.message.tool_calls[0].id, (TextPart("3"),), "add"),))
    again = ChatRequest(
        (Message("user", (TextPart("?"),)), heard.message, results), MODEL, Generation(max_tokens=9), (Tool("add"),)
    )
    kept = dialect.read(dialect.write(again)[0])
    signatures = [part.signature for message in kept.messages for part in message.parts if isinstance(part, ReasoningPart)]
    assert signatures == [signature]


def test_every_dialect_that_a_door_speaks_is_here() -> None:
    assert {dialect.module.NAME for dialect in DIALECTS.values()} == set(DIALECTS)
