"""Keeps the client of a slow stream from giving up: where nothing was sent for a while, a sign of life goes out.

The sign is the door's own (an SSE comment, Anthropic's ping) and no content, so what a source does wrong before its first
content can still be taken back. It goes only between events. One slow beat for all streams; a stream that flows pays for an
entry in a set.
"""

import asyncio

from jackfield.gateway.call import Call
from jackfield.gateway.client import STREAM_HEADERS, Client

BEATS_A_SIGN = 3
EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class Kept:
    """A stream while it is asked for and carried."""

    __slots__ = ("_beats", "_call", "_client", "_seen")

    def __init__(self, call: Call, client: Client) -> None:
        self._call = call
        self._client = client
        self._seen = client.last_chunk
        self._beats = 0

    def beat(self) -> None:
        sent = self._client.last_chunk
        self._beats = self._beats + 1 if sent is self._seen else 0
        self._seen = sent
        if self._beats >= BEATS_A_SIGN and (not sent or sent.endswith(EVENT_ENDS)):
            self._beats = 0
            self._sign()

    def _sign(self) -> None:
        call = self._call
        head = None
        if not call.head_is_out:
            about = (b"content-type", call.dialect.stream_type), (b"x-request-id", call.request_id.encode())
            head = [*about, *STREAM_HEADERS]
            call.head_is_out = True
        self._client.nudge(head, call.dialect.keep_alive)
        self._seen = self._client.last_chunk


class Heartbeat:
    """One for all streams of an event loop. `interval_s` is the silence before a sign; 0 sends none."""

    def __init__(self, interval_s: float = 15.0) -> None:
        self._beat_s = interval_s / BEATS_A_SIGN
        self._kept: set[Kept] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_beating(self) -> bool:
        return self._timer is not None

    def keep(self, call: Call, client: Client) -> Kept | None:
        """`let_go` must follow for what this gives; None where there is nothing to send."""
        if not (self._beat_s and call.dialect.keep_alive):
            return None
        kept = Kept(call, client)
        self._kept.add(kept)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._beat_s, self._beat)
        return kept

    def let_go(self, kept: Kept) -> None:
        self._kept.discard(kept)

    def _beat(self) -> None:
        self._timer = None
        for kept in tuple(self._kept):
            kept.beat()
        if self._kept:
            self._timer = asyncio.get_running_loop().call_later(self._beat_s, self._beat)
