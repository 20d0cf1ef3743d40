"""Carries the answer to the client: whole, or chunk by chunk as it comes, one write per read.

Before the first bytes are out an error is raised, and the door turns it into an HTTP status. After them it becomes the
dialect's own in-stream error and an end without an end mark: never a faked stop. The books are closed before the last bytes
leave, so whoever has the whole answer also finds its row.
"""

from collections.abc import Callable

from jackfield.core.errors import JackfieldError, Malformed
from jackfield.gateway.answers import PlainAnswer, StreamAnswer
from jackfield.gateway.call import Call
from jackfield.gateway.client import Answers, Headers

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

    async def plain(self, call: Call, client: Answers, answer: PlainAnswer, *, must_have_content: bool = False) -> None:
        """`must_have_content`: an answer that says nothing is an error, since somebody else may have more to say."""
        body = await answer.body(call)
        if must_have_content and _may_be_empty(call) and call.dialect.is_empty(body):
            raise _empty_answer()
        self._close_books(call, OK)
        await client.reply(call.status, [JSON, *_headers(call)], body)

    async def first(self, call: Call, answer: StreamAnswer) -> bytes:
        """The first bytes, as soon as there are any."""
        chunk = b""
        while not chunk and not answer.is_last:
            chunk = await answer.chunk(call)
        return chunk

    async def until_content(self, call: Call, answer: StreamAnswer) -> bytes:
        """All bytes up to the first content and with it: until then all can be taken back. Raises for an empty answer."""
        held = []
        while call.first_token_at is None and not answer.is_last:
            held.append(await answer.chunk(call))
        if call.first_token_at is None and _may_be_empty(call):
            raise _empty_answer()
        return b"".join(held)

    async def stream(self, call: Call, client: Answers, answer: StreamAnswer, chunk: bytes) -> None:
        """Sends `chunk`, which was read already, and the rest. Once the head is out no error is raised any more."""
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

    async def _break_off(self, call: Call, client: Answers, error: JackfieldError) -> None:
        call.broken = error
        self._complete(call, error)
        self._close_books(call, error.code)
        await client.end(call.dialect.stream_error(error))


def _may_be_empty(call: Call) -> bool:
    """An answer of more than one token says something; fewer, or an uncounted one, is looked at."""
    return call.usage is None or call.usage.completion_tokens <= 1


def _empty_answer() -> Malformed:
    return Malformed("the source gave an empty answer: no text, no tool call", code="empty_answer")


def _headers(call: Call) -> Headers:
    binding = call.binding
    assert binding is not None
    headers = [
        (b"x-request-id", call.request_id.encode()),
        (b"x-jackfield-slot", b"%d" % (call.slot_number or 0)),
        (b"x-jackfield-provider", binding.info.id.encode()),
        (b"x-jackfield-overhead-us", b"%d" % call.overhead_us()),
    ]
    if call.attempt:
        headers.append((b"x-jackfield-attempts", b"%d" % (call.attempt + 1)))
    if call.cost is not None:
        headers.append((b"x-jackfield-cost-msat", b"%d" % call.cost.msat))
    return headers
