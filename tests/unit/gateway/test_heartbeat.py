"""When a sign of life is sent, and that it never stands inside an event."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from jackfield.gateway.heartbeat import BEATS_A_SIGN, Heartbeat, Kept

SIGN = b": keep-alive\n\n"


class Hearing:
    """A client that remembers what it was sent."""

    def __init__(self) -> None:
        self.last_chunk = b""
        self.sent: list[bytes] = []
        self.heads = 0

    def nudge(self, head: Any, chunk: bytes) -> None:
        self.heads += head is not None
        self.write(chunk)

    def write(self, chunk: bytes) -> None:
        self.last_chunk = chunk
        self.sent.append(chunk)


def kept(sign: bytes = SIGN) -> tuple[Any, Hearing]:
    dialect = SimpleNamespace(keep_alive=sign, stream_type=b"text/event-stream")
    return SimpleNamespace(dialect=dialect, head_is_out=False, request_id="r-1"), Hearing()


def test_the_head_goes_out_once_before_the_first_sign() -> None:
    call, client = kept()
    one = Kept(call, client)  # type: ignore[arg-type]
    for _ in range(BEATS_A_SIGN * 3 + 2):
        one.beat()
    assert client.heads == 1
    assert call.head_is_out is True
    assert client.sent == [SIGN] * 3


@pytest.mark.parametrize(
    ("chunk", "may"), [(b"data: 1\n\n", True), (b"data: 1\r\n\r\n", True), (b"data: {", False), (b"x\n", False)]
)
def test_a_sign_stands_between_events_only(chunk: bytes, may: bool) -> None:
    call, client = kept()
    call.head_is_out = True
    one = Kept(call, client)  # type: ignore[arg-type]
    client.write(chunk)
    for _ in range(BEATS_A_SIGN * 2):
        one.beat()
    assert (SIGN in client.sent) is may
    assert client.heads == 0


def test_a_stream_that_flows_gets_none() -> None:
    call, client = kept()
    one = Kept(call, client)  # type: ignore[arg-type]
    for number in range(20):
        client.write(b"data: %d\n\n" % number)
        one.beat()
        one.beat()
    assert SIGN not in client.sent


async def test_it_beats_only_while_somebody_is_kept() -> None:
    heart = Heartbeat(0.03)
    call, client = kept()
    one = heart.keep(call, client)  # type: ignore[arg-type]
    assert one is not None
    async with asyncio.timeout(5):
        while SIGN not in client.sent:
            await asyncio.sleep(0.01)
    heart.let_go(one)
    async with asyncio.timeout(5):
        while heart.is_beating:
            await asyncio.sleep(0.01)


def test_nobody_is_kept_where_there_is_nothing_to_send() -> None:
    assert Heartbeat(0).keep(*kept()) is None  # type: ignore[arg-type]
    assert Heartbeat(15).keep(*kept(b"")) is None  # type: ignore[arg-type]
