"""The request pipeline: the list of steps that every inference request takes, in order.

    resolve   which slots may answer, in which order (memory)
    around    what may hold a request or answer it by itself: limits, the cache (only where they are set)
    walk      one of them after the other, until one answers: for each
    dispatch  send, get hold of the answer       (providers)
    relay     carry it to the client             (the client)
    settle    what it cost                       (pure)
    record    one ledger row, metrics            (journal)

settle and record are "the books": closed exactly once a call, before the last bytes of a good answer leave, or when the
call fails or is given up. Admission (keys, hosts, sizes) has happened before, in the root, for every door alike.
"""

import asyncio
import random as randomness
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from time import monotonic
from typing import Protocol, cast

from jackfield.core.errors import JackfieldError, TimedOut, Upstream
from jackfield.core.redaction import redact_error
from jackfield.gateway.answers import StreamAnswer
from jackfield.gateway.attempt import Begun
from jackfield.gateway.call import Call
from jackfield.gateway.client import Answers, Client
from jackfield.gateway.errand import ErrandAnswer
from jackfield.gateway.heartbeat import Heartbeat
from jackfield.gateway.pace import Pacer, PaceSettings
from jackfield.gateway.steps.dispatch import open_plain, open_stream
from jackfield.gateway.steps.relay import Relay
from jackfield.gateway.steps.resolve import Resolve
from jackfield.gateway.steps.tell import Telling, wants_telling
from jackfield.gateway.walk import Walk, WalkSettings
from jackfield.routing.limits import Limits

Book = Callable[[Call], None]
Serve = Callable[[Call, Answers], Awaitable[None]]
Around = Callable[[Call, Answers, Serve], Awaitable[None]]
"""Holds a resolved request, answers it, or lets it go on with what it was given last."""
CANCELLED, HEDGED = "cancelled", "hedged"
GIVEN_UP_STATUS = 499


class Watcher(Protocol):
    """Told of each call when it begins and when its books are closed, once each. Must be quick, and never raise."""

    def began(self, call: Call) -> None: ...
    def ended(self, call: Call) -> None: ...


class _Playing:
    """One request's attempts. While others could answer, nothing leaves before there is content, and not for long either."""

    __slots__ = ("_client", "_pipeline")

    def __init__(self, pipeline: "Pipeline", client: Answers) -> None:
        self._pipeline = pipeline
        self._client = client

    async def begin(self, call: Call, has_others: bool) -> Begun:
        if not call.stream:
            plain = await open_plain(call)
            try:
                body = await plain.body(call)
                if has_others:
                    self._pipeline.relay.has_content(call, body)
                return plain, body
            except BaseException:
                await plain.aclose()
                raise
        if not has_others:
            return await self._begin_stream(call, has_others)
        async with self._pipeline.first_token_limit():
            return await self._begin_stream(call, has_others)

    async def _begin_stream(self, call: Call, has_others: bool) -> Begun:
        stream = await open_stream(call)
        relay = self._pipeline.relay
        try:
            return stream, await (relay.until_content if has_others else relay.first)(call, stream)
        except BaseException:
            await stream.aclose()
            raise

    async def carry(self, call: Call, begun: Begun) -> None:
        answer, held = begun
        try:
            if call.stream:
                call.answering()
                await self._pipeline.relay.stream(call, self._client, cast("StreamAnswer", answer), held)
            elif isinstance(answer, ErrandAnswer) and answer.pieces is not None:
                await self._pipeline.relay.pour(call, self._client, answer.pieces, tells_errors=answer.tells_errors)
            else:
                await self._pipeline.relay.reply(call, self._client, held)
        finally:
            await answer.aclose()


class Pipeline:
    """`known_secrets` are those of this process: no error carries one to a client or into the books.

    `watcher` is set while somebody listens to what is asked, and None otherwise. `under_way` requests are being answered.
    """

    def __init__(
        self,
        resolve: Resolve,
        books: tuple[Book, ...],
        known_secrets: Callable[[], Collection[str]] = frozenset,
        *,
        walk: WalkSettings | None = None,
        first_token_s: float = 20.0,
        pace: PaceSettings | None = None,
        sources: Limits | None = None,
        heartbeat_s: float = 15.0,
        on_hedge: Callable[[str], None] = lambda outcome: None,
        clock: Callable[[], float] = monotonic,
        random: Callable[[], float] = randomness.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.resolve = resolve
        self.watcher: Watcher | None = None
        self.under_way = 0
        self._books = books
        self._known_secrets = known_secrets
        self._first_token_s = first_token_s
        self._heartbeat = Heartbeat(heartbeat_s)
        self._walk = Walk(
            walk or WalkSettings(),
            self.close_attempt,
            self.book_hedge,
            clock=clock,
            random=random,
            sleep=sleep,
            sources=sources,
            on_hedge=on_hedge,
        )
        self.relay = Relay(self.close_books, self.complete, Pacer(pace), known_secrets)
        self._serve: Serve = self._walk_on

    def surround(self, step: Around) -> None:
        """Puts a step before the walk, and before those that were put there earlier."""
        inner = self._serve

        async def serve(call: Call, client: Answers) -> None:
            await step(call, client, inner)

        self._serve = serve

    async def run(self, call: Call, client: Client) -> None:
        """Answers the client. Raises a JackfieldError only while nothing was sent yet; CancelledError passes."""
        kept = self._heartbeat.keep(call, client) if call.stream else None
        self.under_way += 1
        try:
            call.headers, call.key_name = client.headers, client.key_name
            self.resolve(call)
            if self.watcher is not None:
                self.watcher.began(call)
            await self._serve(call, Telling(client, call, self.resolve) if wants_telling(call) else client)
        except JackfieldError as error:
            if call.head_is_out:
                await self.relay.break_off(call, client, error)
                return
            self.complete(call, error)
            call.status = error.status
            self.close_books(call, error.code)
            raise
        except asyncio.CancelledError:
            call.status = GIVEN_UP_STATUS
            self.close_books(call, CANCELLED)
            raise
        finally:
            self.under_way -= 1
            if kept is not None:
                self._heartbeat.let_go(kept)
            if not call.books_are_closed:  # a fault of ours, on its way to the root's handler
                call.status = JackfieldError.default_status
                self.close_books(call, JackfieldError.default_code)

    async def _walk_on(self, call: Call, client: Answers) -> None:
        await self._walk.run(call, _Playing(self, client))

    @asynccontextmanager
    async def first_token_limit(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._first_token_s):
                yield
        except TimeoutError:
            raise TimedOut(
                f"no content came within {self._first_token_s:g} s (routing.first_token_s)", code="first_token_timeout"
            ) from None

    def complete(self, call: Call, error: JackfieldError) -> None:
        """Makes an error fit for the client: it says where it happened, and holds no secret."""
        error.slot = call.slot_number
        if error.provider is None and call.binding is not None and isinstance(error, Upstream):
            error.provider = call.binding.info.id
        error.request_id = call.request_id
        redact_error(error, self._known_secrets())

    def close_attempt(self, call: Call, error: JackfieldError) -> None:
        """Books an attempt that failed, before the next one begins."""
        self.complete(call, error)
        call.status = error.status
        self._enter(call, error.code)
        call.status = 200
        call.attempt += 1

    def book_hedge(self, call: Call) -> None:
        """Books an attempt that was given up because another one was faster."""
        call.status = GIVEN_UP_STATUS
        self._enter(call, HEDGED)
        call.status = 200
        call.attempt += 1

    def close_books(self, call: Call, outcome: str) -> None:
        """Idempotent: the first outcome stands."""
        if call.books_are_closed:
            return
        call.books_are_closed = True
        self._enter(call, outcome)
        if self.watcher is not None:
            self.watcher.ended(call)

    def _enter(self, call: Call, outcome: str) -> None:
        call.outcome = outcome
        for book in self._books:
            book(call)
