"""The anthropic package: messages, counts, models, with and without /v1 in the base URL."""

import anthropic
from checks import CITY, CITY_SCHEMA, COUNT, GATEWAY, IS_REAL, KEY, MODEL, WEATHER, check, expect, expect_pieces

client = anthropic.Anthropic(base_url=GATEWAY, api_key=KEY, max_retries=0)
TOOL = {"name": "get_weather", "description": "Weather of a city", "input_schema": CITY_SCHEMA}
ASKED = {"model": MODEL, "max_tokens": 60}


def user(text):
    return {"role": "user", "content": text}


def tool_use(reply):
    expect(reply.stop_reason, "tool_use")
    (block,) = [block for block in reply.content if block.type == "tool_use"]
    expect((block.name, block.input), ("get_weather", CITY))
    return block


@check("plain")
def plain():
    for base_url in (GATEWAY, f"{GATEWAY}/v1"):
        other = anthropic.Anthropic(base_url=base_url, api_key=KEY, max_retries=0)
        reply = other.messages.create(messages=[user("ping")], **ASKED)
        expect((reply.content[0].text, reply.stop_reason), ("pong", "end_turn"))
        assert reply.usage.output_tokens > 0


@check("bearer")
def bearer():
    other = anthropic.Anthropic(base_url=GATEWAY, auth_token=KEY, max_retries=0)
    expect(other.messages.create(messages=[user("ping")], **ASKED).content[0].text, "pong")


@check("stream")
def stream():
    with client.messages.stream(messages=[user(COUNT)], **ASKED) as events:
        expect_pieces(list(events.text_stream))
        assert events.get_final_message().usage.output_tokens > 0


@check("tools")
def tools():
    reply = client.messages.create(messages=[user(WEATHER)], tools=[TOOL], **ASKED)
    call = tool_use(reply)
    if IS_REAL:
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        turns = [user(WEATHER), {"role": "assistant", "content": reply.content}, user([result])]
        answer = client.messages.create(messages=turns, tools=[TOOL], **ASKED)
        expect(answer.content[0].text, "The weather in Paris is sunny.")


@check("tools streamed")
def tools_streamed():
    with client.messages.stream(messages=[user(WEATHER)], tools=[TOOL], **ASKED) as events:
        tool_use(events.get_final_message())


@check("count_tokens")
def count_tokens():
    few = client.messages.count_tokens(model=MODEL, messages=[user("ping")]).input_tokens
    many = client.messages.count_tokens(model=MODEL, messages=[user("ping " * 50)]).input_tokens
    assert 0 < few < many


@check("models")
def models():
    listed = client.models.list(limit=1000).data
    assert MODEL in [model.id for model in listed]
    assert {model.type for model in listed} == {"model"}
    expect(client.models.retrieve(MODEL).id, MODEL)


@check("errors")
def errors():
    try:
        client.messages.create(model="nobody", max_tokens=9, messages=[user("ping")])
    except anthropic.NotFoundError as error:
        expect(error.body["error"]["type"], "not_found_error")
    else:
        raise AssertionError("a model that nobody has was answered")
