"""Deltas are cut from one that was written whole: each must be, byte for byte, what writing it whole would give."""

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.events import PartEnded, PartStarted, ReasoningDelta, Started, TextDelta, ToolCallDelta
from jackfield.dialects import anthropic_messages, gemini, ollama, openai_responses, sse
from jackfield.dialects.json_events import around_text, framed

_encode = msgspec.json.Encoder().encode
_texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4)
_names = st.text(st.characters(exclude_categories=["Cs"]))


@given(_names, st.text(st.characters(exclude_categories=["Cs"])))
def test_what_stands_around_a_text(name: str, text: str) -> None:
    def write(told: str) -> bytes:
        return _encode({name: name, "told": told, "after": [name]})

    before, after = around_text(write)
    assert before + _encode(text) + after == write(text)


@given(st.dictionaries(_names, _names))
def test_an_event_is_framed_as_ever(value: dict[str, str]) -> None:
    assert framed("content_block_delta", _encode(value)) == sse.encode(_encode(value), "content_block_delta")


@settings(max_examples=50)
@given(_texts, _texts, _texts)
def test_messages(texts: list[str], thoughts: list[str], arguments: list[str]) -> None:
    encoder = anthropic_messages.StreamEncoder(id="msg_1", model="m")
    encoder.encode(Started("m"))

    def whole(index: int, delta: dict[str, str]) -> bytes:
        value = {"type": "content_block_delta", "index": index, "delta": delta}
        return sse.encode(_encode(value), "content_block_delta")

    encoder.encode(PartStarted(0, "reasoning"))
    for text in thoughts:
        assert encoder.encode(ReasoningDelta(0, text)) == whole(0, {"type": "thinking_delta", "thinking": text})
        signed = whole(0, {"type": "signature_delta", "signature": text})
        assert encoder.encode(ReasoningDelta(0, "", text)) == signed
    encoder.encode(PartEnded(0))
    for index in (1, 3):
        encoder.encode(PartStarted(index, "text"))
        place = (index + 1) // 2
        for text in texts:
            assert encoder.encode(TextDelta(index, text)) == whole(place, {"type": "text_delta", "text": text})
        assert encoder.encode(TextDelta(index, "")) == b""
        encoder.encode(PartEnded(index))
    encoder.encode(PartStarted(4, "tool_call", "call_1", "f"))
    for text in arguments:
        assert encoder.encode(ToolCallDelta(4, text)) == whole(3, {"type": "input_json_delta", "partial_json": text})


def test_messages_of_a_part_that_had_to_wait() -> None:
    encoder = anthropic_messages.StreamEncoder(id="msg_1", model="m")
    encoder.encode(Started("m"))
    encoder.encode(PartStarted(0, "text"))
    encoder.encode(TextDelta(0, "a"))
    encoder.encode(PartStarted(1, "text"))
    assert encoder.encode(TextDelta(1, "later")) == b""
    assert b'"index":0,"delta":{"type":"text_delta","text":"b"}' in encoder.encode(TextDelta(0, "b"))
    assert b'"index":1,"delta":{"type":"text_delta","text":"later"}' in encoder.encode(PartEnded(0))
    assert b'"index":1,"delta":{"type":"text_delta","text":"c"}' in encoder.encode(TextDelta(1, "c"))


@settings(max_examples=50)
@given(_texts, _texts, _names)
def test_gemini(texts: list[str], thoughts: list[str], model: str) -> None:
    def whole(part: dict[str, object]) -> bytes:
        candidate = {"content": {"parts": [part], "role": "model"}, "index": 0}
        return _encode({"candidates": [candidate], "modelVersion": model, "responseId": "r"})

    events = gemini.StreamEncoder(id="r", created=1, model=model)
    array = gemini.StreamEncoder(id="r", created=1, model=model, form="array")
    between = b"["
    signature = {"extra_content": {"google": {"thought_signature": "s"}}}
    for start in (PartStarted(0, "reasoning"), PartStarted(1, "text"), PartStarted(2, "text", extra=signature)):
        assert events.encode(start) == array.encode(start) == b""
    told: list[tuple[TextDelta | ReasoningDelta, dict[str, object]]] = []
    told += [(ReasoningDelta(0, text), {"text": text, "thought": True}) for text in thoughts]
    told += [(TextDelta(1, text), {"text": text}) for text in texts]
    told += [(TextDelta(2, "first"), {"text": "first", "thoughtSignature": "s"})]
    told += [(TextDelta(2, text), {"text": text}) for text in texts]
    for delta, part in told:
        assert events.encode(delta) == sse.encode(whole(part))
        assert array.encode(delta) == between + whole(part)
        between = b",\n"
    assert events.encode(TextDelta(1, "")) == b""


@settings(max_examples=50)
@given(_texts, _texts, _names)
def test_ollama(texts: list[str], thoughts: list[str], model: str) -> None:
    chat = ollama.StreamEncoder(id="r", created=0, model=model)
    generate = ollama.StreamEncoder(id="r", created=0, model=model, form="generate")
    same = {"model": model, "created_at": "1970-01-01T00:00:00Z"}
    for text in thoughts:
        said = {"role": "assistant", "content": "", "thinking": text}
        assert chat.encode(ReasoningDelta(0, text)) == _encode({**same, "message": said, "done": False}) + b"\n"
        line = _encode({**same, "response": "", "thinking": text, "done": False}) + b"\n"
        assert generate.encode(ReasoningDelta(0, text)) == line
    for text in texts:
        said = {"role": "assistant", "content": text}
        assert chat.encode(TextDelta(1, text)) == _encode({**same, "message": said, "done": False}) + b"\n"
        assert generate.encode(TextDelta(1, text)) == _encode({**same, "response": text, "done": False}) + b"\n"
    assert chat.encode(TextDelta(1, "")) == b""


@settings(max_examples=50)
@given(_texts, _texts, _texts)
def test_responses(texts: list[str], thoughts: list[str], arguments: list[str]) -> None:
    encoder = openai_responses.StreamEncoder(id="resp_1", created=1, model="m")
    told = [encoder.encode(PartStarted(0, "reasoning"))]
    told += [encoder.encode(ReasoningDelta(0, text)) for text in thoughts]
    told += [encoder.encode(PartEnded(0)), encoder.encode(PartStarted(1, "text"))]
    told += [encoder.encode(TextDelta(1, text)) for text in texts]
    told += [encoder.encode(PartEnded(1)), encoder.encode(PartStarted(2, "refusal"))]
    told += [encoder.encode(TextDelta(2, text)) for text in texts]
    told += [encoder.encode(PartEnded(2)), encoder.encode(PartStarted(3, "tool_call", "call_1", "f"))]
    told += [encoder.encode(ToolCallDelta(3, text)) for text in arguments]
    values = [json.loads(event.data) for event in sse.SseDecoder().feed(b"".join(told))]
    assert [value["sequence_number"] for value in values] == [*range(len(values))]
    assert b"".join(told) == b"".join(sse.encode(_encode(value), value["type"]) for value in values)
    assert [value["delta"] for value in values if "delta" in value] == [*thoughts, *texts, *texts, *arguments]
    assert [(value["type"], list(value)[2:]) for value in values if "delta" in value] == [
        *[("response.reasoning_summary_text.delta", ["summary_index", "delta", "item_id", "output_index"])] * len(thoughts),
        *[("response.output_text.delta", ["content_index", "delta", "item_id", "output_index", "logprobs"])] * len(texts),
        *[("response.refusal.delta", ["content_index", "delta", "item_id", "output_index"])] * len(texts),
        *[("response.function_call_arguments.delta", ["delta", "item_id", "output_index"])] * len(arguments),
    ]
