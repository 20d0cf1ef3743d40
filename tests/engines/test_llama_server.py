"""The real llama-server does what the other tests take for granted: it loads the tiny model and speaks OpenAI's dialect."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from engine_servers import EMBED_MODEL, WEATHER_TOOL, EngineServer, EngineStartFailed, llama_server

pytestmark = pytest.mark.engine


def connect(server: EngineServer, api_key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=api_key, max_retries=0, timeout=20)


@pytest.fixture
def client(llama: EngineServer) -> Iterator[openai.OpenAI]:
    with connect(llama) as client:
        yield client


def ask(client: openai.OpenAI, text: str) -> str | None:
    reply = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": text}], temperature=0, max_tokens=60
    )
    return reply.choices[0].message.content


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("ping", "pong"),
        ("Count to 5", "1, 2, 3, 4, 5"),
        ("What is the capital of France?", "The capital of France is Paris."),
        ("say something in unicode", "héllo – 你好 🙂 done"),
    ],
)
def test_it_answers(client: openai.OpenAI, question: str, answer: str) -> None:
    assert ask(client, question) == answer


def test_it_streams_pieces_and_usage(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "Count to 5"}],
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert len(pieces) > 1
    assert "".join(pieces) == "1, 2, 3, 4, 5"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 1


def test_it_calls_a_tool(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER_TOOL],
        temperature=0,
        max_tokens=60,
    )
    assert reply.choices[0].finish_reason == "tool_calls"
    call = (reply.choices[0].message.tool_calls or [])[0]
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert call.function.arguments.replace(" ", "") == '{"city":"Paris"}'


def test_a_second_server_embeds_and_wants_its_key(tmp_path: Path) -> None:
    options = ("--embedding", "--pooling", "mean", "--api-key", "right")
    with llama_server(tmp_path, *options, model=EMBED_MODEL, alias="embed") as server:
        with connect(server, "wrong") as stranger, pytest.raises(openai.AuthenticationError):
            stranger.embeddings.create(model="embed", input="ping", encoding_format="float")
        with connect(server, "right") as friend:
            vectors = friend.embeddings.create(model="embed", input=["ping", "pong"], encoding_format="float")
    assert [len(item.embedding) for item in vectors.data] == [64, 64]
    assert server.process.poll() is not None


def test_a_file_that_is_no_model_is_a_start_that_failed(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model")
    with pytest.raises(EngineStartFailed, match=r"ended with"), llama_server(tmp_path, model=broken):
        pass
