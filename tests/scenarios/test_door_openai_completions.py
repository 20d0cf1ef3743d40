"""The older completions: as they are to a source that completes prompts, as a chat of one message to all others."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI

from jackfield.testing.fake_anthropic import FakeAnthropic
from jackfield.testing.fake_openai import FakePlatform
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

Served = tuple[Gateway, FakeOpenAI, AsyncOpenAI]


@contextlib.asynccontextmanager
async def engine(
    folder: Path, preset: str = "vllm", routing: dict[str, Any] | None = None, **config: Any
) -> AsyncIterator[Served]:
    """Slot 0 completes prompts."""
    async with (
        FakeOpenAI() as fake,
        running_gateway(folder, {"CLAUDE_KEY": "sk-2"}, routing=routing or {}) as gateway,
        gateway.openai() as client,
    ):
        await gateway.plug(0, preset, base_url=fake.base_url, model="fake-model", **config)
        yield gateway, fake, client


def asked(fake: FakeOpenAI) -> list[str]:
    return [request.path for request in fake.requests if request.method == "POST"]


@pytest.mark.behaviour("HTTP-01")
async def test_all_that_only_a_completion_has_reaches_the_source(tmp_path: Path) -> None:
    async with engine(tmp_path) as (gateway, fake, client):
        told = await client.completions.create(
            model="slot-0", prompt=["Count to 3", "ping"], n=2, echo=True, logprobs=1, suffix="end", max_tokens=9
        )
        assert [choice.text for choice in told.choices] == ["Count to 31, 2, 3"] * 2 + ["pingpong"] * 2
        assert [choice.index for choice in told.choices] == [0, 1, 2, 3]
        assert told.choices[0].logprobs is not None
        assert asked(fake) == ["/v1/completions"]
        sent = fake.requests[-1].json
        assert {name: sent[name] for name in ("model", "suffix", "n", "echo", "logprobs", "max_tokens")} == {
            "model": "fake-model",
            "suffix": "end",
            "n": 2,
            "echo": True,
            "logprobs": 1,
            "max_tokens": 9,
        }
        assert "messages" not in sent
        assert told.usage is not None
        (row,) = gateway.rows()
        assert (row.prompt_tokens, row.completion_tokens) == (told.usage.prompt_tokens, told.usage.completion_tokens)


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1, 2], [3]]], ids=["tokens", "lists of tokens"])
async def test_a_prompt_of_tokens_is_not_read_here(tmp_path: Path, prompt: Any) -> None:
    async with engine(tmp_path) as (_, fake, client):
        await client.completions.create(model="slot-0", prompt=prompt)
        assert fake.requests[-1].json["prompt"] == prompt


@pytest.mark.parametrize("wants_usage", [False, True])
async def test_a_streamed_completion_passes_and_its_tokens_are_counted(tmp_path: Path, wants_usage: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if wants_usage else {}
    async with engine(tmp_path) as (gateway, fake, client):
        stream = await client.completions.create(model="slot-0", prompt="Count to 3", stream=True, **options)
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "1, 2, 3"
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        assert bool(chunks[-1].usage) is wants_usage
        assert fake.requests[-1].json["stream_options"] == {"include_usage": True}
        assert gateway.rows()[0].completion_tokens == 3


async def test_a_stream_that_was_cut_is_told_and_nothing_is_called_finished(tmp_path: Path) -> None:
    async with engine(tmp_path) as (gateway, fake, _):
        fake.script.append(Behaviour(cut_after=2))
        said = await gateway.http.post("/v1/completions", json={"model": "slot-0", "prompt": "Count to 9", "stream": True})
        assert said.text.count('"error"') == 1
        assert "[DONE]" not in said.text
        assert gateway.rows()[0].outcome != "ok"


async def test_settings_of_a_slot_that_only_chats_have_stay_away(tmp_path: Path) -> None:
    config: Any = {"max_tokens": 7, "logprobs": True, "reasoning_effort": "low", "temperature": 0.5}
    async with engine(tmp_path, **config) as (_, fake, client):
        await client.completions.create(model="slot-0", prompt="ping")
        sent = fake.requests[-1].json
        assert (sent["max_tokens"], sent["temperature"]) == (7, 0.5)
        assert not {"logprobs", "reasoning_effort", "max_completion_tokens"} & sent.keys()


async def test_a_quirk_says_that_a_server_completes_prompts(tmp_path: Path) -> None:
    async with engine(tmp_path, "openai-compat") as (_, fake, client):
        await client.completions.create(model="slot-0", prompt="ping")
        assert asked(fake) == ["/v1/chat/completions"]
    async with engine(tmp_path / "other", "openai-compat", quirks={"completions_models": ["fake-*"]}) as (_, fake, client):
        await client.completions.create(model="slot-0", prompt="ping")
        assert asked(fake) == ["/v1/completions"]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_each_model_of_a_source_is_asked_in_the_call_that_it_has(tmp_path: Path, streamed: bool) -> None:
    models = ["gpt-4o", "gpt-3.5-turbo-instruct"]
    async with FakePlatform(models) as fake, running_gateway(tmp_path, {"MY_KEY": "sk-1"}) as gateway:
        for number, model in enumerate(models):
            await gateway.plug(number, "openai", base_url=fake.base_url, api_key="env:MY_KEY", model=model)
            fields = {"model": f"slot-{number}", "prompt": "Count to 3", "stream": streamed}
            said = await gateway.http.post("/v1/completions", json=fields)
            assert said.status_code == 200
            assert "text_completion" in said.text
        assert asked(fake) == ["/v1/chat/completions", "/v1/completions"]
        assert [row.completion_tokens for row in gateway.rows()] == [3, 3]


async def test_what_a_chat_cannot_do_falls_to_a_source_that_completes_prompts(tmp_path: Path) -> None:
    routing = {"fallbacks": {"claude-fake": ["fake-model"]}}
    async with FakeAnthropic() as claude, engine(tmp_path, routing=routing) as (gateway, fake, client):
        await gateway.plug(1, "anthropic", base_url=claude.root_url, model="claude-fake", api_key="env:CLAUDE_KEY")
        with pytest.raises(APIStatusError) as refused:
            await client.completions.create(model="slot-1", prompt=["ping", "ping"])
        assert (refused.value.status_code, refused.value.body["param"]) == (400, "prompt")  # type: ignore[index]
        told = await client.completions.create(model="claude-fake", prompt=["ping", "ping"])
        assert [choice.text for choice in told.choices] == ["pong", "pong"]
        assert asked(fake) == ["/v1/completions"]
        assert not asked_claude(claude)


def asked_claude(claude: FakeAnthropic) -> list[str]:
    return [request.path for request in claude.requests if request.method == "POST"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "a", "temperature": "hot"}, "temperature"),
        ({"prompt": "a", "echo": 1}, "echo"),
        ({"prompt": {"text": "a"}}, "prompt"),
        ({"prompt": ["a", {}]}, "prompt[1]"),
        ({"prompt": None}, "prompt"),
        ({}, "prompt"),
    ],
)
async def test_wrong_fields_are_named_before_anybody_is_asked(tmp_path: Path, fields: dict[str, Any], param: str) -> None:
    async with engine(tmp_path) as (gateway, fake, _):
        said = await gateway.http.post("/v1/completions", json={"model": "slot-0", **fields})
        assert (said.status_code, said.json()["error"]["param"]) == (400, param)
        assert not asked(fake)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_nothing_between_a_prompt_and_its_suffix_is_an_answer(tmp_path: Path, streamed: bool) -> None:
    """An editor asks so at every key; a second source has no better answer to it."""
    async with FakeOpenAI() as other, engine(tmp_path) as (gateway, fake, _):
        await gateway.plug(1, "vllm", base_url=other.base_url, model="fake-model")
        fake.says = other.says = ""
        body = {"model": "fake-model", "prompt": "def f(", "suffix": "): pass", "stream": streamed}
        said = await gateway.http.post("/v1/completions", json=body)
        assert said.status_code == 200
        assert "text_completion" in said.text
        assert fake.completions + other.completions == 1
