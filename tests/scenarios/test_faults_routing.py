"""Two sources of one model, one of them at fault: what the caller gets, what each upstream gets, and what is left behind.

Slot 0 (`a`) misbehaves on the wire and is asked first; slot 1 (`b`) is well. Every answer is bounded in time and has its rows
in the ledger, and afterwards nothing is in use: no connection, no request in flight, no task.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from jackfield.app.settings import Settings
from jackfield.store.ledger import LedgerRow
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from jackfield.testing.faults import (
    AFTER_CONTENT,
    BEFORE_CONTENT,
    UNRESOLVABLE,
    WELL,
    hanging_port,
    refusing_port,
    tls_port,
)
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
LOOKS = 4
"""Looks at a source's health and models: they come on top, but only few."""
STORM_SHARE, STORM_BURST = 0.1, 10
"""Of the requests of a pool this share may be repeated, plus a few."""
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])

# Sections of the settings that single tests need; the names of their keys stand here only.
FIRST_TOKEN: dict[str, Any] = {"routing": {"first_token_s": LIMIT_S}}
QUICK_LOOKS: dict[str, Any] = {"routing": {"health_interval_s": 0.2}}


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

    async def plug_a(self, base_url: str | None = None, *, consent: bool = False, **config: Any) -> None:
        limits = {"first_byte_timeout": LIMIT_S, "idle_timeout": LIMIT_S, "connect_timeout": LIMIT_S}
        config = {"base_url": base_url or self.a.base_url, **limits, **config}
        await self.gateway.house.registry.plug(
            0, "openai-compat", config, model=MODEL, consent=consent, require_ready=base_url is None
        )

    async def plug_b(self, base_url: str | None = None, **config: Any) -> None:
        await self.gateway.plug(1, "openai-compat", base_url=base_url or self.b.base_url, model=MODEL, **config)

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
    return task is not asyncio.current_task() and not name.startswith(("FakeServer", "tls_port", "test_"))


def _read_plain(raw: bytes, heard: Heard) -> None:
    body = json.loads(raw)
    heard.error = body.get("error")
    for choice in body.get("choices", ()):
        heard.text += choice["message"]["content"] or ""
        heard.finish_reasons.append(choice["finish_reason"])


def _read_stream(raw: bytes, heard: Heard) -> None:
    heard.lines = [line for line in raw.decode().splitlines() if line]
    for line in heard.lines:
        if not line.startswith("data: {"):
            continue
        chunk = json.loads(line[6:])
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


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with two_sources(tmp_path) as both:
        yield both


@pytest.fixture
async def lonely(tmp_path: Path) -> AsyncIterator[House]:
    """Only slot 0."""
    async with two_sources(tmp_path, alone=True) as one:
        yield one


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


# ---- a sibling answers in its place

# These are not settled by any sibling: they have tests of their own below.
SPECIAL = {"context too long", "content refused", "slow first token, heartbeats"}


@STREAMS
@pytest.mark.parametrize("name", [name for name in BEFORE_CONTENT if name not in SPECIAL])
async def test_a_fault_before_any_content_is_never_seen(house: House, name: str, stream: bool) -> None:
    house.a.behaviour = BEFORE_CONTENT[name]
    heard = await house.ask(stream=stream)
    assert_from_b(house, heard, stream=stream, lost=USAGE[0] if name == "empty" else 0)
    assert heard.seconds < 3
    await house.settled()


@STREAMS
async def test_heartbeats_are_no_first_token(tmp_path: Path, stream: bool) -> None:
    async with two_sources(tmp_path, **FIRST_TOKEN) as house:
        house.a.behaviour = BEFORE_CONTENT["slow first token, heartbeats"]
        heard = await house.ask(stream=stream)
        assert_from_b(house, heard, stream=stream)
        await house.settled()


@STREAMS
async def test_a_refused_key_gives_way_to_another_key(tmp_path: Path, stream: bool) -> None:
    environ = {"KEY_A": "fake-key-a", "KEY_B": "fake-key-b"}
    async with two_sources(tmp_path, environ=environ) as house:
        house.b = house.a  # one service, two accounts
        await house.plug_a(api_key="env:KEY_A")
        await house.plug_b(api_key="env:KEY_B")
        house.a.require_key = environ["KEY_B"]
        asked_with: Callable[[str], int] = lambda key: sum(  # noqa: E731
            request.method == "POST" and request.headers["authorization"].endswith(key) for request in house.a.requests
        )
        for number in range(1, 4):
            heard = await house.ask(stream=stream)
            assert is_right(heard, stream=stream), heard
            assert asked_with(environ["KEY_A"]) == 1, "a key that was refused is not sent again"
            assert asked_with(environ["KEY_B"]) == number
        await house.settled()


UNREACHABLE = ("refused", "connect hangs", "untrusted certificate", "no TLS there", "TLS never answers", "no such host")


@contextlib.asynccontextmanager
async def unreachable(house: House, kind: str) -> AsyncIterator[None]:
    """Slot 0 while it cannot be reached: down since it was plugged, or plugged all the same."""
    async with contextlib.AsyncExitStack() as stack:
        match kind:
            case "refused":
                await house.a.stop()
                stack.enter_context(refusing_port(house.a.port))
            case "connect hangs":
                await house.a.stop()
                stack.enter_context(hanging_port(house.a.port))
            case "no such host":
                await house.plug_a(UNRESOLVABLE, consent=True)
            case _:
                kinds: dict[str, Any] = {
                    "untrusted certificate": "untrusted", "no TLS there": "plain", "TLS never answers": "mute"
                }  # fmt: skip
                port = await stack.enter_async_context(tls_port(kinds[kind]))
                await house.plug_a(port.base_url)
                tried = port.connections
                stack.callback(lambda: _assert_few(port.connections - tried, port.requests))
        house.before |= asyncio.all_tasks()
        yield


def _assert_few(connections: int, requests: int) -> None:
    assert connections <= 1 + RETRIES + LOOKS
    assert requests == 0


@STREAMS
@pytest.mark.parametrize("kind", UNREACHABLE)
async def test_a_source_that_cannot_be_reached_gives_way(tmp_path: Path, kind: str, stream: bool) -> None:
    async with two_sources(tmp_path, mode="burst") as house, unreachable(house, kind):
        heard = await house.ask(stream=stream)
        assert_from_b(house, heard, stream=stream, tried=False)
        assert heard.seconds < 3
        await house.settled()


@STREAMS
@pytest.mark.parametrize("room", [100_000, 1_000])
async def test_a_prompt_that_is_too_long_goes_only_where_there_is_more_room(house: House, room: int, stream: bool) -> None:
    await house.plug_a(max_context=2_000)
    await house.plug_b(max_context=room)
    house.a.behaviour = BEFORE_CONTENT["context too long"]
    heard = await house.ask(stream=stream)
    if room > 2_000:
        assert_from_b(house, heard, stream=stream)
    else:
        assert_told(house, heard, 400, "context_length_exceeded")
        assert (house.a.asked, house.b.asked) == (1, 0)
    await house.settled()


@STREAMS
@pytest.mark.parametrize("is_allowed", [False, True])
async def test_a_refused_prompt_goes_elsewhere_only_where_the_client_allows_it(
    house: House, is_allowed: bool, stream: bool
) -> None:
    house.a.behaviour = BEFORE_CONTENT["content refused"]
    wishes = {"order": ["slot-0"], "allow_fallbacks": True} if is_allowed else {"order": ["slot-0"]}
    heard = await house.ask(stream=stream, provider=wishes)
    if is_allowed:
        assert_from_b(house, heard, stream=stream)
    else:
        assert_told(house, heard, 400, "content_filter")
        assert (house.a.asked, house.b.asked) == (1, 0)
    await house.settled()


@STREAMS
async def test_a_bad_request_is_bad_everywhere(house: House, stream: bool) -> None:
    house.a.behaviour = Behaviour(status=400, message="messages[0].role is wrong", code="invalid_request_error")
    heard = await house.ask(stream=stream)
    assert heard.status == 400
    assert (house.a.asked, house.b.asked) == (1, 0)
    await house.settled()


# ---- nothing else is at hand

ALONE = {
    "429": (429, "rate_limit_exceeded", 1 + RETRIES),
    "500": (502, "unavailable", 1 + RETRIES),
    "502": (502, "unavailable", 1 + RETRIES),
    "503": (503, "overloaded", 1 + RETRIES),
    "529": (503, "overloaded", 1 + RETRIES),
    "key refused": (401, "invalid_api_key", 1),
    "payment required": (402, "insufficient_quota", 1),
    "quota spent": (402, "insufficient_quota", 1),
    "model gone": (404, "model_not_found", 1),
    "context too long": (400, "context_length_exceeded", 1),
    "content refused": (400, "content_filter", 1),
    "no answer": (504, "timeout", 1 + RETRIES),
    "slow first token": (504, "timeout", 1 + RETRIES),
    "stalled": (504, "timeout", 1 + RETRIES),
    "cut": (502, None, 1 + RETRIES),
    "malformed": (502, "malformed_answer", 1),
    "no JSON": (502, "malformed_answer", 1),
    "error with status 200": (502, "unavailable", 1 + RETRIES),
}


@STREAMS
@pytest.mark.parametrize("name", ALONE)
async def test_with_nothing_else_at_hand_the_truth_is_told(lonely: House, name: str, stream: bool) -> None:
    status, code, most = ALONE[name]
    lonely.a.behaviour = BEFORE_CONTENT[name]
    heard = await lonely.ask(stream=stream)
    assert_told(lonely, heard, status, code)
    assert 1 <= lonely.a.asked <= most
    await lonely.settled()


@STREAMS
async def test_an_empty_answer_is_passed_on_or_told_when_all_are_empty(house: House, stream: bool) -> None:
    house.a.behaviour = house.b.behaviour = BEFORE_CONTENT["empty"]
    heard = await house.ask(stream=stream)
    assert heard.text == ""
    assert heard.status == 200 or heard.status >= 500, heard
    assert (heard.error is None) is (heard.status == 200)
    assert house.a.asked + house.b.asked <= 1 + RETRIES
    await house.settled()


@STREAMS
@pytest.mark.parametrize(("name", "is_passing"), [("503", True), ("429", True), ("no answer", True), ("key refused", False)])
async def test_a_fault_that_passes_is_waited_out(lonely: House, name: str, is_passing: bool, stream: bool) -> None:
    lonely.a.script.append(BEFORE_CONTENT[name])
    heard = await lonely.ask(stream=stream)
    assert is_right(heard, stream=stream) is is_passing, heard
    assert lonely.a.asked == 1 + is_passing
    await lonely.settled()


@pytest.mark.behaviour("MGR-34")
@STREAMS
async def test_retry_after_is_waited_for(lonely: House, stream: bool) -> None:
    lonely.a.script.append(BEFORE_CONTENT["429 with retry-after"])
    heard = await lonely.ask(stream=stream)
    assert is_right(heard, stream=stream), heard
    assert heard.seconds >= 1
    assert lonely.a.asked == 2
    await lonely.settled()


@STREAMS
async def test_a_retry_after_beyond_all_patience_is_told(lonely: House, stream: bool) -> None:
    lonely.a.behaviour = msgspec.structs.replace(BEFORE_CONTENT["429"], retry_after="3600")
    heard = await lonely.ask(stream=stream)
    assert_told(lonely, heard, 429, "rate_limit_exceeded")
    assert int(heard.headers["retry-after"]) > 3000
    assert heard.seconds < 1
    assert lonely.a.asked == 1
    await lonely.settled()


@STREAMS
@pytest.mark.parametrize("kind", UNREACHABLE)
async def test_a_source_that_cannot_be_reached_is_told(tmp_path: Path, kind: str, stream: bool) -> None:
    async with two_sources(tmp_path, alone=True, mode="burst") as house, unreachable(house, kind):
        heard = await house.ask(stream=stream)
        assert_told(house, heard, heard.status, None)
        assert heard.status in (502, 503, 504)
        assert len(house.rows(heard)) <= 1 + RETRIES
        await house.settled()


# ---- content has come: too late to hide

TOLD_AFTER = {
    "cut": {"stream_broken", "unavailable"},
    "stalled": {"timeout"},
    "malformed": {"malformed_answer"},
    "error in the stream": {"unavailable", "upstream_error"},
}


def assert_broken_off(heard: Heard, codes: set[str]) -> None:
    """A part of the right answer, once, then a typed error in the stream and no end mark."""
    assert heard.status == 200
    assert 0 < len(heard.text) < len(WHOLE)
    assert WHOLE.startswith(heard.text)
    assert heard.code in codes, heard
    assert json.loads(heard.lines[-1].removeprefix("data: "))["error"] == heard.error
    assert heard.finish_reasons == []
    assert not heard.is_done


@pytest.mark.parametrize("name", TOLD_AFTER)
async def test_after_content_the_stream_ends_in_a_typed_error(house: House, name: str) -> None:
    house.a.behaviour = AFTER_CONTENT[name]
    heard = await house.ask(stream=True)
    assert_broken_off(heard, TOLD_AFTER[name])
    assert (house.a.asked, house.b.asked) == (1, 0)
    assert [row.outcome for row in house.rows(heard)] == [heard.code]
    await house.settled()


# ---- for longer than one request


@STREAMS
@pytest.mark.parametrize("name", ["500", "503", "429", "cut"])
async def test_a_primary_that_stays_down_gets_probes_only(house: House, name: str, stream: bool) -> None:
    house.a.behaviour = BEFORE_CONTENT[name]
    for _ in range(12):  # its circuit opens, whoever is asked first
        assert is_right(await house.ask(stream=stream), stream=stream)
    until_open = house.a.asked
    assert until_open <= 6
    for _ in range(15):
        heard = await house.ask(stream=stream)
        assert is_right(heard, stream=stream), heard
        assert heard.seconds < 1
    assert house.a.asked - until_open <= 1
    assert house.b.asked == 27
    await house.settled()


@STREAMS
async def test_a_single_source_that_stays_down_is_left_in_peace_too(lonely: House, stream: bool) -> None:
    lonely.a.behaviour = BEFORE_CONTENT["500"]
    heard = [await lonely.ask(stream=stream) for _ in range(15)]
    assert {each.status for each in heard} <= {502, 503}
    assert heard[-1].status == 503
    assert 1 <= int(heard[-1].headers["retry-after"]) <= 300
    assert heard[-1].seconds < 0.5
    assert lonely.a.asked <= 5 + RETRIES
    await lonely.settled()


@STREAMS
async def test_a_primary_that_recovers_is_used_again(tmp_path: Path, stream: bool) -> None:
    async with two_sources(tmp_path, **QUICK_LOOKS) as house:
        house.a.behaviour = BEFORE_CONTENT["500"]
        for _ in range(12):
            assert is_right(await house.ask(stream=stream), stream=stream)
        house.a.behaviour = WELL
        async with asyncio.timeout(5):
            while (heard := await house.ask(stream=stream)).slot != "0":
                assert is_right(heard, stream=stream)
                await asyncio.sleep(0.05)
        assert is_right(heard, stream=stream)
        await house.settled()


@STREAMS
async def test_a_storm_of_rate_limits_is_not_fed(house: House, stream: bool) -> None:
    house.a.behaviour = house.b.behaviour = BEFORE_CONTENT["429 with retry-after"]
    began = time.perf_counter()
    heard = await asyncio.gather(*(house.ask(stream=stream) for _ in range(40)))
    assert time.perf_counter() - began < BOUND_S
    assert {each.status for each in heard} <= {429, 503}
    assert all(int(each.headers["retry-after"]) >= 1 for each in heard)
    assert house.a.asked + house.b.asked <= 40 * (1 + STORM_SHARE) + STORM_BURST
    await house.settled()


@STREAMS
async def test_two_flapping_sources_give_right_answers_or_the_truth(tmp_path: Path, stream: bool) -> None:
    async with two_sources(tmp_path, **QUICK_LOOKS) as house:
        heard: list[Heard] = []
        for turn in range(24):
            house.a.behaviour, house.b.behaviour = (
                (BEFORE_CONTENT["500"], WELL) if turn // 3 % 2 == 0 else (WELL, BEFORE_CONTENT["cut"])
            )
            heard.append(await house.ask(stream=stream))
            await asyncio.sleep(0.02)
        right = [each for each in heard if is_right(each, stream=stream)]
        told = [each for each in heard if each.error is not None and each.text == "" and not each.is_done]
        assert len(right) + len(told) == 24
        assert len(right) >= 16
        assert house.a.asked + house.b.asked <= 24 * (1 + RETRIES)
        house.a.behaviour = house.b.behaviour = WELL
        await asyncio.sleep(0.5)
        for _ in range(5):
            assert is_right(await house.ask(stream=stream), stream=stream)
        await house.settled()


# ---- the client leaves


async def _send(gateway: Gateway, *, stream: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    fields = {"model": MODEL, "messages": COUNT, "stream": stream, "provider": {"order": ["slot-0"]}}
    body = json.dumps(fields).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body))
    return reader, writer


def assert_cancelled(house: House) -> None:
    last = house.gateway.rows()[0]
    assert (last.outcome, last.status) == ("cancelled", 499)


@STREAMS
async def test_a_client_that_leaves_before_the_first_byte_is_not_served_elsewhere(house: House, stream: bool) -> None:
    await house.plug_a(first_byte_timeout=30, idle_timeout=30)
    house.a.behaviour = BEFORE_CONTENT["no answer"]
    _, writer = await _send(house.gateway, stream=stream)
    async with asyncio.timeout(5):
        await house.a.arrived.wait()
    writer.transport.abort()
    async with asyncio.timeout(1):
        await house.a.disconnected.wait()
    await house.settled()
    assert (house.a.asked, house.b.asked) == (1, 0)
    assert_cancelled(house)


@STREAMS
async def test_a_client_that_leaves_during_the_second_attempt_ends_it(house: House, stream: bool) -> None:
    house.a.behaviour = BEFORE_CONTENT["500"]
    house.b.behaviour = BEFORE_CONTENT["no answer"]
    _, writer = await _send(house.gateway, stream=stream)
    async with asyncio.timeout(5):
        await house.b.arrived.wait()
    writer.transport.abort()
    async with asyncio.timeout(1):
        await house.b.disconnected.wait()
    await house.settled()
    assert (house.a.asked, house.b.asked) == (1, 1)
    assert_cancelled(house)


@STREAMS
async def test_a_client_that_leaves_during_a_wait_ends_it(lonely: House, stream: bool) -> None:
    lonely.a.behaviour = msgspec.structs.replace(BEFORE_CONTENT["429"], retry_after="2")
    _, writer = await _send(lonely.gateway, stream=stream)
    async with asyncio.timeout(5):
        await lonely.a.arrived.wait()
    await asyncio.sleep(0.1)
    writer.transport.abort()
    await lonely.settled()
    await asyncio.sleep(2.2)
    assert lonely.a.asked == 1
    assert_cancelled(lonely)


async def test_a_client_that_leaves_after_the_first_byte_ends_it(house: House) -> None:
    await house.plug_a(idle_timeout=30)
    house.a.behaviour = AFTER_CONTENT["stalled"]
    reader, writer = await _send(house.gateway, stream=True)
    async with asyncio.timeout(5):
        await reader.readuntil(b'"1, "')
    writer.transport.abort()
    async with asyncio.timeout(1):
        await house.a.disconnected.wait()
    await house.settled()
    assert (house.a.asked, house.b.asked) == (1, 0)
    assert_cancelled(house)
