"""What an answer does not honour of its request is named in `x-jackfield-warnings`, at every door, whole and streamed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest

from jackfield import ChatRequest, InferenceProviderAdapter
from jackfield.core.events import ChatReply, Event, unfold
from jackfield.core.messages import text_message
from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway, running_gateway

HEADER = "x-jackfield-warnings"
KEY = "a-long-gateway-key"
TURNS: list[dict[str, Any]] = [{"role": "user", "content": "ping"}]
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "ping"}]}]}
BODIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "anthropic": ("/v1/messages", {"model": "slot-0", "max_tokens": 9, "messages": TURNS, "container": "c"}, "container"),
    "gemini": ("/v1beta/models/slot-0:generateContent", {**CONTENTS, "cachedContent": "cachedContents/c"}, "cachedContent"),
    "ollama": ("/api/chat", {"model": "slot-0", "messages": TURNS, "keep_alive": "5m"}, "keep_alive"),
    "ollama-generate": ("/api/generate", {"model": "slot-0", "prompt": "ping", "options": {"mirostat": 1}}, "mirostat"),
    "responses": ("/v1/responses", {"model": "slot-0", "input": "ping", "max_tool_calls": 3}, "max_tool_calls"),
}
CASES = [(door, stream) for door in BODIES for stream in (False, True)]


def request_of(door: str, stream: bool) -> tuple[str, dict[str, Any], str]:
    """Path, body, and the field that has no place at an OpenAI-compatible source."""
    path, body, field = BODIES[door]
    if door != "gemini":
        return path, {**body, "stream": stream}, field
    return path.replace(":generateContent", ":streamGenerateContent?alt=sse") if stream else path, body, field


@pytest.mark.behaviour("WARN-01")
@pytest.mark.parametrize(("door", "stream"), CASES)
async def test_a_field_without_a_place_is_named(gateway: Gateway, fake: FakeOpenAI, door: str, stream: bool) -> None:
    path, body, field = request_of(door, stream)
    reply = await gateway.http.post(path, json=body)
    assert reply.status_code == 200, reply.text
    assert f"{field}: left out" in reply.headers[HEADER]
    assert field.encode() not in fake.last.body


@pytest.mark.behaviour("WARN-01")
@pytest.mark.parametrize(("door", "stream"), CASES)
async def test_where_all_has_a_place_there_is_no_header(gateway: Gateway, door: str, stream: bool) -> None:
    path, body, field = request_of(door, stream)
    whole = {name: value for name, value in body.items() if name not in (field, "options")}
    reply = await gateway.http.post(path, json=whole)
    assert reply.status_code == 200, reply.text
    assert HEADER not in reply.headers


async def test_what_is_passed_on_as_it_came_is_not_warned_of(gateway: Gateway, fake: FakeOpenAI) -> None:
    reply = await gateway.http.post("/v1/chat/completions", json={"model": "slot-0", "messages": TURNS, "unheard_of": 1})
    assert HEADER not in reply.headers
    assert b"unheard_of" in fake.last.body


THOUGHTS: list[tuple[dict[str, Any], list[str]]] = [
    ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, []),
    ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, []),
    ({"thinking": {"type": "disabled"}, "output_config": {"effort": "medium"}}, ["thinking"]),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 4000}, "output_config": {"effort": "medium", "new": 1}},
        ["output_config"],
    ),
]


@pytest.mark.behaviour("WARN-01")
@pytest.mark.parametrize(("fields", "lost"), THOUGHTS)
async def test_thinking_that_goes_on_as_an_effort_is_not_left_out(
    gateway: Gateway, fake: FakeOpenAI, fields: dict[str, Any], lost: list[str]
) -> None:
    body = {"model": "slot-0", "max_tokens": 5000, "messages": TURNS, **fields}
    reply = await gateway.http.post("/v1/messages", json=body)
    assert reply.status_code == 200, reply.text
    assert fake.last.json["reasoning_effort"] == "medium"
    assert [name for name in ("thinking", "output_config") if f"{name}: left out" in reply.headers.get(HEADER, "")] == lost


async def test_anthropics_client_sees_them(gateway: Gateway) -> None:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="none", max_retries=0, timeout=20) as client:
        told = await client.messages.with_raw_response.create(
            model="slot-0",
            max_tokens=9,
            messages=[{"role": "user", "content": "ping"}],
            extra_body={"top_k": 3},
        )
        assert "top_k: left out" in told.headers[HEADER]
        async with client.messages.stream(
            model="slot-0", max_tokens=9, messages=[{"role": "user", "content": "ping"}], extra_body={"top_k": 3}
        ) as stream:
            assert "top_k: left out" in stream.response.headers[HEADER]
            assert await stream.get_final_text() == "pong"


class Talkative(InferenceProviderAdapter):
    """Puts a secret, line ends and other alphabets into its warnings."""

    provider_id = "talkative"
    provider_type = "local"
    display_name = "Talkative"

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        warnings = [f"the key {KEY} is no good", "a\r\nx-forged: 1", "ключ \x00 é", "x" * 5000]
        reply = ChatReply(text_message("assistant", "pong"), "talkative", "stop", extra={"warnings": warnings})

        async def events() -> AsyncIterator[Event]:
            for event in unfold(reply):
                yield event

        yield events()


@pytest.mark.behaviour("WARN-01")
@pytest.mark.parametrize("stream", [False, True])
async def test_no_secret_and_no_line_end_gets_into_the_header(tmp_path: Path, stream: bool) -> None:
    environ = {"GATE_KEY": KEY}
    async with running_gateway(tmp_path, environ, server={"api_key": "env:GATE_KEY"}) as gateway:
        gateway.house.registry.register("talkative", Talkative)
        await gateway.plug(0, "talkative")
        headers = {"authorization": f"Bearer {KEY}"}
        body = {"model": "slot-0", "messages": TURNS, "stream": stream}
        reply = await gateway.http.post("/v1/chat/completions", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    told = reply.headers[HEADER]
    assert "the key [redacted] is no good" in told
    assert KEY not in str(reply.headers)
    assert "x-forged" not in reply.headers
    assert told.isascii()
    assert told.isprintable()
    assert 1000 < len(told) <= 2000
