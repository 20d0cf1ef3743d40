"""What the steps that answer from memory share: what a request comes down to, giving a kept answer, keeping a new one.

Knows calls and clients, not how answers are found.
"""

from collections.abc import Awaitable, Callable
from time import perf_counter

import msgspec

from jackfield.core.usage import Money
from jackfield.gateway.call import Call
from jackfield.gateway.client import Answers, Headers
from jackfield.gateway.route import Target

HEADER = b"x-jackfield-cache"
CACHED, OK = "cached", "ok"
HIT, MISS = b"hit", b"miss"
JSON = (b"content-type", b"application/json")
Serve = Callable[[Call, Answers], Awaitable[None]]
CloseBooks = Callable[[Call, str], None]


def sent(call: Call, target: Target) -> dict[str, msgspec.Raw]:
    """The fields as they would go upstream, the slot's own settings filled in."""
    fields = dict(call.fields)
    if target.binding.default_fields:
        call.dialect.fill_in(fields, target.binding.default_fields)
    return fields


def source(target: Target) -> str:
    """What really answers: the same for slots with the same source, config and model, whatever they are called."""
    info, spec = target.binding.info, target.binding.spec
    model = target.model or target.binding.model or ""
    return "\n".join((info.id, *info.hosts, model, msgspec.json.encode(spec.config, order="deterministic").decode()))


async def give(call: Call, client: Answers, body: bytes, close_books: CloseBooks, told: bytes = HIT) -> None:
    """Answers with `body`, which a client got before in just this form; `told` is what the header says."""
    call.cost = Money(0)
    close_books(call, CACHED)
    headers = [
        (b"x-request-id", call.request_id.encode()),
        (HEADER, told),
        (b"x-jackfield-cost-msat", b"0"),
        (b"x-jackfield-overhead-us", b"%d" % int((perf_counter() - call.received_at) * 1e6)),
    ]
    if call.stream:
        if not call.head_is_out:
            await client.start(200, [(b"content-type", call.dialect.stream_type), *headers])
        await client.end(body)
    else:
        await client.reply(200, [JSON, *headers], body)


class Keeping:
    """Hands an answer on to its client and calls `keep` with a copy, if in the end it was whole, good and given by `first`.

    `first` was to be asked first: what somebody else says in its place is not its answer. `room` is the longest that is
    copied, in bytes.
    """

    __slots__ = ("_call", "_client", "_first", "_keep", "_pieces", "_room")

    def __init__(self, client: Answers, call: Call, first: Target, keep: Callable[[bytes], object], room: int) -> None:
        self._client = client
        self._call = call
        self._first = first.binding
        self._keep = keep
        self._pieces: list[bytes] = []
        self._room = room

    @property
    def _is_good(self) -> bool:
        return self._call.outcome == OK and self._call.binding is self._first

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        if status == 200 and self._is_good and not self._call.dialect.is_empty(body):
            self._keep(body)
        await self._client.reply(status, _missed(headers), body)

    async def start(self, status: int, headers: Headers) -> None:
        await self._client.start(status, _missed(headers))

    async def write(self, chunk: bytes) -> None:
        self._copy(chunk)
        await self._client.write(chunk)

    async def end(self, chunk: bytes = b"") -> None:
        self._copy(chunk)
        if self._is_good and self._room >= 0:
            self._keep(b"".join(self._pieces))
        await self._client.end(chunk)

    def _copy(self, chunk: bytes) -> None:
        self._room -= len(chunk)
        if self._room >= 0:
            self._pieces.append(bytes(chunk))
        else:
            self._pieces.clear()


def _missed(headers: Headers) -> Headers:
    """An inner step may have found it all the same."""
    return headers if any(name == HEADER for name, _ in headers) else [*headers, (HEADER, MISS)]
