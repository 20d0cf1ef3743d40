"""Requests that come from inside this process, without a socket: they take every step that a client's request takes.

So limits, routing, fallbacks and the ledger hold for them too. Knows no dialect: the one that it speaks is given.
"""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import msgspec

from jackfield.core.errors import TimedOut
from jackfield.core.events import ChatReply
from jackfield.core.usage import Usage
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client, Headers
from jackfield.gateway.dialect import DoorDialect
from jackfield.gateway.errand import Errand
from jackfield.gateway.pipeline import Pipeline


class Told(msgspec.Struct, frozen=True):
    """An answer, and who gave it. `cost_msat` None is not priced; `failed` counts the attempts before it.

    `reply` is None for an errand, whose answer is `body`, in its own bytes.
    """

    body: bytes
    reply: ChatReply | None
    request_id: str
    slot: int | None
    provider: str
    model: str | None
    usage: Usage | None
    cost_msat: int | None
    failed: int


class Inside:
    """Asks the pipeline. `dialect` is any door's; `now` gives Unix seconds."""

    def __init__(
        self, pipeline: Pipeline, dialect: DoorDialect, new_request_id: Callable[[], str], now: Callable[[], float]
    ) -> None:
        self._pipeline = pipeline
        self._dialect = dialect
        self._new_request_id = new_request_id
        self._now = now

    async def ask(self, fields: Mapping[str, Any], *, key_name: str = "", errand: Errand | None = None) -> Told:
        """The whole answer to a request with these fields of the dialect, plain JSON; `model` is one of them.

        With an `errand` it is that which is done. `key_name` says whose limits count. Raises what the pipeline raises;
        cancelling it closes upstream.
        """
        call = Call(
            self._new_request_id(),
            self._dialect,
            {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()},
            model_text=str(fields["model"]),
            stream=False,
            show_usage=False,
            at=self._now(),
            received_at=perf_counter(),
        )
        call.errand = errand
        client = InnerClient(key_name)
        await self._pipeline.run(call, client)
        body = b"".join(client.pieces)
        return Told(
            body,
            None if errand is not None else self._dialect.decode_reply(body),
            call.request_id,
            call.slot_number,
            "" if call.binding is None else call.binding.info.id,
            call.model,
            call.usage,
            None if call.cost is None else call.cost.msat,
            call.attempt,
        )


class InnerClient:
    """A client in this process: never slow, never gone; whoever waits for it is simply cancelled.

    `status` and `request_id` are those of its answer, 0 and None before there is one.
    """

    method = "POST"
    path = ""
    query = b""
    is_gone = False
    is_late = False

    def __init__(self, key_name: str = "", body: bytes = b"") -> None:
        self.key_name = key_name
        self.status = 0
        self.request_id: str | None = None
        self._body = body
        self.headers: dict[bytes, bytes] = {}
        self.pieces: list[bytes] = []
        self.last_chunk = b""
        self.has_started = False
        self.has_ended = False

    async def body(self) -> bytes:
        """What it was made with: nothing, where the fields are in the call already."""
        return self._body

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        await self.start(status, headers)
        await self.end(body)

    async def start(self, status: int, headers: Headers) -> None:
        self.has_started = True
        self.status = status
        self.request_id = next((value.decode("latin-1") for name, value in headers if name == b"x-request-id"), None)

    async def write(self, chunk: bytes) -> None:
        self.pieces.append(chunk)

    async def end(self, chunk: bytes = b"") -> None:
        self.pieces.append(chunk)
        self.has_ended = True

    def nudge(self, head: Headers | None, chunk: bytes) -> None:
        """Nobody here needs a sign of life."""

    def why_cancelled(self) -> TimedOut | None:
        return None

    def close(self) -> None:
        """Nothing watches it."""


_satisfies: type[Client] = InnerClient
