"""Models inside this process: the threads that play one, the way of its pieces to the event loop, and who has borrowed it.

Knows no engine and not what a piece is. An engine plays in its own threads and never in the loop; at most
`MAX_PIECES_AHEAD` pieces wait in between, so a slow reader slows the engine down instead of filling the memory.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

from jackfield.core.errors import JackfieldError, Overloaded, ServiceFailed, TimedOut

Made = TypeVar("Made")
Piece = TypeVar("Piece")
MAX_WAITING = 64
MAX_PIECES_AHEAD = 64
STOP_WITHIN_S = 5.0
_log = logging.getLogger("jackfield.providers")


class Call(Generic[Piece]):
    """One request's way between the engine's thread and the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(MAX_PIECES_AHEAD)
        self._pieces: deque[Piece] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._problem: BaseException | None = None
        self._stop = threading.Event()

    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        self._stop.set()

    def take(self, piece: Piece) -> bool:
        """In the engine's thread, for each piece; True tells the engine to stop."""
        while not self._room.acquire(timeout=0.05):
            if self.is_stopped():
                return True
        return self.is_stopped() or not self._tell(self._arrive, piece)

    def end(self, problem: BaseException | None) -> None:
        """In the engine's thread, once."""
        self._tell(self._finish, problem)

    def _tell(self, what: Callable[[Any], None], value: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(what, value)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._stop.set()
        return not self.is_stopped()

    def _arrive(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._news.set()

    def _finish(self, problem: BaseException | None) -> None:
        self._ended = True
        self._problem = self._problem or problem
        self._news.set()

    def expire(self, timeout_s: float) -> None:
        self._stop.set()
        self._finish(_too_slow(timeout_s))

    async def pieces(self) -> AsyncIterator[Piece]:
        while True:
            while self._pieces:
                self._room.release()
                yield self._pieces.popleft()
            if self._ended:
                if self._problem is not None:
                    raise self._problem
                return
            self._news.clear()
            await self._news.wait()


class ModelThreads:
    """The threads of one model. Requests beyond their `count` wait their turn; `check_room` refuses a crowd."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=f"jackfield-{name}")
        self._counting = threading.Lock()
        self.busy = 0

    def check_room(self) -> None:
        """Raises Overloaded when too many wait already."""
        if self.busy >= self._count + MAX_WAITING:
            raise Overloaded("too many requests wait for this model", retry_after_s=1.0)

    def load(self, work: Callable[[], None]) -> Future[None]:
        """What comes before any request, and counts as none."""
        return self._pool.submit(work)

    @asynccontextmanager
    async def stream(self, work: Callable[[Call[Piece]], None], timeout_s: float) -> AsyncIterator[AsyncIterator[Piece]]:
        """The pieces that `work` takes to its call. Leaving tells it to stop, and waits for that up to `STOP_WITHIN_S`.

        Raises, while iterating, TimedOut or what `work` raised.
        """
        call: Call[Piece] = Call()
        future = self._submit(_play, work, call)
        expiry = asyncio.get_running_loop().call_later(timeout_s, call.expire, timeout_s)
        try:
            yield call.pieces()
        finally:
            expiry.cancel()
            call.stop()
            if not future.cancel():
                await asyncio.wait([asyncio.wrap_future(future)], timeout=STOP_WITHIN_S)

    async def answer(self, work: Callable[[], Made], timeout_s: float) -> Made:
        """What `work` gives. Raises TimedOut or what `work` raised."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(self._submit(work))
        except TimeoutError:
            raise _too_slow(timeout_s) from None

    def _submit(self, work: Callable[..., Made], *given: Any) -> Future[Made]:
        with self._counting:
            self.busy += 1
        future = self._pool.submit(work, *given)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[Any]) -> None:
        with self._counting:
            self.busy -= 1

    def close(self) -> None:
        """Blocking: waits for running requests, which must have been stopped."""
        self._pool.shutdown(wait=True)


def _too_slow(timeout_s: float) -> TimedOut:
    return TimedOut(f"the model was not done within {timeout_s:g} s")


def _play(work: Callable[[Call[Any]], None], call: Call[Any]) -> None:
    problem: BaseException | None = None
    try:
        if not call.is_stopped():
            work(call)
    except JackfieldError as error:
        problem = error
    except Exception as error:  # noqa: BLE001 - the thread's outermost handler: whatever an engine raises must reach who waits
        _log.exception("an engine in this process failed")
        problem = ServiceFailed(f"the engine failed with {type(error).__name__}: the log tells where")
    finally:
        call.end(problem)


class Lent(Protocol):
    """An engine that many can hold. `loading` is done, or failed, once its model is in memory; `close` is blocking."""

    users: int

    @property
    def loading(self) -> Future[None]: ...

    def close(self) -> None: ...


Spec = TypeVar("Spec", bound=Hashable)
Engine = TypeVar("Engine", bound=Lent)


class Loans(Generic[Spec, Engine]):
    """Engines by what was asked for: equal specs share one, and the last who gives it back frees it."""

    def __init__(self, make: Callable[[Spec], Engine]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self.engines: dict[Spec, Engine] = {}

    async def borrow(self, spec: Spec) -> Engine:
        """The engine for `spec`, loaded now if nobody has it yet. Give it back. Raises what loading raises."""
        with self._lock:
            engine = self.engines.get(spec)
            if engine is None:
                engine = self.engines[spec] = self._make(spec)
            engine.users += 1
        try:
            await asyncio.shield(asyncio.wrap_future(engine.loading))
        except BaseException:
            await self.give_back(engine)
            raise
        return engine

    async def give_back(self, engine: Engine) -> None:
        """Frees the model when the last user gives it back."""
        with self._lock:
            engine.users -= 1
            if engine.users > 0:
                return
            self.engines = {spec: other for spec, other in self.engines.items() if other is not engine}
        await asyncio.shield(asyncio.to_thread(engine.close))
