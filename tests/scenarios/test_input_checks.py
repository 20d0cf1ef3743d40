"""What no source should be sent is refused here, at every door: null characters, prompts that cannot fit, wrong types."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jackfield.testing.fake_anthropic import FakeAnthropic
from jackfield.testing.fake_gemini import FakeGemini
from jackfield.testing.fake_ollama import FakeOllama
from jackfield.testing.fake_server import FakeServer
from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway, running_gateway
from talking import talking

WINDOW = 4096
LONG = "never ending story " * 20_000
Body = dict[str, Any]
Ask = Callable[[Any], Body]


def chat(text: Any) -> Body:
    return {"model": "slot-0", "max_tokens": 8, "messages": [{"role": "user", "content": text}]}


DOORS: dict[str, tuple[str, Ask]] = {
    "openai": ("/v1/chat/completions", chat),
    "completions": ("/v1/completions", lambda text: {"model": "slot-0", "prompt": text}),
    "responses": ("/v1/responses", lambda text: {"model": "slot-0", "input": [{"role": "user", "content": text}]}),
    "anthropic": ("/v1/messages", chat),
    "gemini": (
        "/v1beta/models/slot-0:generateContent",
        lambda text: {"contents": [{"role": "user", "parts": [{"text": text}]}]},
    ),
    "ollama": ("/api/chat", lambda text: {**chat(text), "stream": False}),
    "ollama-generate": ("/api/generate", lambda text: {"model": "slot-0", "prompt": text, "stream": False}),
}
SOURCES: dict[str, tuple[Callable[[], FakeServer], str]] = {
    "openai-compat": (FakeOpenAI, "base_url"),
    "anthropic": (FakeAnthropic, "root_url"),
    "gemini": (FakeGemini, "root_url"),
    "ollama": (FakeOllama, "root_url"),
}
NATIVE = {"anthropic": "anthropic", "gemini": "gemini", "ollama": "ollama", "ollama-generate": "ollama"}
FOREIGN = {"openai-compat": "anthropic"}
WAYS = [
    (door, source)
    for door in DOORS
    for native in (NATIVE.get(door, "openai-compat"),)
    for source in (native, FOREIGN.get(native, "openai-compat"))
]
WRONG_FIELDS: dict[str, list[Body]] = {
    "openai": [{"temperature": "hot"}, {"tools": "none"}, {"max_tokens": "8"}, {"messages": ["hi"]}],
    "completions": [{"temperature": "hot"}, {"max_tokens": "8"}],
    "responses": [{"max_output_tokens": "8"}, {"text": "json"}, {"input": 5}],
    "anthropic": [{"max_tokens": "8"}, {"system": 5}, {"messages": [{"role": 5, "content": "x"}]}],
    "gemini": [{"generationConfig": []}, {"contents": {"parts": []}}, {"contents": [{"role": 5, "parts": []}]}],
    "ollama": [{"options": []}, {"tools": {}}],
    "ollama-generate": [{"system": 5}, {"images": "x"}],
}


@asynccontextmanager
async def standing(folder: Path, source: str) -> AsyncIterator[tuple[Gateway, FakeServer]]:
    """One source in slot 0 whose context holds WINDOW tokens."""
    make, url = SOURCES[source]
    async with make() as fake, running_gateway(folder) as gateway:
        keyed = {} if source in ("openai-compat", "ollama") else {"api_key": "a-key-for-the-fake"}
        await gateway.plug(0, source, model="fake-model", base_url=getattr(fake, url), max_context=WINDOW, **keyed)
        yield gateway, fake


@pytest.mark.behaviour("SEC-07")
@pytest.mark.parametrize(("door", "source"), WAYS)
async def test_a_prompt_that_no_source_should_get_goes_nowhere(tmp_path: Path, door: str, source: str) -> None:
    path, ask = DOORS[door]
    async with standing(tmp_path, source) as (gateway, fake):
        good = await gateway.http.post(path, json=ask("ping"))
        assert good.status_code == 200, good.text
        before = fake.asked
        for prompt, said in (("secret\0plan", "holds a null character"), (LONG, str(WINDOW)), (5, ""), ({"a": 1}, "")):
            reply = await gateway.http.post(path, json=ask(prompt))
            assert (reply.status_code, fake.asked) == (400, before), reply.text
            assert said in reply.text
            assert "secret" not in reply.text


@pytest.mark.behaviour("SEC-07")
@pytest.mark.parametrize("door", DOORS)
async def test_a_field_of_a_wrong_type_goes_nowhere(tmp_path: Path, door: str) -> None:
    path, ask = DOORS[door]
    async with standing(tmp_path, NATIVE.get(door, "openai-compat")) as (gateway, fake):
        before = fake.asked
        for wrong in WRONG_FIELDS[door]:
            reply = await gateway.http.post(path, json={**ask("ping"), **wrong})
            assert (reply.status_code, fake.asked) == (400, before), reply.text
            assert next(iter(wrong)) in reply.text


@pytest.mark.behaviour("SEC-07")
async def test_nor_through_the_websocket(tmp_path: Path) -> None:
    cases: list[tuple[Body, str]] = [
        ({"inputs": "a\0b"}, "inputs holds a null character"),
        ({"inputs": [{"role": "user", "content": "a\0b"}]}, "inputs[0].content holds a null character"),
        ({"inputs": ["a\0b"], "task": "text-embedding"}, "inputs[0] holds a null character"),
        ({"inputs": 5}, "inputs"),
        ({"inputs": "x", "parameters": {"temperature": "hot"}}, "temperature"),
        ({"inputs": "x", "parameters": []}, "parameters"),
        ({"inputs": LONG}, str(WINDOW)),
    ]
    async with standing(tmp_path, "openai-compat") as (gateway, fake), talking(gateway) as talk:
        for number, (asked, said) in enumerate(cases):
            await talk.say("inference", request_id=number, model="slot-0", **asked)
            told = await talk.hear("error", "inference_error", "inference_result", request_id=number)
            assert told["type"] != "inference_result"
            assert said in json.dumps(told)
        assert fake.asked == 0
        assert (await talk.ask("inference", "inference_result", model="slot-0", inputs="ping"))["result"] == "pong"


@pytest.mark.behaviour("SEC-07")
async def test_a_mention_of_the_null_character_is_let_through(gateway: Gateway, fake: FakeOpenAI) -> None:
    reply = await gateway.http.post("/v1/chat/completions", json=chat(r"what is \u0000?"))
    assert reply.status_code == 200
    assert json.loads(fake.last.body)["messages"][0]["content"] == r"what is \u0000?"


@pytest.mark.behaviour("SEC-07")
async def test_nor_in_a_form_or_at_the_panel(gateway: Gateway, fake: FakeOpenAI) -> None:
    before = fake.asked
    form = await gateway.http.post(
        "/v1/audio/transcriptions", data={"model": "slot-0", "prompt": "a\0b"}, files={"file": ("a.wav", b"\0\0", "audio/wav")}
    )
    assert (form.status_code, form.json()["error"]["param"]) == (400, "prompt")
    panel = await gateway.http.post("/control/v1/slots/0/invoke", json={"text": "a\0b"})
    assert (panel.status_code, fake.asked) == (400, before)
    assert "null character" in panel.text
