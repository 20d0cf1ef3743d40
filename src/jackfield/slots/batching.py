"""Gathers requests for a provider that answers several at once, and hands each answer to whoever asked.

A provider that holds a provider. Knows queues and batches, not what a batch costs or how it is answered. Streams go their own
way: who wants an answer piece by piece is not kept waiting for others.
"""

import asyncio
import copy
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

import msgspec

from jackfield.core.contracts import CompletesBatch, Provider, ProviderInfo
from jackfield.core.errors import JackfieldError, Malformed, Overloaded, RequestRejected, SlotEmpty
from jackfield.core.events import ChatReply, Event, unfold
from jackfield.core.requests import ChatRequest

CUT_WITHIN_S = 5.0


class BatchSettings(msgspec.Struct, frozen=True):
    """A request waits up to `wait_s` for others to join it. `at_once` batches run together; `waiting_max` requests may wait.

    With one batch at a time the next one fills while this one runs.
    """

    wait_s: float = 0.004
    at_once: int = 1
    waiting_max: int = 1024


class Together(Provider, CompletesBatch, Protocol):
    """A provider that answers one by one and several at once."""


class _Member:
    """One caller's request in a batch. `due_at`, in loop seconds, is when it has waited for others long enough."""

    __slots__ = ("answer", "batch", "due_at", "request")

    def __init__(self, request: ChatRequest, due_at: float, answer: "asyncio.Future[ChatReply]") -> None:
        self.request = request
        self.due_at = due_at
        self.answer = answer
        self.batch: _Batch | None = None


class _Batch:
    """Members that are asked together. When the last of them has gone away, so does the batch."""

    __slots__ = ("members", "task", "waited_for")

    def __init__(self, members: list[_Member]) -> None:
        self.members = members
        self.waited_for = len(members)
        self.task: asyncio.Task[None] | None = None

    def leave(self) -> None:
        self.waited_for -= 1
        if self.waited_for == 0 and self.task is not None:
            self.task.cancel()


class Batching:
    """`provider`, asked for up to `size` whole answers at once. One event loop only."""

    def __init__(self, provider: Together, size: int, settings: BatchSettings | None = None) -> None:
        self._provider = provider
        self._size = size
        self._settings = settings or BatchSettings()
        self._waiting: deque[_Member] = deque()
        self._running: set[_Batch] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def info(self) -> ProviderInfo:
        return self._provider.info

    def open(self, request: ChatRequest) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        return self._provider.open(request) if request.stream else self._whole(request)

    async def aclose(self) -> None:
        """Whoever still waits is told; running batches are cut."""
        self._is_closed = True
        self._disarm()
        while self._waiting:
            _fail(self._waiting.popleft(), self._closed())
        running = [batch.task for batch in self._running if batch.task is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=CUT_WITHIN_S)
        await self._provider.aclose()

    @asynccontextmanager
    async def _whole(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        yield _each(unfold(await self.complete(request)))

    async def complete(self, request: ChatRequest) -> ChatReply:
        """The answer to one request, asked together with others. Raises Overloaded where too many wait already."""
        if self._is_closed:
            raise self._closed()
        if len(self._waiting) >= self._settings.waiting_max:
            raise Overloaded(
                f"{len(self._waiting)} requests wait for their batch already: try again soon",
                provider=self.info.id,
                code="queue_full",
                status=429,
                retry_after_s=1.0,
            )
        loop = asyncio.get_running_loop()
        member = _Member(request, loop.time() + self._settings.wait_s, loop.create_future())
        self._waiting.append(member)
        self._start()
        try:
            return await member.answer
        finally:
            self._leave(member)

    def _leave(self, member: _Member) -> None:
        if member.answer.done() and not member.answer.cancelled():
            member.answer.exception()  # known now, even to a caller that was cancelled in this very moment
        if member.batch is not None:
            member.batch.leave()
        elif member in self._waiting:
            self._waiting.remove(member)

    def _start(self) -> None:
        """Begins every batch that may begin now; a timer waits for those that are not full yet."""
        self._disarm()
        loop = asyncio.get_running_loop()
        while self._waiting and len(self._running) < self._settings.at_once:
            due_at = self._waiting[0].due_at
            if len(self._waiting) < self._size and due_at > loop.time():
                self._timer = loop.call_at(due_at, self._start)
                return
            batch = _Batch([self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))])
            for member in batch.members:
                member.batch = batch
            self._running.add(batch)
            batch.task = asyncio.create_task(self._run(batch), name="jackfield-batch")
            batch.task.add_done_callback(partial(self._ended, batch))

    async def _run(self, batch: _Batch) -> None:
        members = [member for member in batch.members if not member.answer.done()]
        if not members:  # all of them left before it began
            return
        try:
            outcomes = await self._ask([member.request for member in members])
        except Exception as error:  # noqa: BLE001 - the outermost handler of a task: its callers get it
            for member in members:
                _fail(member, error)
        else:
            for member, outcome in zip(members, outcomes, strict=True):
                _settle(member, outcome)

    def _ended(self, batch: _Batch, _: asyncio.Task[None]) -> None:
        self._running.discard(batch)
        for member in batch.members:
            _fail(member, self._closed())  # those whose batch was cut
        if not self._is_closed:
            self._start()

    async def _ask(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply | JackfieldError]:
        """An outcome for each. A refusal of them all is parted until it is known whose request was refused."""
        try:
            outcomes = await self._provider.complete_batch(requests)
        except RequestRejected as refusal:
            if len(requests) == 1:
                return [refusal]
            half = len(requests) // 2
            return [*await self._ask(requests[:half]), *await self._ask(requests[half:])]
        except JackfieldError as error:
            return [error] * len(requests)
        if len(outcomes) != len(requests):
            told = f"{len(outcomes)} answers came for a batch of {len(requests)}: none can be told from another"
            return [Malformed(told, provider=self.info.id)] * len(requests)
        return outcomes

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _closed(self) -> SlotEmpty:
        return SlotEmpty(f"{self.info.id} was unplugged while a request waited: plug it again", provider=self.info.id)


def in_batches(provider: Provider, size: int) -> Provider:
    """What to ask for answers: `provider` itself, or what gathers requests for it where it can take several."""
    if size > 1 and isinstance(provider, CompletesBatch):
        return Batching(provider, size)
    return provider


def _settle(member: _Member, outcome: ChatReply | JackfieldError) -> None:
    if isinstance(outcome, JackfieldError):
        _fail(member, outcome)
    elif not member.answer.done():
        member.answer.set_result(outcome)


def _fail(member: _Member, error: Exception) -> None:
    """Each caller gets an error of its own: what is noted in one must not show in another's."""
    if not member.answer.done():
        member.answer.set_exception(copy.copy(error) if isinstance(error, JackfieldError) else error)


async def _each(events: Sequence[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


def _satisfies() -> type[Provider]:
    """Never called: here mypy proves that the class keeps its contract."""
    return Batching
