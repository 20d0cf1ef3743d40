"""langchain-openai: chat, Responses, structured output, embeddings as text and as token ids."""

import importlib.util
import os
from pathlib import Path

from checks import (
    CITY,
    CITY_SCHEMA,
    COUNT,
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
)

# tiktoken fetches its tables from the internet unless it finds them here; litellm brings the one that is asked for.
litellm = importlib.util.find_spec("litellm")
os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(litellm.origin).parent / "litellm_core_utils/tokenizers")

from langchain_openai import ChatOpenAI, OpenAIEmbeddings  # noqa: E402

GIVEN = {"base_url": f"{GATEWAY}/v1", "api_key": KEY, "max_retries": 0}
chat = ChatOpenAI(model=MODEL, temperature=0, **GIVEN)


@check("plain")
def plain():
    expect(chat.invoke("ping").content, "pong")


@check("stream")
def stream():
    chunks = list(chat.stream(COUNT))
    expect_pieces([chunk.content for chunk in chunks if chunk.content])


@check("tools")
def tools():
    (call,) = chat.bind_tools([{"type": "function", "function": TOOL}]).invoke(WEATHER).tool_calls
    expect((call["name"], call["args"]), ("get_weather", CITY))


@check("responses")
def responses():
    expect(ChatOpenAI(model=MODEL, use_responses_api=True, **GIVEN).invoke("ping").text, "pong")


@check("json_schema")
def json_schema():
    cities = {"city": {"type": "string", "enum": ["Paris", "Rome"]}}  # so that a model that knows no JSON comes to an end
    schema = {"title": "City", **CITY_SCHEMA, "properties": cities, "additionalProperties": False}
    reply = chat.with_structured_output(schema, method="json_schema").invoke("Paris as JSON")
    expect(list(reply), ["city"])
    if not IS_REAL:
        expect(reply, CITY)


@check("embeddings")
def embeddings():
    vectors = OpenAIEmbeddings(model=EMBED_MODEL, check_embedding_ctx_length=False, **GIVEN).embed_documents(["one", "two"])
    expect(len(vectors), 2)


@check("embeddings as token ids", if_real=False)
def token_ids():
    """What it does unless it is told not to: the ids are OpenAI's, so a model with another vocabulary cannot take them."""
    vectors = OpenAIEmbeddings(model=EMBED_MODEL, **GIVEN).embed_documents(["one", "two"])
    expect(len(vectors), 2)
    assert vectors[0] != vectors[1]
