"""A key goes wherever keys go, at log level debug, and is then looked for everywhere it must not be.

Two canaries: one looks like a key and could be found by its looks, the other like nothing at all, so that only a gateway
which knows its own secrets can keep it back.
"""

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway_process import Up, jackfield, jackfield_up_beside
from jackfield.testing.fakes import Behaviour, FakeOpenAI

PING: Any = [{"role": "user", "content": "ping"}]
LOOKS_LIKE_A_KEY = "sk-proj-CanaryT3BlbkFJq8wZ2mYx7Rt1Vn0Lc5"
LOOKS_LIKE_NOTHING = "Canary9fUZ1wQ7mBx2LrT6sKd"
OF_THE_CLIENT = "CanaryOfTheClient4hJ8vN2pXw"
GATE_KEY = "CanaryOfTheGate7dR3kS9mQz"


class Traffic:
    """A gateway's answers, all of them kept."""

    def __init__(self, up: Up) -> None:
        self.up = up
        self.heard: list[tuple[str, bytes]] = []
        self.http = httpx2.AsyncClient(
            base_url=up.url, timeout=20, trust_env=False, headers={"authorization": f"Bearer {GATE_KEY}"}
        )

    async def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        reply = await self.http.request(method, path, **options)
        said = f"{method} {path} {reply.status_code}"
        self.heard += [(f"headers of {said}", repr(reply.headers.multi_items()).encode()), (said, reply.content)]
        return reply

    async def change(self, path: str, **body: Any) -> httpx2.Response:
        return await self.send("POST", f"/control/v1/{path}", json=body)

    async def plug(self, slot: int, config: dict[str, Any], *, is_ok: bool = True, **more: Any) -> httpx2.Response:
        body = {"provider": "openai-compat", "config": config, "require_ready": False, **more}
        reply = await self.change(f"slots/{slot}/plug", **body)
        assert (reply.status_code == 200) is is_ok, reply.text
        return reply

    async def ask(self, slot: int, **fields: Any) -> httpx2.Response:
        return await self.send("POST", "/v1/chat/completions", json={"model": f"slot-{slot}", "messages": PING, **fields})

    async def ask_both(self, slot: int) -> None:
        await self.ask(slot)
        await self.ask(slot, stream=True)

    async def run(self, *words: str) -> None:
        said = await asyncio.to_thread(self.up.run, *words)
        self.heard += [(f"stdout of {words}", said.out.encode()), (f"stderr of {words}", said.err.encode())]

    async def look_everywhere(self) -> None:
        for path in (
            "slots", "slots/0", "providers", "providers/openai-compat", "providers/status", "models", "consents", "discovery",
            "ledger", "settings", "schema/openapi.json",
        ):  # fmt: skip
            await self.send("GET", f"/control/v1/{path}")
        for path in ("/v1/models", "/v1/models/slot-0", "/status", "/health"):
            await self.send("GET", path)


@contextlib.asynccontextmanager
async def listening(traffic: Traffic) -> AsyncIterator[None]:
    """Keeps the panel's events too."""
    opened = asyncio.Event()

    async def listen() -> None:
        async with traffic.http.stream("GET", "/control/v1/events") as reply:
            opened.set()
            async for chunk in reply.aiter_bytes():
                traffic.heard.append(("an event", chunk))

    task = asyncio.create_task(listen())
    async with asyncio.timeout(10):
        await opened.wait()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def found(canary: str, traffic: Traffic) -> list[str]:
    """Where the canary is, in any of its spellings, and must not be."""
    spellings = [canary.encode(), base64.b64encode(canary.encode()).rstrip(b"=")]
    places = [*traffic.heard, ("log", traffic.up.log.encode())]
    places += [(str(path), path.read_bytes()) for path in traffic.up.store.rglob("*") if path.is_file()]
    places.append(("command line", Path(f"/proc/{traffic.up.process.pid}/cmdline").read_bytes()))
    return [
        f"{place}: ...{text[max(0, at.start() - 100) : at.end() + 20].decode(errors='replace')}..."
        for place, text in places
        for spelling in spellings
        for at in re.finditer(re.escape(spelling), text)
    ]


async def where_it_is_right(traffic: Traffic, fake: FakeOpenAI, canary: str) -> None:
    """Given as itself, as a reference, in a header; used for every call; carried along by every operation on slots."""
    here = {"base_url": fake.base_url, "model": "fake-model"}
    ways: list[dict[str, Any]] = [
        {"api_key": canary},
        {"api_key": "env:CANARY"},
        {"api_key": "${CANARY}"},
        {"headers": {"Authorization": f"Bearer {canary}"}},
        {"headers": {"X-Api-Key": canary}},
    ]
    for slot, config in enumerate(ways):
        reply = await traffic.plug(slot, {**here, **config}, name=f"right-{slot}")
        assert reply.json()["problem"] is None
        before = fake.completions
        await traffic.ask_both(slot)
        assert fake.completions == before + 2
        sent = fake.last.headers
        assert canary in (sent.get("x-api-key"), sent.get("authorization", "").removeprefix("Bearer "))
    await traffic.change("slots/0/clone")
    await traffic.change("slots/swap", a=0, b=3)
    await traffic.change("slots/3/mutate", settings={"temperature": 0.5})
    await traffic.change("slots/undo")
    key = (await traffic.change("slots/4/grab")).json()["key"]
    await traffic.change("slots/restore", key=key)
    await traffic.change("slots/1/invoke", text="ping")
    await traffic.change("slots/2/unplug")
    await traffic.change("slots/undo")
    assert (await traffic.ask(2)).status_code == 200


async def where_it_is_wrong(traffic: Traffic, strict: FakeOpenAI, gone: FakeOpenAI, canary: str) -> None:
    """The source refuses it and says it aloud; or nobody is there."""
    for slot, config in ((10, {"api_key": canary}), (11, {"headers": {"Authorization": f"Bearer {canary}"}})):
        there = {"base_url": strict.base_url, "model": "fake-model", **config}
        refused = await traffic.plug(slot, there)
        assert "Incorrect API key" in refused.json()["problem"]
        await traffic.ask_both(slot)
        assert (await traffic.change(f"slots/{slot}/plug", provider="openai-compat", config=there)).status_code >= 400
        await traffic.change(f"slots/{slot}/invoke", text="ping")
    await traffic.plug(12, {"base_url": gone.base_url, "api_key": canary, "model": "fake-model"})
    await traffic.ask_both(12)


async def where_it_comes_back(traffic: Traffic, fake: FakeOpenAI, canary: str) -> None:
    """The source repeats it in whatever it answers."""
    error = json.dumps({"error": {"message": f"the key {canary} has no quota", "code": "insufficient_quota"}}).encode()
    for behaviour in (
        Behaviour(status=500, message=f"traceback: key={canary} {canary}"),
        Behaviour(status=400, message=f"bad request of {canary}", code=canary),
        Behaviour(status=429, message=f"{canary} is too fast", retry_after="1"),
        Behaviour(status=302, location=f"/login/{canary}?key={canary}"),
        Behaviour(status=200, body=f'{{"oops": "Bearer {canary}"}}'.encode()),
        Behaviour(status=200, body=f"<html>{canary}".encode()),
        Behaviour(status=502, body=f"<html><title>no way for {canary}</title>".encode()),
        Behaviour(status=200, body=error),
        Behaviour(error_after=0, message=f"no stream for {canary}"),
        Behaviour(error_after=2, message=f"the key {canary} was revoked", code=canary),
        Behaviour(cut_after=2),
    ):
        for slot in (0, 3):  # the key as itself, and in a header: the swap changed which is which
            fake.script.extend([behaviour] * 2)
            await traffic.ask_both(slot)
            fake.script.clear()
    fake.behaviour = Behaviour(everywhere=True, status=500, message=f"out of {canary}")
    await traffic.send("GET", "/control/v1/providers/status")
    await traffic.send("GET", "/v1/models")
    await traffic.send("GET", "/control/v1/models")
    await traffic.change("slots/0/clone")
    fake.behaviour = Behaviour()


async def where_no_key_belongs(traffic: Traffic, fake: FakeOpenAI, canary: str) -> None:
    """Places where a key is refused: the answer says so without repeating it."""
    for config in (
        {"base_url": f"{fake.base_url}?api_key={canary}"},
        {"base_url": f"http://user:{canary}@127.0.0.1:{fake.port}/v1"},
        {"base_url": fake.base_url, "proxy": f"http://user:{canary}@127.0.0.1:{fake.port}"},
        {"base_url": fake.base_url, "apikey": canary, "api_keyy": canary},
        {"base_url": fake.base_url, "api_key": {"nested": canary}},
        {"base_url": fake.base_url, "headers": {"authorization": f"Bearer {canary}\r\nx: y"}},
        {"base_url": fake.base_url, "headers": [canary]},
    ):
        await traffic.change("slots/20/plug", provider="openai-compat", config=config)
    await traffic.change("slots/20/plug", provider="openai-compat", api_key=canary)
    await traffic.change("slots/20/plug", provider="no-such-provider", config={"api_key": canary})
    await traffic.send("POST", "/control/v1/slots/20/plug", content=f'{{"api_key": "{canary}"'.encode())


async def by_clients(traffic: Traffic, fake: FakeOpenAI) -> None:
    """A client's own key is for the gateway, and goes no further."""
    wrong = {"authorization": f"Bearer {OF_THE_CLIENT}"}
    for path in ("/v1/models", "/control/v1/slots", "/nowhere"):
        assert (await traffic.send("GET", path, headers=wrong)).status_code in (401, 403)
        await traffic.send("GET", path, headers={"x-api-key": OF_THE_CLIENT, "authorization": ""})
    await traffic.ask(0)
    assert not any(key in repr(request.headers) for request in fake.requests for key in (GATE_KEY, OF_THE_CLIENT))


@pytest.mark.behaviour("SEC-02", "SEC-15")
@pytest.mark.parametrize("canary", [LOOKS_LIKE_A_KEY, LOOKS_LIKE_NOTHING], ids=["like a key", "like nothing"])
async def test_no_key_is_found_where_it_must_not_be(tmp_path: Path, canary: str) -> None:
    environ = {"CANARY": canary, "GATE": GATE_KEY, "JACKFIELD_API_KEY": GATE_KEY}
    options = ("--no-discover", "--log-level", "debug")
    async with FakeOpenAI(require_key=canary) as fake, FakeOpenAI(require_key="another") as strict, FakeOpenAI() as gone:
        await gone.stop()
        settings = f"""
            server: {{api_key: env:GATE}}
            slots: {{5: {{provider: openai-compat, config: {{base_url: "{fake.base_url}", api_key: "env:CANARY"}}}}}}
        """
        async with jackfield_up_beside(tmp_path, *options, settings=settings, environ=environ) as up:
            traffic = Traffic(up)
            async with traffic.http, listening(traffic):
                await where_it_is_right(traffic, fake, canary)
                await where_it_is_wrong(traffic, strict, gone, canary)
                await where_it_comes_back(traffic, fake, canary)
                await where_no_key_belongs(traffic, fake, canary)
                await by_clients(traffic, fake)
                await traffic.look_everywhere()
                await traffic.run("slots", "list", "--json", "--url", up.url)
                for words in (("config", "show"), ("secrets", "list"), ("doctor",)):
                    await traffic.run(*words)
            hits = [hit for secret in (canary, OF_THE_CLIENT, GATE_KEY) for hit in found(secret, traffic)]
            assert " DEBUG " in up.log
            assert await asyncio.to_thread(up.stop) == 0
    hits += [str(path) for path in tmp_path.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]
    if hits:
        pytest.fail(f"{len(hits)} times:\n" + "\n".join(hits), pytrace=False)
    assert any(b"[redacted]" in text for _, text in traffic.heard)


@pytest.mark.behaviour("SEC-02", "SEC-04")
def test_a_key_in_the_settings_is_refused_and_not_repeated(tmp_path: Path) -> None:
    settings = "providers: {openai: {api_key: CANARY}}\nslots: {0: {provider: openai, config: {api_key: CANARY}}}\n"
    (tmp_path / "jackfield.yaml").write_text(settings.replace("CANARY", LOOKS_LIKE_NOTHING))
    for words in (("up", "--port", "0", "--log-level", "debug"), ("ask", "ping", "--provider", "openai")):
        said = jackfield(tmp_path, *words)
        assert said.code != 0
        assert LOOKS_LIKE_NOTHING not in said.out + said.err
        assert "jackfield.yaml:1" in said.err
        assert "jackfield.yaml:2" in said.err
        assert "jackfield secrets set" in said.err


@pytest.mark.behaviour("KEYS-01")
async def test_a_services_key_is_not_sent_to_another_address_that_is_named(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": LOOKS_LIKE_A_KEY}
    async with FakeOpenAI() as fake, jackfield_up_beside(tmp_path, "--no-discover", environ=environ) as up:
        elsewhere = ("--base-url", fake.base_url, "--model", "fake-model")
        asked = await asyncio.to_thread(up.run, "ask", "ping", "--provider", "openai", *elsewhere)
        plugged = await asyncio.to_thread(up.run, "slots", "plug", "0", "openai", *elsewhere, "--url", up.url)
        told = await asyncio.to_thread(up.ask, "ping")
        assert (asked.out, plugged.code, told.status_code) == ("pong\n", 0, 200)
        assert fake.completions == 2
        assert not any("authorization" in request.headers for request in fake.requests)
