"""Answers a request from the cache where the same one was answered before, and keeps good answers for the next time.

Header and temperature decide. What is kept is the very bytes that a client got; a streamed request can be answered from a whole
answer, not the other way round. A hit asks nobody and costs nothing; the books say "cached".
"""

from collections.abc import Awaitable, Callable
from time import perf_counter

import msgspec

from jackfield.core.events import unfold
from jackfield.core.usage import Money
from jackfield.gateway.call import Call
from jackfield.gateway.client import Answers, Headers
from jackfield.gateway.route import Target
from jackfield.routing.cache import AnswerCache, CachedAnswer, answer_key, is_cacheable, wish

HEADER = b"x-jackfield-cache"
CACHED, OK = "cached", "ok"
HIT, MISS = (HEADER, b"hit"), (HEADER, b"miss")
JSON = (b"content-type", b"application/json")
Serve = Callable[[Call, Answers], Awaitable[None]]


class Remember:
    """`close_books` is the pipeline's."""

    def __init__(self, cache: AnswerCache, close_books: Callable[[Call, str], None]) -> None:
        self.cache = cache
        self._close_books = close_books

    async def __call__(self, call: Call, client: Answers, serve: Serve) -> None:
        route = call.route
        assert route is not None
        fields = _sent(call, route.first)
        if not is_cacheable(fields, wish(call.headers.get(HEADER))):
            await serve(call, client)
            return
        whole = answer_key(call.dialect.name, _source(route.first), fields, scope=call.key_name)
        streamed = whole + (b"+usage" if call.show_usage else b"+")
        if call.stream and (kept := self.cache.peek(streamed)) is not None:
            await self._stream(call, client, kept.body)
        elif (kept := self.cache.get(whole)) is None:
            keeping = Keeping(client, call, self.cache, streamed if call.stream else whole)
            await serve(call, client if call.continues else keeping)  # what two sources said together is nobody's answer
        elif call.stream:
            await self._stream(call, client, _unfolded(call, kept))
        else:
            self._book(call)
            await client.reply(200, [JSON, *_headers(call)], kept.body)

    async def _stream(self, call: Call, client: Answers, body: bytes) -> None:
        self._book(call)
        await client.start(200, [(b"content-type", call.dialect.stream_type), *_headers(call)])
        await client.end(body)

    def _book(self, call: Call) -> None:
        call.cost = Money(0)
        self._close_books(call, CACHED)


class Keeping:
    """Hands an answer on to its client and keeps a copy, if in the end it was whole and good."""

    __slots__ = ("_cache", "_call", "_client", "_key", "_pieces", "_room")

    def __init__(self, client: Answers, call: Call, cache: AnswerCache, key: bytes) -> None:
        self._client = client
        self._call = call
        self._cache = cache
        self._key = key
        self._pieces: list[bytes] = []
        self._room = cache.settings.max_answer_bytes

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        if status == 200 and self._call.outcome == OK and not self._call.dialect.is_empty(body):
            self._cache.put(self._key, body, self._call.usage)
        await self._client.reply(status, [*headers, MISS], body)

    async def start(self, status: int, headers: Headers) -> None:
        await self._client.start(status, [*headers, MISS])

    async def write(self, chunk: bytes) -> None:
        self._keep(chunk)
        await self._client.write(chunk)

    async def end(self, chunk: bytes = b"") -> None:
        self._keep(chunk)
        if self._call.outcome == OK and self._room >= 0:
            self._cache.put(self._key, b"".join(self._pieces), self._call.usage)
        await self._client.end(chunk)

    def _keep(self, chunk: bytes) -> None:
        self._room -= len(chunk)
        if self._room >= 0:
            self._pieces.append(bytes(chunk))
        else:
            self._pieces.clear()


def _sent(call: Call, target: Target) -> dict[str, msgspec.Raw]:
    """The fields as they would go upstream, the slot's own settings filled in."""
    fields = dict(call.fields)
    if target.binding.default_fields:
        call.dialect.fill_in(fields, target.binding.default_fields)
    return fields


def _source(target: Target) -> str:
    """What really answers: the same for slots with the same source, config and model, whatever they are called."""
    info, spec = target.binding.info, target.binding.spec
    model = target.model or target.binding.model or ""
    return "\n".join((info.id, *info.hosts, model, msgspec.json.encode(spec.config, order="deterministic").decode()))


def _unfolded(call: Call, kept: CachedAnswer) -> bytes:
    """A whole answer as the stream that it would have been."""
    reply = call.dialect.decode_reply(kept.body)
    encoder = call.dialect.encoder(
        call.request_id, reply.created or int(call.at), reply.model or call.model_text, call.show_usage
    )
    return b"".join((*(encoder.encode(event) for event in unfold(reply)), encoder.end()))


def _headers(call: Call) -> Headers:
    overhead_us = int((perf_counter() - call.received_at) * 1e6)
    return [
        (b"x-request-id", call.request_id.encode()),
        HIT,
        (b"x-jackfield-cost-msat", b"0"),
        (b"x-jackfield-overhead-us", b"%d" % overhead_us),
    ]
