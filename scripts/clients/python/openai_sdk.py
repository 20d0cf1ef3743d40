"""The openai package: chat, responses, embeddings, models, at every form of the base URL."""

import base64
import json
import struct

import openai
from checks import (
    CITY,
    COUNT,
    COUNTED,
    EMBED_MODEL,
    GATEWAY,
    IS_REAL,
    KEY,
    MODEL,
    TOOL,
    WEATHER,
    check,
    expect,
    expect_pieces,
    expect_said,
)

client = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)
PING = [{"role": "user", "content": "ping"}]
TOOLS = [{"type": "function", "function": TOOL}]


@check("plain")
def plain():
    for base_url in (f"{GATEWAY}/v1", f"{GATEWAY}/v1/", f"{GATEWAY}/v1/v1", GATEWAY):
        other = openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=0)
        reply = other.chat.completions.create(model=MODEL, messages=PING, temperature=0)
        expect(reply.choices[0].message.content, "pong")
        expect(reply.choices[0].finish_reason, "stop")


@check("stream")
def stream():
    asked = [{"role": "user", "content": COUNT}]
    chunks = list(client.chat.completions.create(model=MODEL, messages=asked, temperature=0, stream=True))
    expect_pieces([chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content])
    expect([chunk.usage for chunk in chunks if chunk.usage], [])
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=MODEL, messages=PING, stream=True, stream_options=options))
    assert chunks[-1].usage.completion_tokens > 0
    expect(chunks[-1].choices, [])


@check("tools")
def tools():
    asked = [{"role": "user", "content": WEATHER}]
    message = client.chat.completions.create(model=MODEL, messages=asked, tools=TOOLS, temperature=0).choices[0].message
    (call,) = message.tool_calls
    expect((call.function.name, json.loads(call.function.arguments)), ("get_weather", CITY))
    if IS_REAL:
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        reply = client.chat.completions.create(model=MODEL, messages=[*asked, message, result], tools=TOOLS, temperature=0)
        expect(reply.choices[0].message.content, "The weather in Paris is sunny.")


@check("tools streamed")
def tools_streamed():
    asked = [{"role": "user", "content": WEATHER}]
    with client.chat.completions.stream(model=MODEL, messages=asked, tools=TOOLS, temperature=0) as events:
        (call,) = events.get_final_completion().choices[0].message.tool_calls
    expect((call.function.name, json.loads(call.function.arguments)), ("get_weather", CITY))


@check("responses")
def responses():
    reply = client.responses.create(model=MODEL, input="ping", temperature=0)
    expect((reply.output_text, reply.status), ("pong", "completed"))
    again = client.responses.create(model=MODEL, input="ping", previous_response_id=reply.id, temperature=0)
    expect(again.output_text, "pong")


@check("responses streamed")
def responses_streamed():
    with client.responses.stream(model=MODEL, input=COUNT, temperature=0) as events:
        expect_pieces([event.delta for event in events if event.type == "response.output_text.delta"])
        expect(events.get_final_response().output_text, COUNTED)


@check("responses tools")
def responses_tools():
    tool = {"type": "function", **TOOL, "strict": False}
    reply = client.responses.create(model=MODEL, input=WEATHER, tools=[tool], temperature=0)
    (call,) = [item for item in reply.output if item.type == "function_call"]
    expect((call.name, json.loads(call.arguments)), ("get_weather", CITY))


@check("embeddings")
def embeddings():
    plain = client.embeddings.create(model=EMBED_MODEL, input=["one", "two"], encoding_format="float").data
    expect([each.index for each in plain], [0, 1])
    decoded = client.embeddings.create(model=EMBED_MODEL, input=["one", "two"]).data  # the package asks for base64 itself
    for one, other in zip(plain, decoded, strict=True):
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding, strict=True)) < 1e-4
    packed = client.embeddings.create(model=EMBED_MODEL, input="one", encoding_format="base64").data[0].embedding
    expect(len(base64.b64decode(packed)), struct.calcsize("f") * len(plain[0].embedding))


@check("models")
def models():
    assert MODEL in [model.id for model in client.models.list()]
    expect(client.models.retrieve(MODEL).id, MODEL)


@check("errors")
def errors():
    try:
        client.chat.completions.create(model="nobody", messages=PING)
    except openai.NotFoundError as error:
        expect_said(error.message, "nobody")
    else:
        raise AssertionError("a model that nobody has was answered")
