"""The installed gateway in front of a real llama-server and a real Lemonade, asked with the official SDK.

Both are found by what they answer, wherever they listen; other engines of this machine may be found too, so every test
takes its slot by the port behind it.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from engine_servers import CHAT_MODEL, WEATHER_TOOL, EngineServer, get_json, llama_server
from gateway_process import Up, jackfield_up
from jackfield.testing.fakes import FakeOpenAI

pytestmark = pytest.mark.engine

CHAT = "/v1/chat/completions"
PING: Any = [{"role": "user", "content": "ping"}]
COUNT: Any = [{"role": "user", "content": "Count to 5"}]
LONG_TOKENS = 1900
LONG = {"messages": [{"role": "user", "content": "Tell me more"}], "max_tokens": LONG_TOKENS, "ignore_eos": True}
FREE, FREE_TOO = 20, 21
"""Slots that no test finds plugged."""
PORTS_OF_OTHERS = (11434, 1234, 4891, 5001)
"""Where Ollama, LM Studio, GPT4All and KoboldCpp listen."""


@contextmanager
def fake_on_a_known_port() -> Iterator[FakeOpenAI]:
    """A server of nobody's making where a known product would be, on a loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> FakeOpenAI:
        for port in PORTS_OF_OTHERS:
            fake = FakeOpenAI(models=["who-am-i"])
            fake.port = port
            try:
                return await fake.__aenter__()
            except OSError:
                continue
        pytest.skip(f"ports {PORTS_OF_OTHERS} are all taken on this machine")

    try:
        fake = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        yield fake
        asyncio.run_coroutine_threadsafe(fake.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOpenAI]:
    with fake_on_a_known_port() as fake:
        yield fake


@pytest.fixture(scope="module")
def up(llama: EngineServer, lemonade: EngineServer, fake: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    settings = f"discovery: {{ports: [{llama.port}, {lemonade.port}]}}\n"
    with jackfield_up(tmp_path_factory.mktemp("gateway"), settings=settings) as up:
        yield up


@pytest.fixture(params=["llama", "lemonade"])
def engine(request: pytest.FixtureRequest) -> EngineServer:
    engine: EngineServer = request.getfixturevalue(request.param)
    return engine


def model_of(up: Up, engine: EngineServer) -> str:
    """The engine's slot, as a client names it."""
    return str(up.slot_of(engine.port)["model_id"])


def events(reply: Any) -> list[Any]:
    """The data of a streamed answer, [DONE] as None."""
    data = [line.removeprefix("data: ") for line in reply.iter_lines() if line]
    return [None if text == "[DONE]" else json.loads(text) for text in data]


def stream(up: Up, model: str, **fields: Any) -> list[Any]:
    with up.http.stream("POST", CHAT, json={**LONG, "model": model, "stream": True, **fields}) as reply:
        assert reply.status_code == 200
        return events(reply)


@pytest.mark.behaviour("DISC-01")
def test_engines_are_plugged_as_what_they_are_wherever_they_listen(
    up: Up, llama: EngineServer, lemonade: EngineServer, fake: FakeOpenAI
) -> None:
    """The fake listens where a known product would, and is taken for none."""
    for port, provider in ((llama.port, "llama-server"), (lemonade.port, "lemonade"), (fake.port, "openai-compat")):
        slot = up.slot_of(port)
        assert (slot["provider"], slot["state"]) == (provider, "plugged")
    assert up.ask(model=up.slot_of(fake.port)["model_id"]).json()["model"] == "who-am-i"
    assert up.said["mode"] == "local_only"


@pytest.mark.behaviour("SLOT-20", "HTTP-02")
def test_the_sdk_asks_and_streams(up: Up, engine: EngineServer) -> None:
    with up.openai() as client:
        reply = client.chat.completions.create(model=model_of(up, engine), messages=PING, temperature=0)
        assert reply.choices[0].message.content == "pong"
        assert reply.choices[0].finish_reason == "stop"
        chunks = list(client.chat.completions.create(model=model_of(up, engine), messages=COUNT, temperature=0, stream=True))
    pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert "".join(pieces) == "1, 2, 3, 4, 5"
    assert len(pieces) > 1
    assert [choice.finish_reason for choice in chunks[-1].choices] == ["stop"]


@pytest.mark.behaviour("HTTP-02")
@pytest.mark.parametrize("streamed", [False, True])
def test_the_sdk_calls_a_tool_and_gives_its_result(up: Up, engine: EngineServer, streamed: bool) -> None:
    question: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked: Any = {"model": model_of(up, engine), "tools": [WEATHER_TOOL], "temperature": 0, "max_tokens": 60}
    with up.openai() as client:
        if streamed:
            with client.chat.completions.stream(messages=question, **asked) as running:
                reply: Any = running.get_final_completion()
        else:
            reply = client.chat.completions.create(messages=question, **asked)
        (call,) = reply.choices[0].message.tool_calls
        assert reply.choices[0].finish_reason == "tool_calls"
        assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
        turn: Any = {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": call.id, "type": "function", "function": call.function.model_dump(include={"name", "arguments"})}
            ],
        }
        result: Any = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        answer = client.chat.completions.create(messages=[*question, turn, result], **asked)
    assert "sunny" in (answer.choices[0].message.content or "")


@pytest.mark.behaviour("LEDG-04")
@pytest.mark.parametrize("streamed", [False, True])
def test_the_ledger_says_what_the_engine_said(up: Up, engine: EngineServer, streamed: bool) -> None:
    body = {"messages": COUNT, "temperature": 0, "cache_prompt": False}
    with openai.OpenAI(base_url=engine.base_url, api_key="none", max_retries=0, timeout=20) as direct:
        alone: Any = direct.chat.completions.create(
            model=engine.model, messages=COUNT, temperature=0, extra_body={"cache_prompt": False}
        )
    fields = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
    reply = up.http.post(CHAT, json={**body, "model": model_of(up, engine), **fields})
    said = (events(reply)[-2] if streamed else reply.json())["usage"]
    row = up.rows()[0]
    assert row["request_id"] == reply.headers["x-request-id"]
    assert (row["prompt_tokens"], row["completion_tokens"]) == (said["prompt_tokens"], said["completion_tokens"])
    assert (row["prompt_tokens"], row["completion_tokens"]) == (alone.usage.prompt_tokens, alone.usage.completion_tokens)
    assert row["cached_tokens"] == (said.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    assert (row["cost_msat"], row["outcome"], row["status"], row["streamed"]) == (0, "ok", 200, streamed)
    assert (row["provider"], row["model"]) == (up.slot_of(engine.port)["provider"], engine.model)


@pytest.mark.behaviour("SLOT-01")
def test_a_plug_counts_from_the_next_request_on(up: Up, llama: EngineServer) -> None:
    up.change(f"slots/{FREE}/plug", provider="local", config={"path": str(CHAT_MODEL), "context_length": 512})
    first = up.ask(model=f"slot-{FREE}", temperature=0)
    up.change(f"slots/{FREE}/plug", provider="openai-compat", config={"base_url": llama.base_url})
    second = up.ask(model=f"slot-{FREE}", temperature=0)
    up.change(f"slots/{FREE}/unplug")
    assert [reply.headers["x-jackfield-provider"] for reply in (first, second)] == ["local", "openai-compat"]
    assert {reply.json()["choices"][0]["message"]["content"] for reply in (first, second)} == {"pong"}
    assert up.ask(model=f"slot-{FREE}").status_code == 404


@pytest.mark.behaviour("SLOT-11", "SLOT-16")
def test_streams_outlive_every_change_of_their_slot(up: Up, llama: EngineServer, lemonade: EngineServer) -> None:
    here, there = up.slot_of(llama.port)["number"], up.slot_of(lemonade.port)["number"]
    with ThreadPoolExecutor(4) as pool:
        running: list[Future[list[Any]]] = [pool.submit(stream, up, f"slot-{here}") for _ in range(4)]
        wait_for_flight(up, here)
        up.change("slots/swap", a=here, b=there)
        moved = up.ask(model=f"slot-{here}", temperature=0)
        (clone,) = up.change(f"slots/{there}/clone")["slots"]
        up.change(f"slots/{clone['number']}/mutate", settings={"temperature": 0.7})
        changed = up.look(f"slots/{clone['number']}")["generation"]
        assert up.change("slots/undo")["undone"] == "mutate"
        assert up.change("slots/undo")["undone"] == "clone"
        assert up.change("slots/undo")["undone"] == "swap"
        still_running = up.look(f"slots/{here}")["live"]["in_flight"]
        answers = [each.result(30) for each in running]
    assert moved.headers["x-jackfield-provider"] == "lemonade"
    assert (clone["provider"], changed) == ("llama-server", {"temperature": 0.7})
    assert still_running > 0
    assert up.look("slots")["slots"][here]["provider"] == "llama-server"
    for answer in answers:
        assert answer[-1] is None
        assert answer[-2]["choices"][0]["finish_reason"] == "length"
        assert not any("error" in event for event in answer[:-1])
    assert [row["completion_tokens"] for row in up.rows() if row["streamed"]][:4] == [LONG_TOKENS] * 4


def until(is_so: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be so"
        time.sleep(0.005)


def wait_for_flight(up: Up, slot: int) -> None:
    """Until a request runs on a slot."""
    until(lambda: up.look(f"slots/{slot}")["live"]["in_flight"] > 0)


@pytest.mark.behaviour("SLOT-11")
def test_a_stream_outlives_the_unplugging_of_its_slot(up: Up, llama: EngineServer) -> None:
    up.change(f"slots/{FREE}/plug", provider="llama-server", config={"base_url": llama.base_url})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stream, up, f"slot-{FREE}")
        wait_for_flight(up, FREE)
        assert up.change(f"slots/{FREE}/unplug")["unplugged"] is True
        assert up.ask(model=f"slot-{FREE}").status_code == 404
        assert not running.done()
        assert running.result(30)[-1] is None


@pytest.mark.behaviour("HTTP-02")
def test_an_engine_killed_in_the_middle_is_told_and_so_is_its_return(up: Up, tmp_path: Path) -> None:
    with llama_server(tmp_path) as victim:
        up.change(f"slots/{FREE_TOO}/plug", provider="llama-server", config={"base_url": victim.base_url})
        body = {**LONG, "model": f"slot-{FREE_TOO}", "stream": True}
        with up.http.stream("POST", CHAT, json=body) as reply:
            lines = reply.iter_lines()
            began = [next(lines) for _ in range(10)]
            victim.kill()
            rest = [line for line in lines if line]
    assert all(line.startswith("data: ") for line in began if line)
    last = json.loads(rest[-1].removeprefix("data: "))["error"]
    assert (last["code"], last["slot"]) == ("stream_broken", FREE_TOO)
    assert f"127.0.0.1:{victim.port}" in last["message"]
    assert "data: [DONE]" not in rest
    assert not any('"finish_reason":"stop"' in line for line in rest)
    assert up.rows()[0]["outcome"] == "stream_broken"

    refused = up.ask(model=f"slot-{FREE_TOO}")
    assert refused.status_code == 502
    error = refused.json()["error"]
    assert error["code"] == "unavailable"
    assert f"127.0.0.1:{victim.port}" in error["message"]
    assert "is the server running" in error["message"]
    assert "start it: llama-server" in error["message"]

    with llama_server(tmp_path, port=victim.port):
        assert up.ask(model=f"slot-{FREE_TOO}", temperature=0).json()["choices"][0]["message"]["content"] == "pong"
    up.change(f"slots/{FREE_TOO}/unplug")


def test_an_engine_killed_before_a_whole_answer_is_a_status(up: Up, tmp_path: Path) -> None:
    with llama_server(tmp_path) as victim, ThreadPoolExecutor(1) as pool:
        up.change(f"slots/{FREE_TOO}/plug", provider="llama-server", config={"base_url": victim.base_url})
        asked = pool.submit(up.http.post, CHAT, json={**LONG, "model": f"slot-{FREE_TOO}"})
        wait_for_flight(up, FREE_TOO)
        victim.kill()
        reply = asked.result(20)
    up.change(f"slots/{FREE_TOO}/unplug")
    assert reply.status_code == 502
    assert f"127.0.0.1:{victim.port}" in reply.json()["error"]["message"]
    with pytest.raises(openai.NotFoundError), up.openai() as client:
        client.chat.completions.create(model=f"slot-{FREE_TOO}", messages=PING)


@pytest.mark.parametrize("leaves", ["half-closes", "closes"])
def test_a_client_that_leaves_frees_the_engine(up: Up, llama: EngineServer, leaves: str) -> None:
    before = len(cancelled(up))
    body = json.dumps({**LONG, "model": model_of(up, llama), "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", up.port), timeout=10) as client:
        client.sendall(
            b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body)
        )
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        if leaves == "half-closes":
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):  # its end, in bounded time: the socket has a timeout
                pass
    until(lambda: not any(slot["is_processing"] for slot in get_json(llama.root_url, "/slots")[1]))
    until(lambda: len(cancelled(up)) > before)
    assert (cancelled(up)[0]["streamed"], cancelled(up)[0]["status"]) == (True, 499)


def cancelled(up: Up) -> list[dict[str, Any]]:
    return [row for row in up.rows() if row["outcome"] == "cancelled"]


@pytest.mark.parametrize("words", [3000, 20_000])
def test_a_prompt_that_does_not_fit_is_told_as_openai_tells_it(up: Up, engine: EngineServer, words: int) -> None:
    """The longer one is refused before it is sent where the engine's context is known, the shorter one by the engine."""
    if engine.model == "tiny-llm":
        words *= 2  # Lemonade gives a request twice the context
    with up.openai() as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=model_of(up, engine), messages=[{"role": "user", "content": "a " * words}])
    assert caught.value.code == "context_length_exceeded"
    assert "shorten the prompt" in caught.value.message or "tokens" in caught.value.message


@pytest.mark.behaviour("DIAL-08")
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": 7, "content": "x"}]}, "messages[0].role"),
        ({"messages": PING, "temperature": "hot"}, "temperature"),
        ({"messages": PING, "max_tokens": "many"}, "max_tokens"),
        ({"messages": PING, "tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(up: Up, engine: EngineServer, fields: dict[str, Any], param: str) -> None:
    reply = up.http.post(CHAT, json={"model": model_of(up, engine), **fields})
    error = reply.json()["error"]
    assert reply.status_code == 400, error
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param


def test_every_model_of_every_engine_is_listed(up: Up, llama: EngineServer, lemonade: EngineServer) -> None:
    with up.openai() as client:
        listed = {model.id for model in client.models.list()}
        assert {llama.model, lemonade.model, model_of(up, llama), model_of(up, lemonade)} <= listed
        for name in (llama.model, f"llama-server/{llama.model}", lemonade.model):
            reply = client.chat.completions.create(model=name, messages=PING, temperature=0)
            assert reply.choices[0].message.content == "pong"
