"""LlamaIndex's OpenAILike: chat and embeddings."""

from checks import CITY, COUNT, EMBED_MODEL, GATEWAY, KEY, MODEL, WEATHER, check, expect, expect_pieces
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

GIVEN = {"api_base": f"{GATEWAY}/v1", "api_key": KEY, "max_retries": 0}
chat = OpenAILike(model=MODEL, is_chat_model=True, is_function_calling_model=True, temperature=0, **GIVEN)


def get_weather(city: str) -> str:
    """Weather of a city"""
    return f"sunny in {city}"


@check("plain")
def plain():
    expect(chat.chat([ChatMessage(role="user", content="ping")]).message.content, "pong")
    expect(str(chat.complete("ping")), "pong")


@check("stream")
def stream():
    chunks = chat.stream_chat([ChatMessage(role="user", content=COUNT)])
    expect_pieces([chunk.delta for chunk in chunks if chunk.delta])


@check("tools")
def tools():
    tool = FunctionTool.from_defaults(get_weather)
    (call,) = chat.get_tool_calls_from_response(chat.chat_with_tools([tool], user_msg=WEATHER))
    expect((call.tool_name, call.tool_kwargs), ("get_weather", CITY))


@check("embeddings")
def embeddings():
    vectors = OpenAILikeEmbedding(model_name=EMBED_MODEL, **GIVEN).get_text_embedding_batch(["one", "two"])
    expect(len(vectors), 2)
