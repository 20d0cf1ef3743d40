"""The request pipeline: the list of steps that every inference request takes, in order.

    resolve   which slot, which model            (pure)
    dispatch  send, get hold of the answer       (providers)
    relay     carry it to the client             (the client)
    settle    what it cost                       (pure)
    record    one ledger row, metrics            (journal)

settle and record are "the books": closed exactly once a call, before the last bytes of a good answer leave, or when the
call fails or is given up. Admission (keys, hosts, sizes) has happened before, in the root, for every door alike.
"""

import asyncio
from collections.abc import Callable, Collection

from jackfield.core.errors import JackfieldError
from jackfield.core.redaction import redact_error
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.steps.dispatch import open_plain, open_stream
from jackfield.gateway.steps.relay import Relay
from jackfield.gateway.steps.resolve import Resolve

Book = Callable[[Call], None]
CANCELLED = "cancelled"


class Pipeline:
    """`known_secrets` are those of this process: no error carries one to a client or into the books."""

    def __init__(
        self, resolve: Resolve, books: tuple[Book, ...], known_secrets: Callable[[], Collection[str]] = frozenset
    ) -> None:
        self.resolve = resolve
        self._books = books
        self._known_secrets = known_secrets
        self._relay = Relay(self.close_books, self.complete)

    async def run(self, call: Call, client: Client) -> None:
        """Answers the client. Raises a JackfieldError only while nothing was sent yet; CancelledError passes."""
        try:
            self.resolve(call)
            binding = call.binding
            assert binding is not None
            binding.acquire()
            try:
                await self._play(call, client)
            finally:
                binding.release()
        except JackfieldError as error:
            self.complete(call, error)
            call.status = error.status
            self.close_books(call, error.code)
            raise
        except asyncio.CancelledError:
            call.status = 499
            self.close_books(call, CANCELLED)
            raise
        finally:
            if not call.books_are_closed:  # a fault of ours, on its way to the root's handler
                call.status = JackfieldError.default_status
                self.close_books(call, JackfieldError.default_code)

    async def _play(self, call: Call, client: Client) -> None:
        if call.stream:
            stream = await open_stream(call)
            try:
                await self._relay.stream(call, client, stream)
            finally:
                await stream.aclose()
        else:
            plain = await open_plain(call)
            try:
                await self._relay.plain(call, client, plain)
            finally:
                await plain.aclose()

    def complete(self, call: Call, error: JackfieldError) -> None:
        """Makes an error fit for the client: it says where it happened, and holds no secret."""
        error.slot = call.slot_number
        error.request_id = call.request_id
        redact_error(error, self._known_secrets())

    def close_books(self, call: Call, outcome: str) -> None:
        """Idempotent: the first outcome stands."""
        if call.books_are_closed:
            return
        call.books_are_closed = True
        call.outcome = outcome
        for book in self._books:
            book(call)
