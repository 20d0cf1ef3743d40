"""langchain-ollama: chat and embeddings by Ollama's API."""

from checks import CITY, COUNT, EMBED_MODEL, GATEWAY, MODEL, TOOL, WEATHER, check, expect, expect_pieces
from langchain_ollama import ChatOllama, OllamaEmbeddings

chat = ChatOllama(model=MODEL, base_url=GATEWAY, temperature=0)


@check("plain")
def plain():
    expect(chat.invoke("ping").content, "pong")


@check("the model is looked for first")
def validated():
    expect(ChatOllama(model=MODEL, base_url=GATEWAY, validate_model_on_init=True).invoke("ping").content, "pong")


@check("stream")
def stream():
    expect_pieces([chunk.content for chunk in chat.stream(COUNT) if chunk.content])


@check("tools")
def tools():
    (call,) = chat.bind_tools([{"type": "function", "function": TOOL}]).invoke(WEATHER).tool_calls
    expect((call["name"], call["args"]), ("get_weather", CITY))


@check("embeddings")
def embeddings():
    expect(len(OllamaEmbeddings(model=EMBED_MODEL, base_url=GATEWAY).embed_documents(["one", "two"])), 2)
