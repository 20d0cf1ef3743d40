"""Sends the request to the binding and gets hold of its answer.

Same dialect on both sides: the bytes pass through, with only what must change spliced. Else the request is decoded, the
provider plays its events, and the door's dialect encodes them. The only step that talks to providers.
"""

from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter

from jackfield.core.contracts import RawCall, RawReply
from jackfield.core.errors import NotSupported, RequestRejected, Unavailable
from jackfield.core.requests import ChatRequest
from jackfield.gateway.answers import (
    ConvertedStream,
    EncodedStream,
    FoldedPlain,
    PassedPlain,
    PassedStream,
    PlainAnswer,
    StreamAnswer,
)
from jackfield.gateway.call import Call
from jackfield.gateway.continuation import open_continuing
from jackfield.gateway.errand import ErrandAnswer
from jackfield.slots.slot import Binding

STREAM_TYPES = (b"text/event-stream", b"application/x-ndjson", b"application/ndjson", b"application/jsonl")


async def open_plain(call: Call) -> PlainAnswer:
    """The whole answer of the call's binding. Raises any JackfieldError."""
    if call.errand is not None:
        assert call.binding is not None
        call.dispatched_at = perf_counter()
        return ErrandAnswer(call.errand, call.binding)
    binding = _prepare(call)
    if _speaks(binding, call):
        return PassedPlain(await _pass_through(call, binding))
    request = call.dialect.decode_request(call.fields, call.model)
    call.dispatched_at = perf_counter()
    return FoldedPlain(binding.provider, request)


async def open_stream(call: Call) -> StreamAnswer:
    """The streamed answer of the call's binding. Raises any JackfieldError."""
    binding = _prepare(call)
    if call.continues and (request := _translated(call)) is not None:
        call.dispatched_at = perf_counter()
        can_prefill = binding.capabilities.prefill is True
        continuing = await open_continuing(call, request, binding.provider, can_prefill=can_prefill)
        call.upstream_at = perf_counter()
        return continuing
    if _speaks(binding, call):
        reply = await _pass_through(call, binding)
        return PassedStream(reply, call, binding.info.id) if _is_stream(reply.headers) else ConvertedStream(reply)
    request = call.dialect.decode_request(call.fields, call.model)
    call.dispatched_at = perf_counter()
    answer = EncodedStream(binding.provider.open(request), request.warnings)
    await answer.open()
    call.upstream_at = perf_counter()
    return answer


def _prepare(call: Call) -> Binding:
    """The call's binding, after its slot's settings have been filled in where the client said nothing."""
    binding = call.binding
    assert binding is not None
    if binding.default_fields:
        call.dialect.fill_in(call.fields, binding.default_fields)
    return binding


def _translated(call: Call) -> ChatRequest | None:
    """The request of a stream that may have to be continued; None if it can only pass through, and so end in an error."""
    try:
        return call.dialect.decode_request(call.fields, call.model)
    except NotSupported:
        call.continues = False
        return None


def _speaks(binding: Binding, call: Call) -> bool:
    if binding.pass_through is None:
        return False
    return binding.dialect == call.dialect.name or call.dialect.name in binding.info.also_speaks


async def _pass_through(call: Call, binding: Binding) -> RawReply:
    assert binding.pass_through is not None
    raw = RawCall(call.dialect.path, call.fields, call.model, call.stream)
    if call.dialect.forwarded:
        raw.headers = forwarded(call)
    call.dispatched_at = perf_counter()
    try:
        reply = await binding.pass_through.pass_through(raw)
    except (RequestRejected, Unavailable):
        _check_fields(call)
        raise
    call.upstream_at = perf_counter()
    return reply


def forwarded(call: Call) -> dict[str, str]:
    """Those of the client's headers that its dialect sends on."""
    came = call.headers
    return {name.decode(): came[name].decode("latin-1") for name in call.dialect.forwarded if name in came}


def _check_fields(call: Call) -> None:
    """After a refusal: if our own reading finds a mistake in the request, that names the field better than the source did.

    The good path never pays for this reading. Raises BadRequest.
    """
    with suppress(NotSupported):
        call.dialect.decode_request(call.fields, call.model)


def _is_stream(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return next((value.lower().startswith(STREAM_TYPES) for name, value in headers if name == b"content-type"), True)
