"""The Ollama door, seen by the official SDK: in front of a source of its own dialect, and of one of OpenAI's."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ollama
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.testing.fake_ollama import FakeOllama
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

OWN, OTHER = "slot-1", "slot-0"
"""Slots whose source speaks this dialect, and OpenAI's."""
BOTH = pytest.mark.parametrize("model", [OWN, OTHER], ids=["passed through", "translated"])
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
PING: Any = [{"role": "user", "content": "ping"}]
COUNT: Any = [{"role": "user", "content": "Count to 5"}]
COUNTED = "1, 2, 3, 4, 5"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
FAULTS = (Behaviour(cut_after=3, piece_delay_s=0.02), Behaviour(error_after=3, piece_delay_s=0.02, message="no memory"))
CALLS = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show", "/api/pull", "/api/delete")
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
async def llama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, fake: FakeOpenAI, llama: FakeOllama) -> AsyncIterator[Gateway]:
    async with running_gateway(tmp_path, routing={"retries": 1, "patience_s": 0.05}) as running:
        await running.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        await running.plug(1, "ollama", base_url=llama.base_url, model="fake-model:latest")
        yield running


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[ollama.AsyncClient]:
    made = sdk(gateway)
    yield made
    await made.close()  # type: ignore[no-untyped-call]


def sdk(gateway: Gateway, path: str = "", **more: Any) -> ollama.AsyncClient:
    return ollama.AsyncClient(host=gateway.url + path, timeout=20, trust_env=False, **more)


def error_of(reply: Any) -> str:
    """The text of an error in this dialect's shape: that and nothing else."""
    body = reply.json()
    assert set(body) == {"error"}, body
    assert isinstance(body["error"], str)
    assert body["error"]
    return str(body["error"])


async def asked(call: Any, streamed: bool, **given: Any) -> list[Any]:
    """The answer's objects: one, or all of a stream."""
    if not streamed:
        return [await call(**given)]
    return [chunk async for chunk in await call(**given, stream=True)]


@pytest.mark.behaviour("DOOR-06")
@BOTH
@STREAMED
async def test_a_chat(client: ollama.AsyncClient, gateway: Gateway, model: str, streamed: bool) -> None:
    chunks = await asked(client.chat, streamed, model=model, messages=COUNT, options={"temperature": 0})
    assert "".join(chunk.message.content or "" for chunk in chunks) == COUNTED
    assert (len(chunks) > 2) is streamed
    last = chunks[-1]
    assert (last.done, last.done_reason) == (True, "stop")
    assert [chunk.done for chunk in chunks[:-1]] == [False] * (len(chunks) - 1)
    assert last.prompt_eval_count > 0
    assert last.eval_count > 0
    (row,) = gateway.rows()
    assert (row.outcome, row.streamed, row.completion_tokens) == ("ok", streamed, last.eval_count)


@pytest.mark.behaviour("DOOR-06")
@BOTH
@STREAMED
async def test_a_text_is_generated(client: ollama.AsyncClient, model: str, streamed: bool) -> None:
    chunks = await asked(client.generate, streamed, model=model, prompt="Count to 5", system="Be brief.")
    assert "".join(chunk.response for chunk in chunks) == COUNTED
    assert (chunks[-1].done, chunks[-1].done_reason) == (True, "stop")


@BOTH
async def test_an_answer_that_is_cut_says_so(client: ollama.AsyncClient, model: str) -> None:
    reply = await client.chat(model, COUNT, options={"num_predict": 2})
    assert (reply.message.content, reply.done_reason) == ("1, 2, ", "length")


@pytest.mark.behaviour("DOOR-06")
@BOTH
@STREAMED
async def test_a_tool_is_called_and_its_result_answered(client: ollama.AsyncClient, model: str, streamed: bool) -> None:
    question = {"role": "user", "content": "What is the weather in Paris?"}
    chunks = await asked(client.chat, streamed, model=model, messages=[question], tools=[WEATHER])
    (call,) = [call for chunk in chunks for call in chunk.message.tool_calls or ()]
    assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Paris"})
    turn = {"role": "assistant", "content": "", "tool_calls": [call.model_dump()]}
    result = {"role": "tool", "tool_name": "get_weather", "content": "sunny"}
    answer = await client.chat(model, [question, turn, result], tools=[WEATHER])
    assert "sunny" in (answer.message.content or "")


@pytest.mark.behaviour("DOOR-06")
@BOTH
async def test_an_image_is_seen(client: ollama.AsyncClient, fake: FakeOpenAI, model: str) -> None:
    reply = await client.chat(model, [{"role": "user", "content": "What is this?", "images": [PNG]}])
    assert reply.message.content == "I see an image."
    generated = await client.generate(model, "What is this?", images=[PNG])
    assert generated.response == "I see an image."
    if model == OTHER:
        (_, image) = fake.requests[-1].json["messages"][0]["content"]
        assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.mark.behaviour("DOOR-06")
@BOTH
@pytest.mark.parametrize("form", ["json", {"type": "object", "properties": {"ok": {"type": "boolean"}}}])
async def test_the_form_of_an_answer_is_kept(client: ollama.AsyncClient, fake: FakeOpenAI, model: str, form: Any) -> None:
    reply = await client.chat(model, PING, format=form)
    assert json.loads(reply.message.content or "") == {"ok": True}
    if model == OTHER:
        wanted = fake.requests[-1].json["response_format"]
        assert wanted["type"] == ("json_object" if form == "json" else "json_schema")


@pytest.mark.behaviour("DOOR-06")
@BOTH
@STREAMED
async def test_thoughts_are_told_as_thoughts(client: ollama.AsyncClient, model: str, streamed: bool) -> None:
    chunks = await asked(client.chat, streamed, model=model, messages=PING, think=True)
    assert "".join(chunk.message.thinking or "" for chunk in chunks).strip() == "Let me think."
    assert "".join(chunk.message.content or "" for chunk in chunks) == "pong"
    generated = await asked(client.generate, streamed, model=model, prompt="ping", think=True)
    assert "".join(chunk.thinking or "" for chunk in generated).strip() == "Let me think."


@pytest.mark.behaviour("DOOR-06")
@BOTH
async def test_vectors_in_the_order_of_their_texts(client: ollama.AsyncClient, model: str) -> None:
    reply = await client.embed(model, ["one", "fourteen", "seven"], dimensions=4)
    assert [len(vector) for vector in reply.embeddings] == [4, 4, 4]
    assert len({tuple(vector) for vector in reply.embeddings}) == 3
    one = await client.embed(model, "fourteen", dimensions=4)
    assert one.embeddings == [reply.embeddings[1]]
    assert len((await client.embed(model, [""])).embeddings) == 1
    old = await client.embeddings(model, "fourteen")
    assert list(old.embedding)[:4] == list(one.embeddings[0])


async def test_what_nobody_here_names_reaches_a_source_of_this_dialect_as_it_came(gateway: Gateway, llama: FakeOllama) -> None:
    body = {"model": OWN, "messages": PING, "options": {"num_ctx": 4096, "new": 2.50}, "keep_alive": "10m", "newField": [1]}
    reply = await gateway.http.post("/api/chat", json=body)
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["done"] for line in reply.text.splitlines()] == [False, True]
    assert llama.requests[-1].json == {**body, "model": "fake-model:latest", "stream": True}


async def test_what_only_ollama_has_is_told_to_be_left_out(gateway: Gateway, fake: FakeOpenAI) -> None:
    body = {"model": OTHER, "messages": PING, "options": {"num_gpu": 1, "min_p": 0.1}, "keep_alive": "10m", "stream": False}
    reply = await gateway.http.post("/api/chat", json=body)
    told = reply.headers["x-jackfield-warnings"]
    assert all(name in told for name in ("options.num_gpu", "keep_alive", "min_p"))
    assert set(fake.requests[-1].json) == {"model", "messages"}


@BOTH
async def test_the_settings_of_a_slot_count_where_the_client_says_nothing(
    gateway: Gateway, client: ollama.AsyncClient, fake: FakeOpenAI, llama: FakeOllama, model: str
) -> None:
    await gateway.house.registry.mutate_slot(int(model[-1]), settings={"temperature": 0.25, "stop": ["END"]})
    await client.chat(model, PING)
    sent = llama.requests[-1].json["options"] if model == OWN else fake.requests[-1].json
    assert (sent["temperature"], sent["stop"]) == (0.25, ["END"])


@pytest.mark.parametrize("path", ["", "/api", "/"])
async def test_base_urls_and_names_that_people_write_all_work(gateway: Gateway, path: str) -> None:
    client = sdk(gateway, path)
    for model in ("slot-0", "slot-0:latest", "fake-model", "openai-compat/fake-model", "ollama/fake-model"):
        assert (await client.chat(model, PING)).message.content == "pong", model
        assert [each async for each in await client.chat(model, PING, stream=True)][-1].done
        assert (await client.show(model)).modelinfo is not None
    await client.close()  # type: ignore[no-untyped-call]


@pytest.mark.behaviour("DOOR-06")
async def test_the_models_are_listed_as_every_client_reads_them(client: ollama.AsyncClient, gateway: Gateway) -> None:
    listed = {model.model: model for model in (await client.list()).models}
    openai = {model["id"] for model in (await gateway.http.get("/v1/models")).json()["data"]}
    assert set(listed) == openai
    assert {OWN, OTHER, "fake-model", "fake-model:latest"} <= set(listed)
    own = listed["fake-model:latest"]
    assert own.size == 2_019_393_189
    assert own.details is not None
    assert (own.details.parameter_size, own.details.quantization_level) == ("3.2B", "Q4_K_M")
    raw = (await gateway.http.get("/api/tags")).json()["models"]
    assert all({"name", "model", "modified_at", "size", "digest", "details"} == set(model) for model in raw)


@pytest.mark.behaviour("DOOR-06")
async def test_a_model_is_shown_by_its_source_or_by_what_is_known_of_it(client: ollama.AsyncClient, llama: FakeOllama) -> None:
    own = await client.show(OWN)
    assert (own.template, own.capabilities) == ("{{ .Prompt }}", ["completion", "tools", "vision", "thinking"])
    assert llama.requests[-1].json["model"] == "fake-model:latest"
    other = await client.show(OTHER)
    assert "completion" in (other.capabilities or [])
    assert other.details is not None
    with pytest.raises(ollama.ResponseError, match="nope") as missing:
        await client.show("ollama/nope")
    assert missing.value.status_code == 404


async def test_a_source_that_cannot_show_now_is_told_of_by_what_is_known(gateway: Gateway, llama: FakeOllama) -> None:
    await gateway.house.catalogue.models(5.0)
    llama.behaviour = Behaviour(status=500)
    shown = await gateway.http.post("/api/show", json={"name": OWN})
    assert (shown.status_code, shown.json()["details"]["parameter_size"]) == (200, "3.2B")


@pytest.mark.behaviour("DOOR-06")
async def test_what_is_in_memory_and_the_version(client: ollama.AsyncClient, gateway: Gateway, llama: FakeOllama) -> None:
    assert (await client.ps()).models == []
    await client.generate(OWN, keep_alive="10m")
    assert llama.loaded == {"fake-model:latest": "10m"}
    (running,) = (await client.ps()).models
    assert (running.model, running.size_vram, running.context_length) == ("fake-model:latest", 1024, 4096)
    assert running.expires_at is not None
    (raw,) = (await gateway.http.get("/api/ps")).json()["models"]
    assert raw["details"]["parameter_size"] == "3.2B"
    await client.chat(OWN, [], keep_alive=0)
    assert llama.loaded == {}
    assert (await client.ps()).models == []
    version = (await gateway.http.get("/api/version")).json()["version"]
    assert [int(part) for part in version.split(".")] >= [0, 12, 0]


@BOTH
@pytest.mark.parametrize(("keep_alive", "reason"), [(None, "load"), (0, "unload"), ("0s", "unload")])
async def test_a_request_that_asks_nothing_is_about_the_model(
    client: ollama.AsyncClient, fake: FakeOpenAI, llama: FakeOllama, model: str, keep_alive: Any, reason: str
) -> None:
    for call in (client.generate, client.chat):
        for streamed in (False, True):
            (told,) = await asked(call, streamed, model=model, keep_alive=keep_alive)
            assert (told.done, told.done_reason) == (True, reason)
    assert (fake.completions, llama.completions) == (0, 0)
    assert ("fake-model:latest" in llama.loaded) is (reason == "load" and model == OWN)


@BOTH
async def test_a_model_for_vectors_is_loaded_the_same_way(client: ollama.AsyncClient, llama: FakeOllama, model: str) -> None:
    assert list((await client.embed(model, "")).embeddings) == []
    assert list((await client.embeddings(model, "")).embedding) == []
    assert ("fake-model:latest" in llama.loaded) is (model == OWN)


@pytest.mark.behaviour("DOOR-06")
async def test_a_model_is_pulled_used_and_deleted(client: ollama.AsyncClient, gateway: Gateway, llama: FakeOllama) -> None:
    steps = [step async for step in await client.pull("llama3.2", stream=True)]
    assert [step.status for step in steps if step.total is None] == [
        "pulling manifest", "verifying sha256 digest", "writing manifest", "success",
    ]  # fmt: skip
    counted = [(step.completed, step.total) for step in steps if step.total is not None]
    assert counted[-1] == (2_019_393_189, 2_019_393_189)
    await gateway.house.catalogue.models(5.0)
    assert "llama3.2:latest" in [model.model for model in (await client.list()).models]
    assert (await client.chat("llama3.2", PING)).message.content == "pong"
    assert (await client.delete("llama3.2")).status == "success"
    assert "llama3.2:latest" not in llama.models
    await gateway.house.catalogue.models(5.0)
    assert "llama3.2:latest" not in [model.model for model in (await client.list()).models]
    assert (await client.pull("all-minilm")).status == "success"


async def test_a_pull_that_fails_says_so(client: ollama.AsyncClient, gateway: Gateway) -> None:
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        async for _ in await client.pull("nobody-has-this", stream=True):
            pass
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        await client.pull("nobody-has-this")
    await gateway.house.registry.unplug(1)
    with pytest.raises(ollama.ResponseError, match="no slot fetches models") as nobody:
        await client.pull("llama3.2")
    assert nobody.value.status_code == 400


async def test_a_client_that_leaves_ends_the_pull(gateway: Gateway, llama: FakeOllama) -> None:
    llama.behaviour = Behaviour(hang="before", everywhere=True)
    await left(gateway, llama, "/api/pull", {"model": "llama3.2"})


async def test_only_a_model_can_be_deleted_and_only_where_that_is_possible(
    client: ollama.AsyncClient, llama: FakeOllama
) -> None:
    for name, status, said in (
        (OWN, 400, "names a slot"),
        (OTHER, 422, "cannot be deleted"),
        ("nobody", 404, "nobody"),
        ("ollama/nope", 404, "nope"),
        ("slot-7", 404, "slot 7 is empty"),
    ):
        with pytest.raises(ollama.ResponseError, match=said) as refused:
            await client.delete(name)
        assert refused.value.status_code == status
    assert llama.models


async def test_what_is_not_served_is_told_in_this_dialects_shape(client: ollama.AsyncClient, gateway: Gateway) -> None:
    for call in (
        client.copy("fake-model", "other"),
        client.create("mine", from_="fake-model"),
        client.push("fake-model"),
    ):
        with pytest.raises(ollama.ResponseError, match="nothing here answers POST") as refused:
            await call
        assert refused.value.status_code == 404
    for method, path, status in (("GET", "/api/chat", 405), ("POST", "/api/tags", 405), ("GET", "/api/nope", 404)):
        reply = await gateway.http.request(method, path)
        assert reply.status_code == status
        assert path in error_of(reply)


async def test_everybody_is_greeted(gateway: Gateway) -> None:
    for headers, said in (({"user-agent": "ollama-python/0.6.3"}, "Ollama is running"), ({}, "jackfield is running\n")):
        reply = await gateway.http.get("/", headers=headers)
        assert (reply.status_code, reply.text) == (200, said)
        head = await gateway.http.head("/", headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(said))


@BOTH
@STREAMED
async def test_a_sources_error_keeps_its_meaning(
    client: ollama.AsyncClient, fake: FakeOpenAI, llama: FakeOllama, model: str, streamed: bool
) -> None:
    for status in (400, 429, 500):
        fake.behaviour = llama.behaviour = Behaviour(status=status, message="that is not possible")
        with pytest.raises(ollama.ResponseError, match="that is not possible") as refused:
            await asked(client.chat, streamed, model=model, messages=PING)
        assert refused.value.status_code == (502 if status == 500 else status)


@STREAMED
async def test_a_source_that_is_gone_is_told(
    client: ollama.AsyncClient, fake: FakeOpenAI, llama: FakeOllama, streamed: bool
) -> None:
    await fake.stop()
    await llama.stop()
    for model in (OWN, OTHER):
        with pytest.raises(ollama.ResponseError) as gone:
            await asked(client.chat, streamed, model=model, messages=PING)
        assert gone.value.status_code == 502
        assert "{" not in gone.value.error
    assert len((await client.list()).models) >= 2
    assert (await client.ps()).models == []
    assert (await client.show(OWN)).capabilities


@BOTH
@pytest.mark.parametrize("fault", FAULTS, ids=["cut", "told"])
async def test_a_stream_that_breaks_ends_in_an_error(
    gateway: Gateway, client: ollama.AsyncClient, fake: FakeOpenAI, llama: FakeOllama, model: str, fault: Behaviour
) -> None:
    fake.behaviour = llama.behaviour = fault
    reply = await gateway.http.post("/api/chat", json={"model": model, "messages": COUNT})
    told = [json.loads(line) for line in reply.text.splitlines()]
    assert told[0]["message"]["content"].startswith("1")
    assert not any(line.get("done") for line in told)
    assert set(told[-1]) == {"error"}
    stream = await client.chat(model, COUNT, stream=True)
    assert (await anext(stream)).message.content
    with pytest.raises(ollama.ResponseError):
        _ = [chunk async for chunk in stream]
    assert {row.outcome for row in gateway.rows()} != {"ok"}


async def test_an_error_in_a_good_answer_is_an_error(client: ollama.AsyncClient, llama: FakeOllama) -> None:
    llama.behaviour = Behaviour(body=b'{"error":"model runner has unexpectedly stopped"}')
    with pytest.raises(ollama.ResponseError, match="unexpectedly stopped") as told:
        await client.chat(OWN, PING)
    assert told.value.status_code >= 400


async def test_two_ends_are_one(client: ollama.AsyncClient, llama: FakeOllama) -> None:
    llama.ends_twice = True
    chunks = [chunk async for chunk in await client.chat(OWN, COUNT, stream=True)]
    assert [chunk.done for chunk in chunks].count(True) == 1
    assert chunks[-1].eval_count


async def left(gateway: Gateway, source: Any, path: str, body: Any) -> None:
    """A client that goes away as soon as the source has its request; the source hears of it."""
    data = json.dumps(body).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (path.encode(), len(data), data))
    async with asyncio.timeout(5):
        await source.arrived.wait()
    writer.transport.abort()
    async with asyncio.timeout(2):
        await source.disconnected.wait()


@pytest.mark.behaviour("DOOR-06")
@pytest.mark.parametrize("hang", ["before", "inside"])
async def test_a_client_that_leaves_cancels_upstream(gateway: Gateway, fake: FakeOpenAI, llama: FakeOllama, hang: Any) -> None:
    for source, model in ((llama, OWN), (fake, OTHER)):
        source.behaviour = Behaviour(hang=hang)
        await left(gateway, source, "/api/chat", {"model": model, "messages": COUNT})
    async with asyncio.timeout(2):
        while len(gateway.rows()) < 2:
            await asyncio.sleep(0.01)
    assert {(row.outcome, row.status) for row in gateway.rows()} == {("cancelled", 499)}


@BOTH
async def test_a_long_wait_is_filled_with_nothing_that_breaks_the_client(
    tmp_path: Path, fake: FakeOpenAI, llama: FakeOllama, model: str
) -> None:
    fake.behaviour = llama.behaviour = Behaviour(first_event_delay_s=0.3)
    async with running_gateway(tmp_path / "other", server={"heartbeat_s": 0.06}) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        await gateway.plug(1, "ollama", base_url=llama.base_url, model="fake-model:latest")
        raw = await gateway.http.post("/api/generate", json={"model": model, "prompt": "Count to 5"})
        assert raw.text.startswith('{"response":"","done":false}\n')
        client = sdk(gateway)
        chunks = [chunk async for chunk in await client.chat(model, COUNT, stream=True)]
        assert "".join(chunk.message.content or "" for chunk in chunks) == COUNTED
        assert [chunk.done for chunk in chunks].count(True) == 1
        await client.close()  # type: ignore[no-untyped-call]


async def test_a_stream_that_another_source_took_up_is_whole_for_the_sdk(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with FakeOpenAI() as other:
        fake.behaviour = Behaviour(cut_after=4)
        await gateway.plug(2, "openai-compat", base_url=other.base_url, model="fake-model")
        body = {"model": "fake-model", "messages": COUNT, "provider": {"order": ["slot-0", "slot-2"]}}
        reply = await gateway.http.post("/api/chat", json=body, headers={"x-jackfield-continue": "1"})
        chunks = [ollama.ChatResponse(**json.loads(line)) for line in reply.text.splitlines()]
        assert "".join(chunk.message.content or "" for chunk in chunks) == COUNTED
        assert (chunks[-1].done, chunks[-1].done_reason) == (True, "stop")
        assert (fake.completions, other.completions) == (1, 1)


WRONG: tuple[tuple[str, Any, str], ...] = (
    ("/api/chat", b"{not json", "JSON"),
    ("/api/chat", b"", "JSON"),
    ("/api/chat", b"[]", "object"),
    ("/api/chat", {"messages": PING}, "model is missing"),
    ("/api/chat", {"model": 7, "messages": PING}, "model must be"),
    ("/api/chat", {"model": OTHER, "messages": "hi"}, "messages"),
    ("/api/chat", {"model": OTHER, "messages": PING, "stream": "yes"}, "stream"),
    ("/api/chat", {"model": OTHER, "messages": PING, "options": 5}, "options"),
    ("/api/chat", {"model": OTHER, "messages": PING, "options": {"temperature": "hot"}}, "options.temperature"),
    ("/api/chat", {"model": OTHER, "messages": PING, "format": 5}, "format"),
    ("/api/chat", {"model": OTHER, "messages": PING, "think": 5}, "think"),
    ("/api/chat", {"model": OTHER, "messages": PING, "tools": "none"}, "tools"),
    ("/api/generate", {"model": OTHER, "prompt": 5}, "prompt"),
    ("/api/generate", {"model": OTHER, "prompt": "x", "images": [5]}, "images"),
    ("/api/embed", {"model": OTHER, "input": 5}, "input"),
    ("/api/embed", {"model": OTHER, "input": ["a", 5]}, "input[1]"),
    ("/api/embeddings", {"model": OTHER, "prompt": {}}, "prompt"),
    ("/api/show", {}, "model is missing"),
    ("/api/show", {"name": 5}, "model must be"),
    ("/api/pull", {"model": "x", "stream": 1}, "stream"),
)
"""A path, a body that it refuses, and what the error says of it."""


async def test_a_wrong_body_is_named(gateway: Gateway, fake: FakeOpenAI) -> None:
    for path, body, said in WRONG:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = await gateway.http.post(path, content=data)
        assert reply.status_code == 400, (path, body, reply.text)
        assert said in error_of(reply), (path, body)
    assert fake.completions == 0


async def test_the_gate_stands_before_every_path(tmp_path: Path) -> None:
    limits = {"api_key": "env:GATE_KEY", "max_body_bytes": 2048}
    body = json.dumps({"model": "slot-0", "messages": PING, "prompt": "x", "input": "x"}).encode()
    agent = {"user-agent": "ollama-python/0.6.3"}
    right = {**agent, "authorization": "Bearer a-long-gateway-key"}
    async with running_gateway(tmp_path, {"GATE_KEY": "a-long-gateway-key"}, server=limits) as gateway:
        for path in (*CALLS, "/api/tags", "/api/ps", "/api/version", "/"):
            method = "DELETE" if path == "/api/delete" else "POST" if path in CALLS else "GET"
            for headers, status in (
                (agent, 401),
                ({**agent, "authorization": "Bearer wrong"}, 403),
                ({**right, "host": "evil.example"}, 403),
                ({**right, "origin": "http://evil.example"}, 403),
                (right, 404 if path in CALLS else 200),
            ):
                if path == "/api/pull" and status == 404:
                    status = 400
                reply = await gateway.http.request(method, path, content=body, headers=headers)
                assert reply.status_code == status, (path, headers, reply.text)
                if status != 200:
                    error_of(reply)
            if path in CALLS:
                reply = await gateway.http.request(method, path, content=b" " * 4096, headers=right)
                assert reply.status_code == 413
                assert "2048 bytes" in error_of(reply)


async def test_the_sdk_shows_its_key(tmp_path: Path, fake: FakeOpenAI) -> None:
    async with running_gateway(tmp_path, {"GATE_KEY": "a-long-gateway-key"}, server={"api_key": "env:GATE_KEY"}) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        client = sdk(gateway, headers={"authorization": "Bearer a-long-gateway-key"})
        assert (await client.chat(OTHER, PING)).message.content == "pong"
        await client.close()  # type: ignore[no-untyped-call]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**65) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "tool", "king"]) | JSON,
        "content": st.text(max_size=10) | JSON,
        "images": st.lists(st.text(max_size=8), max_size=2) | JSON,
        "tool_calls": st.lists(st.fixed_dictionaries({"function": JSON}) | JSON, max_size=2) | JSON,
        "thinking": JSON,
        "tool_name": JSON,
    },
)
FIELDS: dict[str, Any] = {
    "model": st.sampled_from([OWN, OTHER, "nobody", "slot-0:latest", "slot-99", "ollama/x", "/"]) | JSON,
    "name": JSON,
    "messages": st.lists(MESSAGE, max_size=3) | JSON,
    "prompt": st.text(max_size=10) | JSON,
    "input": JSON,
    "images": JSON,
    "system": JSON,
    "suffix": JSON,
    "raw": JSON,
    "context": JSON,
    "template": JSON,
    "stream": st.booleans() | JSON,
    "format": st.just("json") | JSON,
    "think": st.booleans() | JSON,
    "options": st.dictionaries(st.sampled_from(["temperature", "num_predict", "stop", "seed", "num_ctx", "x"]), JSON) | JSON,
    "tools": JSON,
    "keep_alive": JSON,
    "logprobs": JSON,
    "dimensions": JSON,
    "provider": JSON,
    "truncate": JSON,
}


BODY = st.fixed_dictionaries({"model": FIELDS.pop("model")}, optional=FIELDS) | JSON


async def no_body_is_our_fault(gateway: Gateway, path: str, body: Any) -> None:
    data = json.dumps(body).encode("utf-8", "surrogatepass")
    method = "DELETE" if path == "/api/delete" else "POST"
    reply = await gateway.http.request(method, path, content=data)
    assert reply.status_code in (200, 400, 404, 405, 413, 422), (path, body, reply.status_code, reply.text)
    if reply.status_code != 200:
        error_of(reply)


async def test_no_body_is_our_fault(gateway: Gateway) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(CALLS), BODY)
    def any_body(path: str, body: Any) -> None:
        asyncio.run_coroutine_threadsafe(no_body_is_our_fault(gateway, path, body), loop).result(20)

    await asyncio.to_thread(any_body)
