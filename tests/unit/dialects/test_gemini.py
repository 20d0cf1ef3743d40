"""What Gemini's dialect says to doors and adapters beyond the golden files: every field's way in and out, and every refusal."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import (
    BadRequest,
    BudgetSpent,
    ContentRefused,
    JackfieldError,
    Malformed,
    NotSupported,
    RateLimited,
    StreamBroken,
    Unavailable,
)
from jackfield.core.events import (
    Event,
    Finished,
    PartEnded,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    Verdict,
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
    text_message,
)
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat, Tool, ToolChoice
from jackfield.core.usage import Usage
from jackfield.dialects import gemini
from jackfield.dialects.gemini import StreamDecoder, StreamEncoder, StreamRelay, decode_request, encode_request

MODEL = "gemini-2.5-flash"


def fields(**values: Any) -> dict[str, msgspec.Raw]:
    values.setdefault("contents", [{"parts": [{"text": "hi"}]}])
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


def sent(request: ChatRequest, model: str = MODEL) -> tuple[dict[str, Any], list[str]]:
    body, warnings = encode_request(request, model=model)
    return msgspec.json.decode(body), warnings


def asked(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(messages or (text_message("user", "hi"),), **more)


def refused(**values: Any) -> JackfieldError:
    with pytest.raises((BadRequest, NotSupported)) as told:
        decode_request(fields(**values))
    return told.value


@pytest.mark.behaviour("DIAL-08")
@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"contents": None}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": [7]}, "contents[0]"),
        ({"contents": [{"role": "robot", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": "hi"}]}, "contents[0].parts"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f", "args": []}}]}]}, "contents[0].parts[0].functionCall.args"),
        ({"contents": [{"parts": [{"inlineData": {"data": "AA"}}]}]}, "contents[0].parts[0].inlineData.mimeType"),
        ({"contents": [{"parts": [{"fileData": {}}]}]}, "contents[0].parts[0].fileData.fileUri"),
        ({"contents": [{"parts": [{"executableCode": {}}]}]}, "contents[0].parts[0]"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"tools": [{"functionDeclarations": [{"name": ""}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"generationConfig": {"temperature": 9}}, "generationConfig.temperature"),
        ({"generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        ({"generationConfig": {"maxOutputTokens": "many"}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount"),
        ({"generationConfig": {"responseSchema": 1}}, "generationConfig.responseSchema"),
        ({"systemInstruction": {"parts": [{"inlineData": {}}]}}, "systemInstruction.parts"),
        ({"model": 1}, "model"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_every_mistake_names_its_place(values: dict[str, Any], param: str) -> None:
    assert refused(**values).param == param


def test_both_spellings_of_a_name_are_read() -> None:
    config = {"max_output_tokens": 5, "thinking_config": {"thinking_budget": 0}, "response_mime_type": "application/json"}
    request = decode_request(
        fields(
            system_instruction={"parts": {"text": "brief"}},
            contents=[{"parts": [{"inline_data": {"mime_type": "audio/x-wav", "data": "AA"}}]}],
            generation_config=config,
            safety_settings=[],
            tool_config={"function_calling_config": {"mode": "any", "allowed_function_names": ["a", "b"]}},
        )
    )
    assert request.messages == (text_message("system", "brief"), Message("user", (AudioPart("AA", "wav"),)))
    assert (request.generation.max_tokens, request.generation.reasoning_effort) == (5, "none")
    assert request.response_format == ResponseFormat("json")
    assert request.tool_choice == ToolChoice("required", extra={"allowedFunctionNames": ["a", "b"]})
    assert decode_request(fields(systemInstruction="brief")).messages[0] == text_message("system", "brief")


def test_an_older_schema_is_read_as_json_schema() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "nullable": True, "maxLength": "9"},
            "list": {"type": "ARRAY", "items": {"anyOf": [{"type": "INTEGER"}, {"type": "NULL"}]}, "minItems": "1"},
        },
        "propertyOrdering": ["type", "list"],
    }
    request = decode_request(
        fields(
            tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}], generationConfig={"responseSchema": schema}
        )
    )
    expected = {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "maxLength": 9},
            "list": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "minItems": 1},
        },
    }
    assert request.tools[0].parameters == expected
    assert request.response_format == ResponseFormat("json_schema", expected)


def test_a_call_without_an_id_gets_one_and_its_answer_the_same() -> None:
    def call(name: str) -> dict[str, Any]:
        return {"functionCall": {"name": name, "args": {}}}

    def answer(name: str, **told: Any) -> dict[str, Any]:
        return {"functionResponse": {"name": name, "response": told}}

    first, second = decode_request(
        fields(
            contents=[
                {"role": "model", "parts": [call("f"), call("g"), call("f")]},
                {
                    "role": "function",
                    "parts": [answer("f", output="1"), answer("g", error="no"), answer("f", a=1), answer("h")],
                },
            ]
        )
    ).messages
    assert [part.id for part in first.tool_calls] == ["call_1", "call_2", "call_3"]
    results = [part for part in second.parts if isinstance(part, ToolResultPart)]
    assert [(part.call_id, part.content[0], part.is_error) for part in results] == [
        ("call_1", TextPart("1"), False),
        ("call_2", TextPart("no"), True),
        ("call_3", TextPart('{"a":1}'), False),
        ("call_h", TextPart("{}"), False),
    ]


def test_results_and_words_of_one_turn_become_two_messages_and_pictures_go_along() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "AA"}}
    response = {"id": "c", "name": "f", "response": {"output": "see"}, "parts": [picture]}
    request = decode_request(fields(contents=[{"parts": [{"functionResponse": response}, {"text": "and?"}]}]))
    assert [message.role for message in request.messages] == ["tool", "user"]
    body, _ = sent(request)
    assert body["contents"][0]["parts"][0]["functionResponse"] == response
    assert body["contents"][1] == {"role": "user", "parts": [{"text": "and?"}]}


def test_results_of_one_round_stand_in_one_turn_and_their_names_are_found() -> None:
    calls = Message("assistant", (ToolCallPart("a", "f", '{"x": 1}'), ToolCallPart("b", "g", "not json")))
    results = [Message("tool", (ToolResultPart(id_, (TextPart(f"r{id_}"),)),)) for id_ in "ab"]
    body, warnings = sent(asked(text_message("user", "go"), calls, *results))
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert [part["functionResponse"]["name"] for part in body["contents"][2]["parts"]] == ["f", "g"]
    assert body["contents"][1]["parts"][1]["functionCall"]["args"] == {"arguments": "not json"}
    assert len(warnings) == 1
    with pytest.raises(BadRequest, match="answers no call"):
        sent(asked(results[0]))


def test_media_go_inline_or_by_address() -> None:
    parts = (
        ImagePart(url="https://example.com/a.webp?x=1"),
        ImagePart(data="AA"),
        AudioPart("AA", "mp3"),
        AudioPart(id="earlier"),
        FilePart(data="data:application/pdf;base64,AA"),
        FilePart(data="AA", filename="notes.md"),
        FilePart(file_id="https://generativelanguage.googleapis.com/v1beta/files/x", media_type="video/mp4"),
        FilePart(filename="nothing"),
    )
    body, warnings = sent(asked(Message("user", parts)))
    shown = [next(iter(part.values())) for part in body["contents"][0]["parts"]]
    assert [item["mimeType"] for item in shown] == [
        "image/webp", "image/jpeg", "audio/mpeg", "application/pdf", "text/markdown", "video/mp4",
    ]  # fmt: skip
    assert len(warnings) == 2
    for content in body["contents"]:
        types.Content.model_validate(content)


def test_instructions_alone_become_a_question_and_nothing_at_all_is_refused() -> None:
    body, _ = sent(asked(text_message("system", "count")))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "count"}]}]}
    with pytest.raises(BadRequest):
        sent(asked(Message("assistant", ())))


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (asked(generation=Generation(context_length=1)), "context_length"),
        (asked(generation=Generation(parallel_tool_calls=False)), "parallel_tool_calls"),
        (asked(generation=Generation(reasoning_effort="utmost")), "reasoning_effort"),
        (asked(user="u"), "user"),
        (asked(extra={"repeat_penalty": 1}), "repeat"),
        (asked(tools=(Tool("f", strict=True),)), "strict"),
        (asked(tools=(Tool("f", extra={"cache_control": {}}),)), "cache_control"),
        (asked(response_format=ResponseFormat("json", extra={"name": "x"})), "name"),
        (asked(extra={"toolConfig": {"streamFunctionCallArguments": True}}), "streamFunctionCallArguments"),
        (asked(Message("user", (TextPart("a", {"cache_control": {}}),))), "cache_control"),
        (asked(Message("user", (TextPart("a"),), name="ann")), "name"),
        (asked(Message("user", (TextPart("a"),), extra={"x": 1})), "x"),
        (asked(Message("user", (TextPart("a"), ToolCallPart("1", "f", "{}")))), "tool calls of a user"),
        (asked(Message("user", (ImagePart(data="A", detail="high"),))), "detail"),
        (asked(text_message("user", "a"), text_message("system", "b")), "beginning"),
        (asked(text_message("user", "a"), Message("system", (ImagePart(data="A"),))), "only the text"),
        (asked(text_message("user", "a"), Message("assistant", (ReasoningPart("why"),))), "reasoning"),
    ],
)
def test_what_has_no_place_is_named(request_: ChatRequest, word: str) -> None:
    _, warnings = sent(request_)
    assert any(word in warning for warning in warnings)


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gemini-2.5-pro", "medium", {"includeThoughts": True, "thinkingBudget": 8192}),
        ("gemini-2.5-flash", "none", {"includeThoughts": False, "thinkingBudget": 0}),
        ("gemini-3-pro-preview", "high", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-flash-latest", "low", {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-2.0-flash", "low", None),
    ],
)
def test_an_effort_is_said_as_the_model_wants_it(model: str, effort: str, expected: dict[str, Any] | None) -> None:
    body, warnings = sent(asked(generation=Generation(reasoning_effort=effort)), model)
    assert body.get("generationConfig", {}).get("thinkingConfig") == expected
    assert bool(warnings) is (expected is None)


def test_what_was_said_of_thinking_in_google_s_words_counts() -> None:
    request = decode_request(fields(generationConfig={"thinkingConfig": {"thinkingBudget": 5000, "includeThoughts": True}}))
    assert request.generation.reasoning_effort == "medium"
    assert sent(request)[0]["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingBudget": 5000}
    dynamic = decode_request(fields(generationConfig={"thinkingConfig": {"thinkingBudget": -1}}))
    assert dynamic.generation.reasoning_effort is None
    assert sent(dynamic)[0]["generationConfig"] == {"thinkingConfig": {"thinkingBudget": -1}}
    level = decode_request(fields(generationConfig={"thinkingConfig": {"thinkingLevel": "LOW"}}))
    assert sent(level, "gemini-3-flash")[0]["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "low"


def test_choices_of_tools_both_ways() -> None:
    for choice, mode in (("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")):
        body, _ = sent(asked(tool_choice=ToolChoice(choice)))  # type: ignore[arg-type]
        assert body["toolConfig"] == {"functionCallingConfig": {"mode": mode}}
        assert decode_request(fields(toolConfig=body["toolConfig"])).tool_choice == ToolChoice(choice)  # type: ignore[arg-type]
    validated = decode_request(fields(toolConfig={"functionCallingConfig": {"mode": "VALIDATED"}, "retrievalConfig": {"x": 1}}))
    assert (validated.tool_choice, validated.extra) == (ToolChoice("auto"), {"toolConfig": {"retrievalConfig": {"x": 1}}})
    assert decode_request(fields(toolConfig={"retrievalConfig": {}})).tool_choice is None


def test_raw_requests_lose_only_what_is_beside_them() -> None:
    given = {**fields(x={"kept": [1, 2.50]}), "model": msgspec.Raw(b'"models/m"'), "stream": msgspec.Raw(b"true")}
    assert set(msgspec.json.decode(gemini.splice_request(given, model="m", stream=True))) == {"contents", "x"}
    request = decode_request(given)
    assert (request.model, request.stream, request.extra) == ("m", True, {"x": {"kept": [1, 2.5]}})


def test_settings_fill_in_only_what_was_not_said() -> None:
    defaults = {
        name: msgspec.Raw(value) for name, value in (("temperature", b"0.5"), ("top_k", b"3"), ("safetySettings", b"[]"))
    }
    given = fields(generation_config={"topK": None, "temperature": 1.0})
    gemini.fill_in(given, defaults)
    assert msgspec.json.decode(given["generation_config"]) == {"topK": 3, "temperature": 1.0}
    assert bytes(given["safetySettings"]) == b"[]"
    broken = {"generationConfig": msgspec.Raw(b"7")}
    gemini.fill_in(broken, defaults)
    assert bytes(broken["generationConfig"]) == b"7"


def _events(*parts: Event) -> list[Event]:
    return [Started("m", "r"), *parts, UsageReported(Usage(3, 4, 1, 2)), Finished("stop")]


def encoded(events: list[Event], **more: Any) -> bytes:
    encoder = StreamEncoder(id="r", created=0, model="m", **more)
    return b"".join(map(encoder.encode, events)) + encoder.end()


def decoded(stream: bytes) -> list[Event]:
    decoder = StreamDecoder("here")
    return decoder.feed(stream) + decoder.finish()


@pytest.mark.behaviour("DIAL-03")
def test_parts_of_another_source_keep_their_signatures_on_the_way() -> None:
    events = _events(
        PartStarted(0, "reasoning"), ReasoningDelta(0, "think"), ReasoningDelta(0, "", "c2ln"), PartEnded(0),
        PartStarted(1, "text"), TextDelta(1, "a"), TextDelta(1, "b"), PartEnded(1),
        PartStarted(2, "tool_call", "id", "f"), ToolCallDelta(2, '{"a"'), ToolCallDelta(2, ":1}"), PartEnded(2),
    )  # fmt: skip
    back = fold_events(decoded(encoded([*events[:-1], Finished("tool_calls")])))
    assert back.message.parts == (ReasoningPart("think", "c2ln"), TextPart("ab"), ToolCallPart("id", "f", '{"a":1}'))
    assert (back.finish_reason, back.usage, back.model) == ("tool_calls", Usage(3, 4, 1, 2), "m")


def test_what_has_no_form_on_this_wire_is_not_sent_as_something_else() -> None:
    redacted: list[Event] = [
        PartStarted(0, "reasoning", is_redacted=True),
        ReasoningDelta(0, "", "opaque"),
        PartEnded(0),
        Verdict("vote"),
    ]
    assert fold_events(decoded(encoded(_events(*redacted)))).message.parts == ()
    refusal: list[Event] = [PartStarted(0, "refusal"), TextDelta(0, "no"), PartEnded(0)]
    assert fold_events(decoded(encoded(_events(*refusal)))).message.parts == (TextPart("no"),)
    broken: list[Event] = [PartStarted(0, "tool_call", "i", "f"), ToolCallDelta(0, "{half"), PartEnded(0)]
    with pytest.raises(Malformed, match="MALFORMED_FUNCTION_CALL"):
        decoded(encoded(_events(*broken)))
    reply = fold_events(_events(*broken))
    with pytest.raises(Malformed, match="MALFORMED_FUNCTION_CALL"):
        gemini.decode_reply(gemini.encode_reply(reply, id="r", created=0))


def test_logprobs_and_kept_parts_survive() -> None:
    entry = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": [98]}]}
    image = {"image_url": {"url": "data:image/png;base64,AA"}}
    kept = {"content_parts": [{"executableCode": {"code": "1"}}], "images": [image]}
    events: list[Event] = [Started("m", "r"), PartStarted(0, "text"), TextDelta(0, "a", (entry,)), PartEnded(0)]
    events.append(Finished("stop", message_extra=kept))
    whole = gemini.encode_reply(fold_events(events), id="r", created=0)
    for reply in (fold_events(decoded(encoded(events))), gemini.decode_reply(whole)):
        assert reply.logprobs == (entry,)
        assert reply.message.extra["content_parts"] == kept["content_parts"]
        assert reply.message.extra["images"][0]["image_url"] == image["image_url"]


def test_an_error_in_a_stream_is_read_by_google_s_types_and_by_us() -> None:
    for form in ("sse", "array"):
        encoder = StreamEncoder(id="r", created=0, model="m", form=form)
        start = encoder.encode(Started("m")) + encoder.encode(PartStarted(0, "text")) + encoder.encode(TextDelta(0, "a"))
        stream = start + encoder.error(RateLimited("slow down", provider="p", retry_after_s=3))
        decoder = StreamDecoder("here")
        assert [type(event).__name__ for event in decoder.feed(stream)] == ["Started", "PartStarted", "TextDelta"]
        with pytest.raises(RateLimited) as told:
            decoder.finish()
        assert told.value.retry_after_s == 3
        relay = StreamRelay(provider="here")
        assert relay.feed(stream) + relay.finish() == stream
        assert isinstance(relay.error, RateLimited)
        assert relay.has_content
    assert StreamEncoder(id="r", created=0, model="m", form="array").end() == b"[]"


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (b"", StreamBroken),
        (b"data: {half\n\n", Malformed),
        (b"data: []\n\n", Malformed),
        (b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n\n', StreamBroken),
        (b'{"error": {"code": 500, "message": "boom", "status": "INTERNAL"}}', Unavailable),
        (b'[{"error": {"code": 402, "message": "pay", "status": "X"}}]', BudgetSpent),
        (b'{"error": "boom"}', Unavailable),
        (b'{"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "bad"}}', ContentRefused),
    ],
)
def test_a_stream_that_is_no_answer_is_an_error(stream: bytes, kind: type[JackfieldError]) -> None:
    with pytest.raises(kind) as told:
        decoded(stream)
    assert told.value.provider == "here"
    relay = StreamRelay(provider="here")
    relay.feed(stream)
    relay.finish()
    assert not relay.finished
    assert kind in (StreamBroken, Malformed) or type(relay.error) is kind


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"nonsense", b'{"candidates": []}', b'{"candidates": [{"content": {}}]}'])
def test_a_body_that_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        gemini.decode_reply(body, provider="here")


def test_cheap_looks_agree_with_a_full_reading() -> None:
    full = fold_events(_events(PartStarted(0, "text"), TextDelta(0, "a"), PartEnded(0)))
    body = gemini.encode_reply(full, id="r", created=0)
    assert gemini.reply_usage(body) == full.usage
    assert gemini.reply_usage(b"nonsense") is None
    assert gemini.reply_error(body) is None
    assert isinstance(gemini.reply_error(b"nonsense"), Malformed)
    assert not gemini.is_empty(body)
    assert gemini.is_empty(gemini.encode_reply(fold_events(_events()), id="r", created=0))


text = st.text(min_size=1, max_size=20)
replied = st.lists(
    st.one_of(
        st.builds(TextPart, text),
        st.builds(ReasoningPart, text, st.sampled_from(["c2ln", "c2lnMg=="])),
        st.builds(ToolCallPart, st.text("abc", min_size=1), st.text("fg", min_size=1), st.just('{"a":[1,"ü"]}')),
    ),
    max_size=5,
)


@pytest.mark.behaviour("DIAL-01", "DIAL-03")
@given(replied, st.sampled_from(["sse", "array"]), st.integers(1, 40))
@settings(max_examples=150)
def test_any_answer_survives_however_the_bytes_are_cut(parts: list[Any], form: str, size: int) -> None:
    called = any(isinstance(part, ToolCallPart) for part in parts)
    joined: list[Any] = []
    for part in parts:  # texts in a row are one text on this wire
        if isinstance(part, TextPart) and joined and isinstance(joined[-1], TextPart):
            joined[-1] = TextPart(joined[-1].text + part.text)
        else:
            joined.append(part)
    reply = fold_events([*unfold_parts(parts), Finished("tool_calls" if called else "stop")])
    stream = encoded(unfold(reply), form=form)
    decoder = StreamDecoder("here")
    events = [event for at in range(0, len(stream), size) for event in decoder.feed(stream[at : at + size])] + decoder.finish()
    back = fold_events(events)
    assert (back.message.parts, back.finish_reason) == (tuple(joined), reply.finish_reason)
    whole = gemini.decode_reply(gemini.encode_reply(reply, id="r", created=0))
    assert whole.message.parts == tuple(joined)


def unfold_parts(parts: list[Any]) -> list[Event]:
    reply = fold_events([Started("m", "r"), Finished("stop")])
    message = msgspec.structs.replace(reply.message, parts=tuple(parts))
    return unfold(msgspec.structs.replace(reply, message=message))[:-1]


leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8))
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3), max_leaves=12
)


@given(anything)
@settings(max_examples=150)
def test_no_request_does_more_than_name_a_mistake(value: Any) -> None:
    for name in ("contents", "tools", "toolConfig", "generationConfig", "systemInstruction"):
        with suppress(BadRequest, NotSupported):
            encode_request(decode_request(fields(**{name: value})), model=MODEL)


def test_a_refusal_part_and_text_in_a_request_are_text() -> None:
    body, _ = sent(asked(text_message("user", "a"), Message("assistant", (RefusalPart("no"),))))
    assert body["contents"][1] == {"role": "model", "parts": [{"text": "no"}]}


@given(anything, anything, anything)
@settings(max_examples=200)
def test_no_answer_does_more_than_be_refused(part: Any, candidate: Any, top: Any) -> None:
    parts = {
        "candidates": [{"content": {"parts": [part, {"functionCall": part}, {"inlineData": part}]}, "finishReason": "STOP"}]
    }
    for value in (
        parts,
        {"candidates": [candidate]},
        {"candidates": candidate, "usageMetadata": top, "promptFeedback": top},
        top,
    ):
        body = msgspec.json.encode(value)
        with suppress(JackfieldError):
            fold_events(decoded(b"data: " + body + b"\n\n"))
        with suppress(JackfieldError):
            gemini.decode_reply(body)
        relay = StreamRelay()
        assert relay.feed(b"data: " + body + b"\n\n") + relay.finish() == b"data: " + body + b"\n\n"
