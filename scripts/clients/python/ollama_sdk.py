"""The ollama package: chat, generate, embed, and what it asks of models."""

import ollama
from checks import CITY, COUNT, EMBED_MODEL, GATEWAY, IS_REAL, MODEL, TOOL, WEATHER, check, expect, expect_pieces

client = ollama.Client(host=GATEWAY)
OPTIONS = {"temperature": 0}
TOOLS = [{"type": "function", "function": TOOL}]


def user(text):
    return [{"role": "user", "content": text}]


@check("plain")
def plain():
    reply = client.chat(model=MODEL, messages=user("ping"), options=OPTIONS)
    expect((reply.message.content, reply.done, reply.done_reason), ("pong", True, "stop"))
    expect(client.generate(model=MODEL, prompt="ping", options=OPTIONS).response, "pong")


@check("stream")
def stream():
    chunks = list(client.chat(model=MODEL, messages=user(COUNT), options=OPTIONS, stream=True))
    expect_pieces([chunk.message.content for chunk in chunks if chunk.message.content])
    assert chunks[-1].done
    assert chunks[-1].eval_count > 0


@check("tools")
def tools():
    reply = client.chat(model=MODEL, messages=user(WEATHER), tools=TOOLS, options=OPTIONS)
    (call,) = reply.message.tool_calls
    expect((call.function.name, dict(call.function.arguments)), ("get_weather", CITY))
    if IS_REAL:
        turns = [*user(WEATHER), reply.message, {"role": "tool", "content": "sunny", "tool_name": "get_weather"}]
        answer = client.chat(model=MODEL, messages=turns, tools=TOOLS, options=OPTIONS)
        expect(answer.message.content, "The weather in Paris is sunny.")


@check("tools streamed")
def tools_streamed():
    chunks = client.chat(model=MODEL, messages=user(WEATHER), tools=TOOLS, options=OPTIONS, stream=True)
    (call,) = [call for chunk in chunks for call in chunk.message.tool_calls or ()]
    expect((call.function.name, dict(call.function.arguments)), ("get_weather", CITY))


@check("embeddings")
def embeddings():
    vectors = client.embed(model=EMBED_MODEL, input=["one", "two"]).embeddings
    expect(len(vectors), 2)
    old = client.embeddings(model=EMBED_MODEL, prompt="one").embedding
    expect(len(old), len(vectors[0]))


@check("models")
def models():
    assert MODEL in [model.model for model in client.list().models]
    assert "completion" in client.show(MODEL).capabilities
    client.ps()


@check("errors")
def errors():
    try:
        client.chat(model="nobody", messages=user("ping"))
    except ollama.ResponseError as error:
        expect(error.status_code, 404)
    else:
        raise AssertionError("a model that nobody has was answered")
