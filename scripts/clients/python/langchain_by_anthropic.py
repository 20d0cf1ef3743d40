"""langchain-anthropic: messages."""

from checks import CITY, CITY_SCHEMA, COUNT, GATEWAY, KEY, MODEL, WEATHER, check, expect, expect_pieces
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage

chat = ChatAnthropic(model=MODEL, base_url=GATEWAY, api_key=KEY, max_retries=0, max_tokens=60)
TOOL = {"name": "get_weather", "description": "Weather of a city", "input_schema": CITY_SCHEMA}


@check("plain")
def plain():
    expect(chat.invoke("ping").content, "pong")


@check("stream")
def stream():
    expect_pieces([chunk.text for chunk in chat.stream(COUNT) if chunk.text])


@check("tools")
def tools():
    (call,) = chat.bind_tools([TOOL]).invoke(WEATHER).tool_calls
    expect((call["name"], call["args"]), ("get_weather", CITY))


@check("tools streamed")
def tools_streamed():
    whole = None
    for chunk in chat.bind_tools([TOOL]).stream(WEATHER):
        whole = chunk if whole is None else whole + chunk
    (call,) = whole.tool_calls
    expect((call["name"], call["args"]), ("get_weather", CITY))


@check("count_tokens")
def count_tokens():
    assert chat.get_num_tokens_from_messages([HumanMessage("ping")]) > 0
