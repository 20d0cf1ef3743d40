"""How many tokens a prompt has, for the doors whose clients ask before they send it: told by the source, else estimated.

Never asks for an answer and so spends nothing; a source that is slow, unwell or cannot count costs the client nothing but
exactness. Knows no dialect: a door says where its own is counted and how that answer is read.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

import msgspec

from jackfield.core.contracts import PassesThrough, RawCall
from jackfield.core.errors import JackfieldError, NotSupported
from jackfield.core.requests import ChatRequest
from jackfield.core.token_estimate import estimate_prompt
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.route import Target
from jackfield.gateway.steps.dispatch import forwarded
from jackfield.gateway.steps.enter import BYTES_PER_TOKEN
from jackfield.gateway.steps.resolve import Resolve

COUNT_WITHIN_S = 3.0
ESTIMATED = "estimate"
COUNTED_BY = b"x-jackfield-counted-by"
_JSON = (b"content-type", b"application/json")
NOTHING: Mapping[str, str] = {}


class Counted(msgspec.Struct, frozen=True):
    """`by` is the provider that counted, or `ESTIMATED`."""

    tokens: int
    by: str


class Place(NamedTuple):
    """Where a dialect counts, relative to the API's root, and how to read what comes."""

    path: str
    read: Callable[[bytes], int]


class TokenCount:
    """Asks the source that would be asked first, for no longer than `within_s` seconds."""

    def __init__(self, resolve: Resolve, *, within_s: float = COUNT_WITHIN_S) -> None:
        self._resolve = resolve
        self._within_s = within_s

    async def __call__(self, call: Call, place: Place | None = None) -> Counted:
        """`place`: how sources of the call's dialect count a body as it came, where they do. Raises BadRequest."""
        request = _decoded(call)
        target = self._target(call)
        if target is not None:
            with suppress(JackfieldError, TimeoutError):
                async with asyncio.timeout(self._within_s):
                    tokens = await _ask(call, target, request, place)
                if tokens is not None:
                    return Counted(tokens, target.binding.info.id)
        return Counted(estimate_prompt(request) if request is not None else _by_size(call), ESTIMATED)

    async def tell(
        self, client: Client, call: Call, field: str, place: Place | None = None, told: Mapping[str, str] = NOTHING
    ) -> None:
        """Answers with an object whose `field` is the count, and a header that says who counted. Raises BadRequest.

        `told` is what else the object says.
        """
        call.headers, call.key_name = client.headers, client.key_name
        counted = await self(call, place)
        headers = [_JSON, (b"x-request-id", call.request_id.encode()), (COUNTED_BY, counted.by.encode())]
        await client.reply(200, headers, msgspec.json.encode({**told, field: counted.tokens}))

    def _target(self, call: Call) -> Target | None:
        """None where nobody could be asked now: whether that is a mistake, the request itself will tell."""
        try:
            self._resolve(call)
        except JackfieldError:
            return None
        assert call.route is not None
        return call.route.first if call.route.first.backend.is_routable else None


def _decoded(call: Call) -> ChatRequest | None:
    """None for what only a source of the call's dialect understands."""
    try:
        return call.dialect.decode_request(call.fields, None)
    except NotSupported:
        return None


async def _ask(call: Call, target: Target, request: ChatRequest | None, place: Place | None) -> int | None:
    """What the target's source says; None if it cannot count this request. Raises any JackfieldError."""
    binding = target.binding
    binding.acquire()
    try:
        if place is not None and binding.pass_through is not None and binding.dialect == call.dialect.name:
            raw = RawCall(place.path, call.fields, target.model, stream=False, headers=forwarded(call))
            return await _pass_through(binding.pass_through, raw, place.read)
        if binding.counts_tokens is not None and request is not None:
            return await binding.counts_tokens.count_tokens(msgspec.structs.replace(request, model=target.model))
        return None
    finally:
        binding.release()


async def _pass_through(source: PassesThrough, raw: RawCall, read: Callable[[bytes], int]) -> int:
    reply = await source.pass_through(raw)
    try:
        return read(await reply.read())
    finally:
        await reply.aclose()


def _by_size(call: Call) -> int:
    """For a request that cannot be read here: everything in it."""
    return max(1, sum(memoryview(raw).nbytes for raw in call.fields.values()) // BYTES_PER_TOKEN)
