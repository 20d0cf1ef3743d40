"""Carries the answer to the client: whole, or chunk by chunk as it comes, one write per read.

Before the first bytes are out an error is raised, and the door turns it into an HTTP status. After them it becomes the
dialect's own in-stream error and an end without an end mark: never a faked stop. The books are closed before the last bytes
leave, so whoever has the whole answer also finds its row.
"""

from collections.abc import Callable

from jackfield.core.errors import JackfieldError
from jackfield.gateway.answers import PlainAnswer, StreamAnswer
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client, Headers

JSON = (b"content-type", b"application/json")
NO_STORE = (b"cache-control", b"no-cache")
OK = "ok"
CloseBooks = Callable[[Call, str], None]
Complete = Callable[[Call, JackfieldError], None]


class Relay:
    """`complete` makes an error fit for the client."""

    def __init__(self, close_books: CloseBooks, complete: Complete) -> None:
        self._close_books = close_books
        self._complete = complete

    async def plain(self, call: Call, client: Client, answer: PlainAnswer) -> None:
        body = await answer.body(call)
        self._close_books(call, OK)
        await client.reply(call.status, [JSON, *_headers(call)], body)

    async def stream(self, call: Call, client: Client, answer: StreamAnswer) -> None:
        chunk = b""
        while not chunk and not answer.is_last:
            chunk = await answer.chunk(call)
        if answer.is_last:
            self._close_books(call, OK)
        await client.start(call.status, [(b"content-type", call.dialect.stream_type), NO_STORE, *_headers(call)])
        try:
            while not answer.is_last:
                if chunk:
                    await client.write(chunk)
                chunk = await answer.chunk(call)
        except JackfieldError as error:
            await self._break_off(call, client, error)
            return
        self._close_books(call, OK)
        await client.end(chunk)

    async def _break_off(self, call: Call, client: Client, error: JackfieldError) -> None:
        self._complete(call, error)
        self._close_books(call, error.code)
        await client.end(call.dialect.stream_error(error))


def _headers(call: Call) -> Headers:
    binding = call.binding
    assert binding is not None
    headers = [
        (b"x-request-id", call.request_id.encode()),
        (b"x-jackfield-slot", b"%d" % (call.slot_number or 0)),
        (b"x-jackfield-provider", binding.info.id.encode()),
        (b"x-jackfield-overhead-us", b"%d" % call.overhead_us()),
    ]
    if call.cost is not None:
        headers.append((b"x-jackfield-cost-msat", b"%d" % call.cost.msat))
    return headers
