"""Every body that the OpenAI door makes, against the SDK's own types, strictly: nothing missing, wrong or unheard of."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai.types import (
    Batch,
    Completion,
    CreateEmbeddingResponse,
    FileDeleted,
    FileObject,
    ImagesResponse,
    Model,
    ModerationCreateResponse,
)
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseItem, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from jackfield.testing.fake_openai import FakePlatform
from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway, running_gateway

OURS = {"jackfield", "simulated", "store", "name"}
"""What is our own, `store`, which OpenAI tells and its types leave out, and a call's `name`, which older clients want."""
PING: Any = [{"role": "user", "content": "ping"}]
WEATHER: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
TOOL: Any = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": False}
ASK_TOOL = "What is the weather in Paris?"


def unheard_of(value: Any, at: str = "") -> Iterator[str]:
    """Fields that the SDK's types do not have, by their places."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            if name not in OURS:
                yield f"{at}.{name}"
        for name in type(value).model_fields:
            yield from unheard_of(getattr(value, name), f"{at}.{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from unheard_of(item, f"{at}[{number}]")


def strictly(kind: Any, raw: str | bytes) -> Any:
    read = TypeAdapter(kind).validate_json(raw, strict=True)
    assert list(unheard_of(read)) == [], raw
    return read


def events(text: str) -> list[str]:
    return [line[6:] for line in text.splitlines() if line.startswith("data: ") and line != "data: [DONE]"]


@contextlib.asynccontextmanager
async def house(folder: Path) -> AsyncIterator[Gateway]:
    """Slot 0 speaks no dialect, so that every byte is ours; slot 1 speaks that of chats."""
    async with FakeOpenAI(["small"]) as chat, running_gateway(folder) as gateway:
        await gateway.plug(0, "scripted", text="hello")
        await gateway.plug(1, "openai-compat", base_url=chat.base_url, model="small")
        yield gateway


async def post(gateway: Gateway, path: str, **body: Any) -> str:
    said = await gateway.http.post(f"/v1/{path}", json=body)
    assert said.status_code == 200, said.text
    return said.text


@pytest.mark.behaviour("DOOR-33")
@pytest.mark.parametrize("model", ["slot-0", "slot-1"])
async def test_chats_and_completions(tmp_path: Path, model: str) -> None:
    async with house(tmp_path) as gateway:
        strictly(ChatCompletion, await post(gateway, "chat/completions", model=model, messages=PING))
        strictly(Completion, await post(gateway, "completions", model=model, prompt="ping"))
        told = await post(gateway, "chat/completions", model=model, messages=PING, stream=True)
        for event in events(told):
            strictly(ChatCompletionChunk, event)
        pieces = events(await post(gateway, "completions", model=model, prompt="ping", stream=True))
        assert '"finish_reason":"stop"' in pieces[-1]
        for event in pieces:  # until the last one null, for which the types have no place
            strictly(Completion, event.replace('"finish_reason":null', '"finish_reason":"stop"'))
        tooled = [{"role": "user", "content": ASK_TOOL}]
        strictly(ChatCompletion, await post(gateway, "chat/completions", model="slot-1", messages=tooled, tools=[CHAT_TOOL]))


@pytest.mark.parametrize("model", ["slot-0", "slot-1"])
async def test_responses_their_events_and_what_is_kept_of_them(tmp_path: Path, model: str) -> None:
    async with house(tmp_path) as gateway:
        plain = strictly(Response, await post(gateway, "responses", model=model, input="ping", metadata={"a": "b"}))
        for event in events(await post(gateway, "responses", model=model, input="ping", stream=True)):
            strictly(ResponseStreamEvent, event)
        asked: Any = {"model": "slot-1", "input": ASK_TOOL, "tools": [TOOL], "previous_response_id": plain.id}
        strictly(Response, await post(gateway, "responses", **asked))
        for event in events(await post(gateway, "responses", **asked, stream=True)):
            strictly(ResponseStreamEvent, event)
        strictly(Response, (await gateway.http.get(f"/v1/responses/{plain.id}")).content)
        listed = (await gateway.http.get(f"/v1/responses/{plain.id}/input_items")).json()
        for item in listed["data"]:
            strictly(ResponseItem, json.dumps(item))


async def test_vectors_verdicts_pictures_and_models(tmp_path: Path) -> None:
    async with FakePlatform(["gpt-4o"]) as platform, running_gateway(tmp_path, {"K": "sk-0123456789"}) as gateway:
        await gateway.plug(0, "openai", base_url=platform.base_url, api_key="env:K", model="gpt-4o")
        strictly(CreateEmbeddingResponse, await post(gateway, "embeddings", model="slot-0", input=["a", "b"]))
        strictly(ModerationCreateResponse, await post(gateway, "moderations", model="slot-0", input="ping"))
        strictly(ImagesResponse, await post(gateway, "images/generations", model="slot-0", prompt="a cat"))
        for model in (await gateway.http.get("/v1/models")).json()["data"]:
            strictly(Model, json.dumps(model))


async def test_files_and_batches(tmp_path: Path) -> None:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"model": "slot-0", "input": "ping"}}
    async with house(tmp_path) as gateway:
        for content in (json.dumps(line), "wrong"):
            upload = {"file": ("in.jsonl", content.encode())}
            said = await gateway.http.post("/v1/files", data={"purpose": "batch"}, files=upload)
            file = strictly(FileObject, said.content)
            order = {"input_file_id": file.id, "endpoint": "/v1/responses", "completion_window": "24h"}
            batch = strictly(Batch, await post(gateway, "batches", **order, no_such_field=1))
            async with asyncio.timeout(10):
                while batch.status not in ("completed", "failed"):
                    await asyncio.sleep(0.02)
                    batch = strictly(Batch, (await gateway.http.get(f"/v1/batches/{batch.id}")).content)
            if batch.output_file_id:
                result = json.loads((await gateway.http.get(f"/v1/files/{batch.output_file_id}/content")).text)
                assert set(result) == {"id", "custom_id", "response", "error"}
                assert set(result["response"]) == {"status_code", "request_id", "body"}
                strictly(Response, json.dumps(result["response"]["body"]))
            strictly(FileDeleted, (await gateway.http.delete(f"/v1/files/{file.id}")).content)
        for listed in ("files", "batches"):
            page = (await gateway.http.get(f"/v1/{listed}")).json()
            assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
