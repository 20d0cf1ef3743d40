"""Ollama's requests and answers in the details that no recorded file shows."""

from typing import Any

import msgspec
import pytest

from jackfield.core.errors import BadRequest, Malformed, NotSupported, SlotEmpty, ToolCallParseError, Unavailable
from jackfield.core.events import ChatReply, Finished, PartEnded, PartStarted, Started, ToolCallDelta
from jackfield.core.messages import (
    AudioPart,
    ImagePart,
    Message,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from jackfield.core.requests import ChatRequest, EmbedReply, Generation, ResponseFormat, Tool, ToolChoice
from jackfield.core.usage import Usage
from jackfield.dialects import ollama, ollama_embeddings, ollama_models

USER = {"role": "user", "content": "hi"}
ASKED = ChatRequest((text_message("user", "hi"),))


def raw(fields: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}


def read(**fields: Any) -> ChatRequest:
    return ollama.decode_request(raw({"model": "m", "messages": [USER], **fields}))


def sent(request: ChatRequest) -> tuple[dict[str, Any], list[str]]:
    body, warnings = ollama.encode_request(request, model="m")
    return msgspec.json.decode(body), warnings


def test_a_stream_is_wanted_unless_it_is_not() -> None:
    assert read().stream
    assert not read(stream=False).stream
    assert ollama.wants_stream(raw({}))
    assert not ollama.wants_stream(raw({"stream": False}))


@pytest.mark.behaviour("PARM-03")
def test_every_setting_has_its_own_name() -> None:
    generation = Generation(0.1, 0.2, 3, 4, ("END",), 5, 0.6, 0.7, 8192, "low", logprobs=True, top_logprobs=2)
    body, warnings = sent(msgspec.structs.replace(ASKED, generation=generation))
    assert body["options"] == {
        "temperature": 0.1,
        "top_p": 0.2,
        "top_k": 3,
        "num_predict": 4,
        "stop": ["END"],
        "seed": 5,
        "frequency_penalty": 0.6,
        "presence_penalty": 0.7,
        "num_ctx": 8192,
    }
    assert (body["think"], body["logprobs"], body["top_logprobs"], warnings) == ("low", True, 2, [])
    assert read(**{name: body[name] for name in ("options", "think", "logprobs", "top_logprobs")}).generation == generation


@pytest.mark.parametrize(("think", "effort"), [(True, "medium"), (False, "none"), ("high", "high"), (None, None)])
def test_thinking_is_an_effort(think: Any, effort: str | None) -> None:
    assert read(think=think).generation.reasoning_effort == effort


@pytest.mark.parametrize(("effort", "think"), [("none", False), ("minimal", "low"), ("medium", "medium"), ("xhigh", "high")])
def test_an_effort_is_thinking(effort: str, think: Any) -> None:
    body, warnings = sent(msgspec.structs.replace(ASKED, generation=Generation(reasoning_effort=effort)))
    assert (body["think"], warnings) == (think, [])


def test_without_a_bound_means_nothing_said() -> None:
    generation = read(options={"num_predict": -1, "num_ctx": 0, "top_k": 40.0, "seed": 7.0, "stop": "END"}).generation
    assert generation == Generation(top_k=40, seed=7, stop=("END",))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{**USER, "content": ["x"]}]}, "messages[0].content"),
        ({"messages": [{**USER, "images": "x"}]}, "messages[0].images"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "messages[0].tool_calls[0].function.name"),
        ({"options": []}, "options"),
        ({"options": {"temperature": 9}}, "options.temperature"),
        ({"options": {"num_predict": "x"}}, "options.num_predict"),
        ({"think": 3}, "think"),
        ({"format": "xml"}, "format"),
        ({"stream": "yes"}, "stream"),
        ({"tools": [{"function": {"name": 3}}]}, "tools[0].function.name"),
        ({"top_logprobs": 50}, "top_logprobs"),
    ],
)
@pytest.mark.behaviour("DIAL-08")
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(**fields)
    assert caught.value.param == param


def test_results_without_ids_answer_the_calls_before_them() -> None:
    calls: list[dict[str, Any]] = [{"function": {"name": name, "arguments": {}}} for name in ("a", "b", "a")]
    results = [{"role": "tool", "content": name, "tool_name": name} for name in ("a", "a", "b")]
    request = read(messages=[USER, {"role": "assistant", "tool_calls": calls}, *results])
    made = [call.id for call in request.messages[1].tool_calls]
    answered = [part for message in request.messages for part in message.parts if isinstance(part, ToolResultPart)]
    assert [part.call_id for part in answered] == [made[0], made[2], made[1]]
    bare = read(messages=[USER, {"role": "assistant", "tool_calls": calls[:1]}, {"role": "tool", "content": "x"}])
    assert bare.messages[2].parts[0] == ToolResultPart("call_1", (TextPart("x"),), "a")


@pytest.mark.behaviour("PARM-14")
@pytest.mark.parametrize(("data", "kind"), [("iVBORw0", "png"), ("/9j/4AA", "jpeg"), ("R0lGODl", "gif"), ("UklGRg", "webp")])
def test_an_image_s_kind_is_told_by_its_first_bytes(data: str, kind: str) -> None:
    request = read(messages=[{**USER, "images": [data]}])
    assert request.messages[0].parts[1] == ImagePart(data=data, media_type=f"image/{kind}")


@pytest.mark.parametrize("part", [ImagePart("https://x/y.png"), AudioPart("AAAA", "wav")])
def test_what_cannot_be_sent_is_refused(part: Any) -> None:
    with pytest.raises(NotSupported) as caught:
        sent(ChatRequest((Message("user", (TextPart("what is this"), part)),)))
    assert caught.value.param == "messages[0]"


@pytest.mark.behaviour("PARM-09")
def test_everything_that_is_left_out_is_named() -> None:
    request = ChatRequest(
        (
            Message("developer", (TextPart("Be brief.", {"cache_control": {}}),), name="boss", extra={"x_a": 1}),
            Message("user", (ImagePart(data="iVBORw0KGgo=", detail="low"), ReasoningPart("hm"))),
            Message("tool", (ToolResultPart("c9", (TextPart("no"),), is_error=True),)),
        ),
        generation=Generation(parallel_tool_calls=False, reasoning_effort="immense"),
        tools=(Tool("t", strict=True),),
        tool_choice=ToolChoice("required"),
        user="me",
        extra={"logit_bias": {}, "min_p": 0.1, "stream_options": {}, "keep_alive": 5},
    )
    body, warnings = sent(request)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["options"], body["keep_alive"]) == ({"min_p": 0.1}, 5)
    named = (
        "cache_control", "name", "x_a", "detail", "reasoning", "is_error", "parallel_tool_calls", "reasoning_effort", "strict",
        "tool_choice", "user", "logit_bias",
    )  # fmt: skip
    assert [name for name in named if not any(name in warning for warning in warnings)] == []
    assert len(warnings) == len(named)


def test_no_tools_are_sent_where_none_may_be_called() -> None:
    request = msgspec.structs.replace(ASKED, tools=(Tool("t"),))
    assert sent(request)[0]["tools"][0]["function"] == {"name": "t", "parameters": {"type": "object", "properties": {}}}
    assert "tools" not in sent(msgspec.structs.replace(request, tool_choice=ToolChoice("none")))[0]


@pytest.mark.behaviour("PARM-13")
def test_a_form_is_a_word_or_a_schema() -> None:
    schema = {"type": "object"}
    for form, value in ((ResponseFormat("json"), "json"), (ResponseFormat("json_schema", schema), schema)):
        assert sent(msgspec.structs.replace(ASKED, response_format=form))[0]["format"] == value
        assert read(format=value).response_format == form
    assert "format" not in sent(msgspec.structs.replace(ASKED, response_format=ResponseFormat("text")))[0]
    assert read(format="").response_format is None


def test_a_prompt_goes_to_generate_only_with_what_only_that_takes() -> None:
    assert ollama.form_of(ASKED) == "chat"
    assert ollama.form_of(msgspec.structs.replace(ASKED, extra={"raw": True})) == "generate"
    assert ollama.form_of(msgspec.structs.replace(ASKED, extra={"raw": True}, tools=(Tool("t"),))) == "chat"
    assert (ollama.path_of("chat"), ollama.path_of("generate")) == (ollama.PATH, ollama.GENERATE_PATH)


@pytest.mark.behaviour("PARM-12")
def test_arguments_of_a_call_are_an_object_repaired_if_need_be() -> None:
    def said(arguments: str) -> ChatReply:
        return ChatReply(Message("assistant", (ToolCallPart("c1", "f", arguments),)), "m", "tool_calls")

    for form in ("chat", "generate"):
        body = msgspec.json.decode(ollama.encode_reply(said('{"a": [1,],}'), id="", created=0, form=form))
        (call,) = body.get("message", body)["tool_calls"]
        assert call == {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": [1]}}}
    with pytest.raises(ToolCallParseError, match="called f with arguments"):
        ollama.encode_reply(said("[1]"), id="", created=0)
    encoder = ollama.StreamEncoder(id="", created=0, model="m")
    for event in (Started("m"), PartStarted(0, "tool_call", "c1", "f"), ToolCallDelta(0, "oh dear")):
        assert encoder.encode(event) == b""
    with pytest.raises(ToolCallParseError):
        encoder.encode(PartEnded(0))


def test_what_a_stream_says_beside_text() -> None:
    encoder = ollama.StreamEncoder(id="", created=0, model="m", form="generate")
    restarted = msgspec.json.decode(encoder.restarted(12))
    assert restarted["jackfield"] == {"restarted": True, "discard_chars": 12}
    assert (restarted["response"], restarted["done"]) == ("", False)
    failed = msgspec.json.decode(encoder.error(SlotEmpty("nothing is plugged into slot 3", slot=3)))
    assert failed == {"error": "nothing is plugged into slot 3"}
    relay = ollama.StreamRelay(provider="p")
    line = ollama.encode_stream_error(Unavailable("engine died"))
    assert relay.feed(line) == line
    assert isinstance(relay.error, Unavailable)
    assert encoder.end() == b""
    assert msgspec.json.decode(encoder.encode(Finished("other", "load")))["done_reason"] == "load"


def test_times_of_llama_cpp_are_told_in_ollamas_words() -> None:
    timings = {"prompt_n": 11, "prompt_ms": 0.677, "predicted_n": 10, "predicted_ms": 820}
    wanted = {"total_duration": 820_677_000, "prompt_eval_duration": 677_000, "eval_duration": 820_000_000}
    encoder = ollama.StreamEncoder(id="", created=0, model="m")
    end = msgspec.json.decode(encoder.encode(Finished("stop", extra={"timings": timings})))
    assert {name: end[name] for name in (*wanted, "timings")} == {**wanted, "timings": timings}
    reply = ChatReply(text_message("assistant", "hi"), "m", "stop", extra={"timings": timings, "eval_duration": 5})
    whole = msgspec.json.decode(ollama.encode_reply(reply, id="", created=0))
    assert {name: whole[name] for name in wanted} == {**wanted, "eval_duration": 5}


@pytest.mark.parametrize(
    "timings", [None, 5, {}, {"prompt_ms": 1}, {"prompt_ms": -1, "predicted_ms": 1}, {"prompt_ms": True, "predicted_ms": "1"}]
)
def test_times_that_are_none_are_not_told(timings: Any) -> None:
    encoder = ollama.StreamEncoder(id="", created=0, model="m")
    end = msgspec.json.decode(encoder.encode(Finished("stop", extra={"timings": timings})))
    assert not [name for name in end if name.endswith("_duration")]


def test_a_sign_of_life_is_a_line_that_says_nothing() -> None:
    for form in ("chat", "generate"):
        relay, decoder = ollama.StreamRelay(), ollama.StreamDecoder(model="m")
        assert relay.feed(ollama.KEEP_ALIVE[form] + b"\n") == ollama.KEEP_ALIVE[form]
        assert (relay.has_content, relay.error) == (False, None)
        assert decoder.feed(ollama.KEEP_ALIVE[form]) == [Started("m")]


def test_hidden_thoughts_stay_hidden_and_a_refusal_is_text() -> None:
    parts = (ReasoningPart("secret", "sig", redacted=True), RefusalPart("No."))
    body = msgspec.json.decode(ollama.encode_reply(ChatReply(Message("assistant", parts), "m", "stop"), id="", created=0))
    assert body["message"] == {"role": "assistant", "content": "No."}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nonsense", b"{}", b'{"message": {}', b'{"message":{"content":"x"},"done":false}']
)
def test_what_is_no_answer_is_told(body: bytes) -> None:
    with pytest.raises(Malformed):
        ollama.decode_reply(body, provider="p")
    assert ollama.reply_usage(body) is None
    assert body.startswith(b'{"message":{') or body == b"{}" or isinstance(ollama.reply_error(body), Malformed)


def test_an_answer_that_says_nothing_is_empty() -> None:
    end = {"model": "m", "done": True, "done_reason": "stop"}
    assert ollama.is_empty(msgspec.json.encode({**end, "message": {"role": "assistant", "content": ""}}))
    assert not ollama.is_empty(msgspec.json.encode({**end, "message": {"content": "x"}}))
    assert not ollama.is_empty(msgspec.json.encode({**end, "done_reason": "length", "response": ""}))


def test_fields_pass_through_as_they_are_written() -> None:
    fields = {"messages": msgspec.Raw(b'[{"role": "user"}]'), "x": msgspec.Raw(b"2.50"), "model": msgspec.Raw(b'"slot-0"')}
    assert ollama.splice_request(fields) == b'{"messages":[{"role": "user"}],"x":2.50,"model":"slot-0"}'
    assert ollama.splice_request(fields, model="m", stream=False).endswith(b'"model":"m","stream":false}')


def test_a_slot_s_settings_fill_in_what_the_client_left_open() -> None:
    fields = raw({"options": {"temperature": 0.5, "seed": None, "min_p": 0.1}, "think": None})
    defaults = {
        "temperature": 1.0,
        "seed": 7,
        "max_tokens": 9,
        "reasoning_effort": "none",
        "keep_alive": "5m",
        "logprobs": True,
    }
    ollama.fill_in(fields, raw(defaults))
    body = msgspec.json.decode(ollama.splice_request(fields))
    assert body["options"] == {"temperature": 0.5, "seed": 7, "min_p": 0.1, "num_predict": 9}
    assert (body["think"], body["keep_alive"], body["logprobs"]) == (False, "5m", True)
    refused = raw({"options": [1]})
    ollama.fill_in(refused, raw(defaults))
    assert refused == raw({"options": [1]})


@pytest.mark.parametrize(
    ("fields", "wish"),
    [
        ({"messages": [USER]}, None),
        ({"prompt": "x"}, None),
        ({"messages": []}, "load"),
        ({}, "load"),
        ({"prompt": "", "keep_alive": "10m"}, "load"),
        ({"keep_alive": 0}, "unload"),
        ({"messages": [], "keep_alive": "0"}, "unload"),
    ],
)
def test_a_request_without_a_prompt_is_about_the_model(fields: dict[str, Any], wish: ollama.LoadWish | None) -> None:
    assert ollama.load_wish(raw(fields)) == wish
    if wish is not None:
        reply = ollama.decode_reply(ollama.encode_loaded(wish, model="m", created=5))
        assert (reply.raw_finish_reason, reply.created, reply.text) == (wish, 5, "")


def test_embeddings_are_read_and_written_both_ways() -> None:
    request = ollama_embeddings.decode_embed_request(
        raw({"model": "m", "input": ["a", "b"], "dimensions": 2, "truncate": True})
    )
    body, warnings = ollama_embeddings.encode_embed(request, "m")
    assert msgspec.json.decode(body) == {"model": "m", "input": ["a", "b"], "dimensions": 2, "truncate": True}
    assert warnings == []
    old = ollama_embeddings.decode_embed_request(raw({"model": "m", "prompt": "a"}), form="embeddings")
    assert old.inputs == ("a",)
    reply = EmbedReply(((1.0, 2.0), (3.0, 4.0)), "m", Usage(4))
    assert ollama_embeddings.decode_embed(ollama_embeddings.encode_embed_reply(reply), 2, "m") == reply
    one = ollama_embeddings.encode_embed_reply(reply, form="embeddings")
    assert ollama_embeddings.decode_embed(one, 1, "m").vectors == reply.vectors[:1]
    with pytest.raises(Malformed, match="2 vectors for 3 texts"):
        ollama_embeddings.decode_embed(ollama_embeddings.encode_embed_reply(reply), 3, "m")
    for fields, param in (
        ({}, "input"),
        ({"input": 3}, "input"),
        ({"input": [3]}, "input[0]"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
    ):
        with pytest.raises(BadRequest) as caught:
            ollama_embeddings.decode_embed_request(raw(fields))
        assert caught.value.param == param


def test_facts_about_models_are_only_those_that_are_told() -> None:
    listed = ollama_models.decode_tags(
        b'{"models":[{"name":"a:b","size":5,"details":{"quantization_level":""}},{"model":"c"}]}', "p"
    )
    assert [(one.id, one.size_bytes, one.quantization) for one in listed] == [("a:b", 5, None), ("c", None, None)]
    unknown = ollama_models.decode_show(b'{"model_info":{"x.context_length":-1}}', "m", "p")
    assert (unknown.context_length, unknown.tools, unknown.vision) == (None, None, None)
    known = ollama_models.decode_show(b'{"model_info":{"x.context_length":9},"capabilities":["completion","tools"]}', "m", "p")
    assert (known.context_length, known.tools, known.vision, known.embeddings) == (9, True, False, False)
    assert [ollama_models.full_name(name) for name in ("a", "a:b", "h:1/a")] == ["a:latest", "a:b", "h:1/a:latest"]
    with pytest.raises(Malformed, match="the model list is not what it should be"):
        ollama_models.decode_tags(b"[]", "p")
