"""The google-genai package: content, counts, embeddings, models."""

from checks import CITY, CITY_SCHEMA, COUNT, EMBED_MODEL, GATEWAY, KEY, MODEL, WEATHER, check, expect, expect_pieces
from google import genai
from google.genai import errors, types

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=GATEWAY))
PLAIN = types.GenerateContentConfig(temperature=0, max_output_tokens=60)
DECLARED = types.FunctionDeclaration(name="get_weather", description="Weather of a city", parameters_json_schema=CITY_SCHEMA)
WITH_TOOL = types.GenerateContentConfig(
    temperature=0,
    max_output_tokens=60,
    tools=[types.Tool(function_declarations=[DECLARED])],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


@check("plain")
def plain():
    for version in (None, "v1", "v1alpha"):
        options = types.HttpOptions(base_url=GATEWAY, api_version=version)
        other = genai.Client(api_key=KEY, http_options=options)
        expect(other.models.generate_content(model=MODEL, contents="ping", config=PLAIN).text, "pong")


@check("stream")
def stream():
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=COUNT, config=PLAIN))
    expect_pieces([chunk.text for chunk in chunks if chunk.text])
    assert chunks[-1].usage_metadata.candidates_token_count > 0


@check("tools")
def tools():
    (call,) = client.models.generate_content(model=MODEL, contents=WEATHER, config=WITH_TOOL).function_calls
    expect((call.name, call.args), ("get_weather", CITY))


@check("tools streamed")
def tools_streamed():
    chunks = client.models.generate_content_stream(model=MODEL, contents=WEATHER, config=WITH_TOOL)
    (call,) = [call for chunk in chunks for call in chunk.function_calls or ()]
    expect((call.name, call.args), ("get_weather", CITY))


@check("a tool called by the client itself", if_real=True)  # the script would call it for ever
def automatic():
    def get_weather(city: str) -> str:
        """Weather of a city"""
        return f"sunny in {city}"

    config = types.GenerateContentConfig(temperature=0, max_output_tokens=60, tools=[get_weather])
    assert "sunny" in client.models.generate_content(model=MODEL, contents=WEATHER, config=config).text


@check("chat")
def chat():
    talk = client.chats.create(model=MODEL, config=PLAIN)
    expect(talk.send_message("ping").text, "pong")
    expect(talk.send_message("ping").text, "pong")


@check("count_tokens")
def count_tokens():
    assert client.models.count_tokens(model=MODEL, contents="ping").total_tokens > 0


@check("embeddings")
def embeddings():
    reply = client.models.embed_content(model=EMBED_MODEL, contents=["one", "two"])
    expect(len(reply.embeddings), 2)
    assert reply.embeddings[0].values != reply.embeddings[1].values


@check("models")
def models():
    assert f"models/{MODEL}" in [model.name for model in client.models.list()]
    expect(client.models.get(model=MODEL).name, f"models/{MODEL}")


@check("errors")
def not_found():
    try:
        client.models.generate_content(model="nobody", contents="ping")
    except errors.ClientError as error:
        expect((error.code, error.status), (404, "NOT_FOUND"))
    else:
        raise AssertionError("a model that nobody has was answered")
