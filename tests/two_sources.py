"""A whole gateway between two sources of one model, the first of them at fault: what scenario tests of failure are made of.

Slot 0 (`a`) misbehaves on the wire and is asked first; slot 1 (`b`) is well. Afterwards nothing may be in use: no connection,
no request in flight, no task.
"""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from jackfield.app.settings import Settings
from jackfield.store.ledger import LedgerRow
from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway, running_gateway

CHAT = "/v1/chat/completions"
MODEL = "shared-model"
COUNT: Any = [{"role": "user", "content": "Count to 9"}]
WHOLE = "1, 2, 3, 4, 5, 6, 7, 8, 9"
USAGE = (3, 9)  # what the fake reports for it
BOUND_S = 8.0
LIMIT_S = 0.4
RETRIES = Settings().routing.retries
"""A request may be tried so many times more, at one place or another."""
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@dataclass
class Heard:
    """One answer as the client got it. `text` is all content in order, `lines` those of a stream."""

    status: int
    headers: httpx2.Headers
    seconds: float
    text: str = ""
    error: dict[str, Any] | None = None
    finish_reasons: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def slot(self) -> str | None:
        return self.headers.get("x-jackfield-slot")

    @property
    def is_done(self) -> bool:
        return self.lines.count("data: [DONE]") == 1

    @property
    def code(self) -> str | None:
        return None if self.error is None else self.error["code"]


@dataclass
class House:
    """A gateway between the two. `before` are the tasks that ran before any request came."""

    gateway: Gateway
    a: FakeOpenAI
    b: FakeOpenAI
    before: set[asyncio.Task[Any]] = field(default_factory=set)

    async def plug_a(
        self,
        base_url: str | None = None,
        *,
        provider: str = "openai-compat",
        consent: bool = False,
        require_ready: bool = True,
        **config: Any,
    ) -> None:
        limits = {"first_byte_timeout": LIMIT_S, "idle_timeout": LIMIT_S, "connect_timeout": LIMIT_S}
        config = {"base_url": base_url or self.a.base_url, **limits, **config}
        await self.gateway.house.registry.plug(
            0, provider, config, model=MODEL, consent=consent, require_ready=require_ready and base_url is None
        )

    async def plug_b(self, base_url: str | None = None, provider: str = "openai-compat", **config: Any) -> None:
        await self.gateway.plug(1, provider, base_url=base_url or self.b.base_url, model=MODEL, **config)

    async def ask(self, *, stream: bool, headers: dict[str, str] | None = None, **fields: Any) -> Heard:
        """`MODEL`, slot 0 first where the fields say nothing else. Fails if the answer takes longer than `BOUND_S`."""
        body = {"model": MODEL, "messages": COUNT, "stream": stream, "provider": {"order": ["slot-0"]}, **fields}
        began = time.perf_counter()
        async with asyncio.timeout(BOUND_S), self.gateway.http.stream("POST", CHAT, json=body, headers=headers) as reply:
            raw = await reply.aread()
        heard = Heard(reply.status_code, reply.headers, time.perf_counter() - began)
        if reply.headers["content-type"].startswith("text/event-stream"):
            _read_stream(raw, heard)
        else:
            _read_plain(raw, heard)
        return heard

    def rows(self, heard: Heard) -> list[LedgerRow]:
        """The rows of one request, in the order of its attempts."""
        request_id = heard.headers["x-request-id"]
        return sorted((row for row in self.gateway.rows() if row.request_id == request_id), key=lambda row: row.attempt)

    async def settled(self) -> None:
        """Fails unless within three seconds nothing is in use that was not before."""
        http = self.gateway.house.tools.http
        slots = self.gateway.house.registry.plugged()

        def left() -> str:
            running = [slot.number for slot in slots if slot.binding is not None and slot.binding.live.in_flight]
            in_use = http.open_count - http.idle_count
            tasks = [task for task in asyncio.all_tasks() - self.before if _is_of_the_gateway(task)]
            return f"in flight {running}, connections {in_use}, tasks {tasks}" if running or in_use or tasks else ""

        for _ in range(300):
            if not left():
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"left behind: {left()}")


def _is_of_the_gateway(task: asyncio.Task[Any]) -> bool:
    name = getattr(task.get_coro(), "__qualname__", "")
    return task is not asyncio.current_task() and not name.startswith(("FakeServer", "tls_port", "serving", "test_"))


def _read_plain(raw: bytes, heard: Heard) -> None:
    body = json.loads(raw)
    heard.error = body.get("error")
    for choice in body.get("choices", ()):
        heard.text += choice["message"]["content"] or ""
        heard.finish_reasons.append(choice["finish_reason"])


def _read_stream(raw: bytes, heard: Heard) -> None:
    heard.lines = [line for line in raw.decode().splitlines() if line]
    for line in heard.lines:
        data = line.removeprefix("data:").lstrip()
        if data == line or not data.startswith("{"):
            continue
        chunk = json.loads(data)
        heard.error = chunk.get("error") or heard.error
        for choice in chunk.get("choices") or ():
            heard.text += choice["delta"].get("content") or ""
            if choice["finish_reason"]:
                heard.finish_reasons.append(choice["finish_reason"])


@contextlib.asynccontextmanager
async def two_sources(folder: Path, *, alone: bool = False, environ: dict[str, str] | None = None, **settings: Any) -> Any:
    """A gateway with `a` in slot 0 and, unless it is `alone`, `b` in slot 1."""
    async with (
        FakeOpenAI([MODEL]) as a,
        FakeOpenAI([MODEL]) as b,
        running_gateway(folder, environ, **settings) as gateway,
    ):
        house = House(gateway, a, b)
        await house.plug_a()
        if not alone:
            await house.plug_b()
        await gateway.http.get("/v1/models")
        house.before = asyncio.all_tasks()
        yield house


def is_right(heard: Heard, *, stream: bool) -> bool:
    """The whole answer once, ended as it should be."""
    ended = heard.finish_reasons == ["stop"] and (heard.is_done or not stream)
    return heard.status == 200 and heard.error is None and heard.text == WHOLE and ended


def assert_from_b(house: House, heard: Heard, *, stream: bool, tried: bool = True, lost: int = 0) -> None:
    """Right, from slot 1 alone, and on the books once: an attempt that failed has a row of its own or none.

    In that row stand no tokens but those that the source itself reported for it: `lost`.
    """
    assert is_right(heard, stream=stream), heard
    assert heard.slot == "1"
    assert house.b.asked == 1
    assert house.a.asked == int(tried)
    rows = house.rows(heard)
    good = [row for row in rows if row.outcome == "ok"]
    assert [(row.slot, row.status, row.prompt_tokens, row.completion_tokens) for row in good] == [(1, 200, *USAGE)]
    assert rows[-1] is good[0]
    assert len({row.attempt for row in rows}) == len(rows) <= 2
    assert sum(row.prompt_tokens + row.completion_tokens for row in rows) == sum(USAGE) + lost


def assert_told(house: House, heard: Heard, status: int, code: str | None) -> None:
    """An error without any content, with its status or, where a stream had begun, in it; on the books, without tokens."""
    assert heard.text == "", heard
    assert heard.status == status or (heard.status == 200 and heard.lines and not heard.is_done), heard
    assert heard.finish_reasons == []
    assert heard.error is not None
    assert heard.error["message"]
    if code is not None:
        assert heard.code == code
    rows = house.rows(heard)
    assert rows
    assert "ok" not in {row.outcome for row in rows}
    assert (rows[-1].outcome, rows[-1].status) == (heard.code, heard.status)
    assert sum(row.completion_tokens for row in rows) == 0
