"""The OpenAI door beyond chat, with the official SDK as the client: completions, vectors, verdicts, pictures, sound."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from jackfield.testing.fake_completion import FakeTei
from jackfield.testing.fake_openai import PIXEL, SOUND, FakePlatform
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

KEY = "sk-canary-0123456789abcdef"
PREFIXES = ("/v1", "", "/v1/v1")


@contextlib.asynccontextmanager
async def platform(folder: Path) -> AsyncIterator[tuple[Gateway, FakePlatform, AsyncOpenAI]]:
    """Slot 0 has all of OpenAI's calls; slot 1 only speaks and lists."""
    async with (
        FakePlatform(["gpt-4o", "gpt-4o-mini"], require_key=KEY) as fake,
        running_gateway(folder, {"MY_KEY": KEY}) as gateway,
    ):
        await gateway.plug(0, "openai", base_url=fake.base_url, api_key="env:MY_KEY", model="gpt-4o")
        await gateway.plug(1, "scripted")
        async with gateway.openai() as client:
            yield gateway, fake, client


@pytest.mark.behaviour("HTTP-01")
async def test_a_completion_has_text_and_true_usage(tmp_path: Path) -> None:
    async with platform(tmp_path) as (gateway, fake, client):
        done = await client.completions.create(model="slot-0", prompt="Count to 3", max_tokens=20)
        assert (done.choices[0].text, done.choices[0].finish_reason, done.object) == ("1, 2, 3", "stop", "text_completion")
        assert done.usage is not None
        assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (3, 3)
        assert fake.requests[-1].json["messages"] == [{"role": "user", "content": "Count to 3"}]
        assert gateway.rows()[0].completion_tokens == 3


async def test_a_streamed_completion(tmp_path: Path) -> None:
    async with platform(tmp_path) as (_, _, client):
        stream = await client.completions.create(
            model="slot-0", prompt=["Count to 3"], stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "1, 2, 3"
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 3


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({}, "prompt"),
        ({"prompt": "a", "suffix": "b"}, "suffix"),
        ({"prompt": "a", "n": 2}, "n"),
    ],
)
async def test_what_a_completion_cannot_have_is_named(tmp_path: Path, fields: dict[str, Any], param: str) -> None:
    async with platform(tmp_path) as (gateway, fake, _):
        said = await gateway.http.post("/v1/completions", json={"model": "slot-0", **fields})
        assert (said.status_code, said.json()["error"]["param"]) == (400, param)
        assert not [request for request in fake.requests if request.method == "POST"]


@pytest.mark.behaviour("HTTP-03")
async def test_vectors_in_order_for_a_text_texts_and_tokens(tmp_path: Path) -> None:
    async with FakeOpenAI(["vectors"]) as fake, running_gateway(tmp_path) as gateway, gateway.openai() as client:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="vectors")
        texts = ["one", "two", "three"]
        told = await client.embeddings.create(model="slot-0", input=texts, encoding_format="float")
        assert [item.index for item in told.data] == [0, 1, 2]
        singles = [
            (await client.embeddings.create(model="slot-0", input=text, encoding_format="float")).data[0].embedding
            for text in texts
        ]
        assert [item.embedding for item in told.data] == singles
        assert told.usage.total_tokens == told.usage.prompt_tokens > 0
        assert gateway.rows()[0].prompt_tokens > 0
        packed = await client.embeddings.create(model="slot-0", input=texts)  # the SDK asks for base64 by itself
        for item, single in zip(packed.data, singles, strict=True):
            assert item.embedding == pytest.approx(single, abs=1e-6)
        await client.embeddings.create(model="slot-0", input=[[1, 2], [3]])
        assert fake.requests[-1].json["input"] == [[1, 2], [3]]


async def test_base64_is_what_the_client_asked_for(tmp_path: Path) -> None:
    async with FakeOpenAI(["vectors"]) as fake, running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="vectors")
        body = {"model": "slot-0", "input": "one", "encoding_format": "base64"}
        said = (await gateway.http.post("/v1/embeddings", json=body)).json()
        assert len(base64.b64decode(said["data"][0]["embedding"])) % 4 == 0


async def test_moderation(tmp_path: Path) -> None:
    async with platform(tmp_path) as (_, _, client):
        told = await client.moderations.create(model="slot-0", input=["fine", "also fine"])
        assert len(told.results) == 2
        assert told.results[0].categories.violence is False


async def test_pictures_from_words_and_from_pictures(tmp_path: Path) -> None:
    async with platform(tmp_path) as (_, fake, client):
        drawn = await client.images.generate(model="slot-0", prompt="a jackfield", size="1024x1024", n=1)
        assert drawn.data is not None
        assert drawn.data[0].b64_json == PIXEL or drawn.data[0].url
        picture = ("a.png", base64.b64decode(PIXEL), "image/png")
        edited = await client.images.edit(model="slot-0", image=picture, prompt="brighter", mask=picture)
        assert edited.data
        sent = fake.requests[-1]
        assert sent.path.endswith("/images/edits")
        assert sent.headers["content-type"].startswith("multipart/form-data")


async def test_words_to_sound_and_back(tmp_path: Path) -> None:
    async with platform(tmp_path) as (gateway, _, client):
        sound = await client.audio.speech.create(model="slot-0", voice="alloy", input="hello")
        assert sound.content == SOUND
        assert sound.response.headers["content-type"] == "audio/mpeg"
        words = await client.audio.transcriptions.create(model="slot-0", file=("a.mp3", SOUND, "audio/mpeg"))
        assert words.text
        plain = await client.audio.transcriptions.create(
            model="slot-0", file=("a.mp3", SOUND, "audio/mpeg"), response_format="text"
        )
        assert isinstance(plain, str)
        assert [row.outcome for row in gateway.rows()[:3]] == ["ok"] * 3


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_sound_of_any_language_is_written_in_english(tmp_path: Path) -> None:
    """The SDK warns of the call, since OpenAI will give it up."""
    async with platform(tmp_path) as (gateway, fake, client):
        words = await client.audio.translations.create(model="slot-0", file=("a.mp3", SOUND, "audio/mpeg"))
        assert words.text
        assert fake.requests[-1].path.endswith("/audio/translations")
        with pytest.raises(BadRequestError) as refused:
            await client.audio.translations.create(model="slot-1", file=("a.mp3", SOUND, "audio/mpeg"))
        assert "translation" in refused.value.message
        assert gateway.rows()[-1].outcome == "ok"


async def test_times_of_words_reach_the_client(tmp_path: Path) -> None:
    async with platform(tmp_path) as (_, _, client):
        told = await client.audio.transcriptions.create(
            model="slot-0", file=("a.mp3", SOUND, "audio/mpeg"), response_format="verbose_json"
        )
        assert told.segments is not None
        assert [segment.end for segment in told.segments] == [1.0]
        assert told.usage is not None


async def test_words_and_sound_come_as_events_where_events_are_asked_for(tmp_path: Path) -> None:
    async with platform(tmp_path) as (gateway, fake, client):
        stream = await client.audio.transcriptions.create(model="slot-0", file=("a.mp3", SOUND, "audio/mpeg"), stream=True)
        events: list[Any] = [event async for event in stream]
        assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
        assert events[0].delta == events[1].text != ""
        assert b'name="stream"' not in fake.requests[-1].body
        body = {"model": "slot-0", "input": "hello", "voice": "alloy", "stream_format": "sse"}
        said = await gateway.http.post("/v1/audio/speech", json=body)
        told = [json.loads(line[6:]) for line in said.text.splitlines() if line.startswith("data: ")]
        assert [event["type"] for event in told] == ["speech.audio.delta", "speech.audio.done"]
        assert base64.b64decode(told[0]["audio"]) == SOUND
        assert "stream_format" not in fake.requests[-1].json
        wrong = await gateway.http.post("/v1/audio/speech", json={**body, "stream_format": "ndjson"})
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "stream_format")


async def test_streams_that_there_are_not_are_refused_by_name(tmp_path: Path) -> None:
    async with platform(tmp_path) as (_, fake, client):
        picture = ("a.png", base64.b64decode(PIXEL), "image/png")
        for asked in (
            client.images.generate(model="slot-0", prompt="a", stream=True),
            client.images.edit(model="slot-0", prompt="a", image=picture, stream=True),
            client.audio.transcriptions.create(
                model="slot-0", file=("a.mp3", SOUND, "audio/mpeg"), stream=True, response_format="srt"
            ),
        ):
            with pytest.raises(BadRequestError) as refused:
                await asked
            assert refused.value.param == "stream"
        assert not [request for request in fake.requests if request.method == "POST"]


async def test_a_ranking(tmp_path: Path) -> None:
    async with FakeTei() as fake, running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "tei", base_url=fake.root_url)
        body = {"model": "slot-0", "query": "x", "documents": ["a", {"text": "b"}, "c"], "top_n": 2, "return_documents": True}
        said = await gateway.http.post("/v1/rerank", json=body)
        assert said.status_code == 200, said.text
        results = said.json()["results"]
        assert len(results) == 2
        assert results[0]["relevance_score"] >= results[1]["relevance_score"]
        assert results[0]["document"]["text"] in "abc"


@pytest.mark.parametrize("path", ["moderations", "images/generations", "audio/speech", "rerank"])
async def test_a_slot_that_cannot_says_so_and_nobody_is_asked(tmp_path: Path, path: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "moderations": {"input": "x"},
        "images/generations": {"prompt": "x"},
        "audio/speech": {"input": "x", "voice": "alloy"},
        "rerank": {"query": "x", "documents": ["y"]},
    }
    async with platform(tmp_path) as (gateway, _, _):
        said = await gateway.http.post(f"/v1/{path}", json={"model": "slot-1", **bodies[path]})
        assert said.status_code == 400
        assert "slot 1" in said.json()["error"]["message"]


async def test_among_slots_of_one_name_only_those_are_asked_that_can(tmp_path: Path) -> None:
    async with platform(tmp_path) as (gateway, fake, client):
        await gateway.http.get("/v1/models")
        for _ in range(3):
            told = await client.moderations.create(model="gpt-4o", input="fine")
            assert told.results
        assert fake.requests[-1].json["model"] == "gpt-4o"


async def test_a_failure_upstream_is_told_and_booked_once(tmp_path: Path) -> None:
    async with (
        FakeOpenAI(["vectors"]) as fake,
        running_gateway(tmp_path, routing={"retries": 0}) as gateway,
        gateway.openai() as client,
    ):
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="vectors")
        fake.behaviour = Behaviour(status=400, message="no such thing")
        with pytest.raises(BadRequestError, match="no such thing"):
            await client.embeddings.create(model="slot-0", input="x")
        assert [row.outcome for row in gateway.rows()] == ["invalid_request"]
        with pytest.raises(NotFoundError):
            await client.embeddings.create(model="nobody-has-it", input="x")


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_every_prefix(tmp_path: Path, prefix: str) -> None:
    async with platform(tmp_path) as (gateway, _, _), gateway.openai(prefix) as client:
        assert (await client.moderations.create(model="slot-0", input="x")).results


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_names = st.sampled_from(
    ["model", "input", "prompt", "query", "documents", "voice", "n", "size", "dimensions", "encoding_format", "top_n", "stream",
     "previous_response_id", "tools", "tool_choice", "text", "store", "reasoning", "instructions", "include"]
)  # fmt: skip
_bodies = st.one_of(st.binary(max_size=40), st.dictionaries(_names, _json | st.just("slot-0"), max_size=6).map(json.dumps))
PATHS = ("completions", "responses", "embeddings", "moderations", "rerank", "images/generations", "images/edits",
         "audio/speech", "audio/transcriptions", "audio/translations")  # fmt: skip


async def test_no_body_is_a_fault_of_ours(tmp_path: Path) -> None:
    async with platform(tmp_path) as (gateway, _, _):

        async def post(path: str, body: str | bytes, kind: str) -> None:
            content = body.encode() if isinstance(body, str) else body
            said = await gateway.http.post(f"/v1/{path}", content=content, headers={"content-type": kind})
            assert said.status_code < 500, said.text
            if said.status_code != 200:
                assert said.json()["error"]["message"]

        loop = asyncio.get_running_loop()

        @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.sampled_from(PATHS), _bodies, st.sampled_from(("application/json", "multipart/form-data; boundary=x")))
        def any_body(path: str, body: str | bytes, kind: str) -> None:
            asyncio.run_coroutine_threadsafe(post(path, body, kind), loop).result(10)

        await asyncio.to_thread(any_body)
