"""The fake upstream is what it plays: the official client talks to it, and its misbehaviours are real."""

import asyncio
import json

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from jackfield.testing.fakes import Behaviour, FakeOpenAI


def _client(fake: FakeOpenAI, key: str = "k") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=fake.base_url, api_key=key, max_retries=0, timeout=5)


async def test_the_official_client_gets_answers_tools_streams_models_and_vectors() -> None:
    async with FakeOpenAI(["fake-model"]) as fake, _client(fake) as client:
        whole = await client.chat.completions.create(model="fake-model", messages=[{"role": "user", "content": "ping"}])
        assert whole.choices[0].message.content == "pong"
        ChatCompletion.model_validate(whole.model_dump(), strict=True)
        stream = await client.chat.completions.create(
            model="fake-model",
            messages=[{"role": "user", "content": "Count to 5"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        assert all(isinstance(chunk, ChatCompletionChunk) for chunk in chunks)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "1, 2, 3, 4, 5"
        assert chunks[-1].usage is not None
        assert [model.id async for model in client.models.list()] == ["fake-model"]
        vectors = await client.embeddings.create(model="e", input=["a", "bb"], encoding_format="float")
        assert len(vectors.data) == 2
        assert (fake.connections, fake.completions) == (1, 2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)],
)
async def test_statuses_are_served(status: int, kind: type[openai.APIStatusError]) -> None:
    async with FakeOpenAI(behaviour=Behaviour(status=status)) as fake, _client(fake) as client:
        with pytest.raises(kind):
            await client.chat.completions.create(model="fake-model", messages=[{"role": "user", "content": "ping"}])


async def test_a_wrong_key_is_refused_and_told_back() -> None:
    async with FakeOpenAI(require_key="right") as fake, _client(fake, "wrong-one") as client:
        with pytest.raises(openai.AuthenticationError, match="wrong-one"):
            await client.models.list()


async def test_a_script_is_played_once_in_order() -> None:
    async with FakeOpenAI() as fake, _client(fake) as client:
        fake.script.append(Behaviour(status=503))
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="fake-model", messages=[{"role": "user", "content": "ping"}])
        await client.chat.completions.create(model="fake-model", messages=[{"role": "user", "content": "ping"}])


async def test_a_client_that_leaves_is_seen() -> None:
    async with FakeOpenAI(behaviour=Behaviour(hang="before")) as fake:
        reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
        body = json.dumps({"model": "fake-model", "messages": []}).encode()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(2):
            await fake.arrived.wait()
            writer.close()
            await writer.wait_closed()
            await fake.disconnected.wait()
        assert fake.disconnects == 1
        del reader


async def test_it_can_be_stopped_and_started_on_the_same_port() -> None:
    async with FakeOpenAI() as fake:
        url = fake.base_url
        await fake.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", fake.port)
        await fake.__aenter__()
        assert fake.base_url == url
