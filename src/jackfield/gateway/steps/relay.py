"""Carries the answer to the client: whole, or chunk by chunk as it comes, one write per read.

Before the first bytes are out an error is raised, and the door turns it into an HTTP status. After them it becomes the
dialect's own in-stream error and an end without an end mark: never a faked stop. A stream that is to be continued raises it
all the same, for the walk to find who goes on; `break_off` follows if nobody does. The books are closed before the last bytes
leave, so whoever has the whole answer also finds its row.
"""

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from time import perf_counter

from jackfield.core.errors import JackfieldError, Malformed
from jackfield.core.redaction import mask_known, redact
from jackfield.gateway.answers import StreamAnswer
from jackfield.gateway.call import Call
from jackfield.gateway.client import STREAM_HEADERS, Answers, Headers
from jackfield.gateway.errand import Pieces
from jackfield.gateway.pace import Pacer

OK = "ok"
HOLD_S = 2.0
WARNINGS_MAX = 2000
CUT = " ..."
CloseBooks = Callable[[Call, str], None]
Complete = Callable[[Call, JackfieldError], None]


class Relay:
    """`complete` makes an error fit for the client; `pacer` says when a stream has fallen behind.

    `known_secrets` are kept out of the warnings: a source may have put one into them.
    """

    def __init__(
        self,
        close_books: CloseBooks,
        complete: Complete,
        pacer: Pacer | None = None,
        known_secrets: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._close_books = close_books
        self._complete = complete
        self._pacer = pacer or Pacer()
        self._known_secrets = known_secrets

    def has_content(self, call: Call, body: bytes) -> None:
        """Raises Malformed for a whole answer that says nothing; to be asked where somebody else may have more to say."""
        if call.errand is None and _may_be_empty(call) and call.dialect.is_empty(body):
            raise _empty_answer()

    async def reply(self, call: Call, client: Answers, body: bytes) -> None:
        self._close_books(call, OK)
        await client.reply(call.status, [(b"content-type", call.reply_type), *self._headers(call)], body)

    async def pour(self, call: Call, client: Answers, pieces: Pieces, *, tells_errors: bool) -> None:
        """Sends on what is still being made. Where its form has no place for an error, a broken one has no end either."""
        call.head_is_out = True
        await client.start(call.status, [(b"content-type", call.reply_type), *STREAM_HEADERS, *self._headers(call)])
        try:
            while chunk := await pieces.chunk():
                await client.write(chunk)
        except JackfieldError as error:
            if tells_errors:
                await self.break_off(call, client, error)
            else:
                self._break(call, error)
            return
        self._close_books(call, OK)
        await client.end()

    async def first(self, call: Call, answer: StreamAnswer) -> bytes:
        """What comes until there is content, so that a source which breaks off before it can be asked again.

        Not for longer than `HOLD_S`: its heartbeats may be what keeps a patient client from giving up.
        """
        held = []
        until = perf_counter() + HOLD_S
        with self._pacer.watch(answer):
            while call.first_token_at is None and not answer.is_last:
                held.append(await answer.chunk(call))
                if held[-1] and perf_counter() > until:
                    break
        return b"".join(held)

    async def until_content(self, call: Call, answer: StreamAnswer) -> bytes:
        """All bytes up to the first content and with it: until then all can be taken back. Raises for an empty answer.

        The rest of a broken answer may be empty: what was missing may have been its end only.
        """
        held = []
        with self._pacer.watch(answer):
            while call.first_token_at is None and not answer.is_last:
                held.append(await answer.chunk(call))
        if call.first_token_at is None and call.said is None and _may_be_empty(call):
            raise _empty_answer()
        return b"".join(held)

    async def stream(self, call: Call, client: Answers, answer: StreamAnswer, chunk: bytes) -> None:
        """Sends `chunk`, which was read already, and the rest. Once the head is out only what can be continued is raised."""
        if answer.is_last:
            self._close_books(call, OK)
        if not call.head_is_out:
            call.head_is_out = True
            head = [(b"content-type", call.dialect.stream_type), *STREAM_HEADERS, *self._headers(call)]
            await client.start(call.status, head)
        call.said = answer.said
        try:
            chunk = await self._carry(call, client, answer, chunk)
        except JackfieldError as error:
            if answer.said is not None and answer.said.can_go_on:
                raise
            await self.break_off(call, client, error)
            return
        self._close_books(call, OK)
        await client.end(chunk)

    async def _carry(self, call: Call, client: Answers, answer: StreamAnswer, chunk: bytes) -> bytes:
        """All but the last chunk, which is given back."""
        with self._pacer.watch(answer) as watch:
            while not answer.is_last:
                if chunk:
                    watch.waits = False
                    await client.write(chunk)
                    watch.waits = True
                chunk = await answer.chunk(call)
        return chunk

    async def break_off(self, call: Call, client: Answers, error: JackfieldError) -> None:
        """Tells of the error in the stream and ends it."""
        self._break(call, error)
        await client.end(call.dialect.stream_error(error))

    def _break(self, call: Call, error: JackfieldError) -> None:
        call.broken = error.without_trace()
        self._complete(call, error)
        self._close_books(call, error.code)

    def _headers(self, call: Call) -> Headers:
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
        if call.warnings:
            headers.append((b"x-jackfield-warnings", self._told(call.warnings)))
        return headers

    def _told(self, warnings: Sequence[str]) -> bytes:
        text = mask_known("; ".join(warnings)[: 2 * WARNINGS_MAX], self._known_secrets())
        return on_one_line(text)


def _may_be_empty(call: Call) -> bool:
    """An answer of more than one token says something; fewer, or an uncounted one, is looked at."""
    return not call.may_say_nothing and (call.usage is None or call.usage.completion_tokens <= 1)


def _empty_answer() -> Malformed:
    return Malformed("the source gave an empty answer: no text, no tool call", code="empty_answer")


@lru_cache(maxsize=256)
def on_one_line(text: str) -> bytes:
    """Text as a header's value: printable ASCII, at most WARNINGS_MAX bytes, no credential. Clients repeat themselves."""
    plain = redact(text).encode("ascii", "replace").decode()
    line = "".join(letter if letter.isprintable() else " " for letter in plain)
    return (line if len(line) <= WARNINGS_MAX else line[: WARNINGS_MAX - len(CUT)] + CUT).encode()
