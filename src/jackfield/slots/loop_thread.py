"""One private event loop on one thread, for code without async. It starts when first used and ends with the process.

Knows coroutines and generators, not providers. What is made on this loop is closed on it, by `at_close`.
"""

import asyncio
import atexit
import contextlib
import logging
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from jackfield.core.errors import Conflict
from jackfield.core.redaction import redact

T = TypeVar("T")
AHEAD = 64
CLOSE_WITHIN_S = 5.0
_log = logging.getLogger("jackfield.sync")


class LoopThread:
    """`run` may be called from any thread but its own. A closed one starts anew when it is used again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closers: list[Callable[[], Awaitable[None]]] = []

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="jackfield-sync", daemon=True)
                self._thread.start()
            return self._loop

    def at_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Calls `closer` on the loop when it ends."""
        self._closers.append(closer)

    def forget(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Takes back what `at_close` was told."""
        with contextlib.suppress(ValueError):
            self._closers.remove(closer)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for `work`. An interrupt (Ctrl-C) while waiting cancels it."""
        loop = self.loop()
        if threading.current_thread() is self._thread:
            work.close()
            raise Conflict("this is called from jackfield's own loop: await the async method instead")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stream(self, make: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
        """What the async iterator yields, at most `AHEAD` items ahead of the reader. Closing the generator cancels it."""
        items: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        room = asyncio.Semaphore(AHEAD)
        loop = self.loop()

        async def pump() -> None:
            source = make()
            try:
                async for item in source:
                    await room.acquire()
                    items.put(("item", item))
            except BaseException as error:
                items.put(("error", error))
                raise
            else:
                items.put(("end", None))
            finally:
                if isinstance(source, AsyncGenerator):
                    await source.aclose()

        future = asyncio.run_coroutine_threadsafe(pump(), loop)
        try:
            while True:
                kind, item = items.get()
                if kind == "end":
                    return
                if kind == "error":
                    raise item
                loop.call_soon_threadsafe(room.release)
                yield item
        finally:
            future.cancel()

    def close(self) -> None:
        """Closes what was made on the loop, cancels what still runs and ends the thread. Idempotent."""
        with self._guard:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
            closers, self._closers = self._closers, []
        if loop is None or thread is None:
            return
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(_finish(closers), loop).result(CLOSE_WITHIN_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_WITHIN_S)
        if not thread.is_alive():
            loop.close()


async def _finish(closers: list[Callable[[], Awaitable[None]]]) -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in await asyncio.gather(*(closer() for closer in closers), return_exceptions=True):
        if isinstance(outcome, Exception):
            _log.warning("the sync loop did not close cleanly: %s", redact(str(outcome)))
    await asyncio.get_running_loop().shutdown_asyncgens()


_shared = LoopThread()
run = _shared.run
run_stream = _shared.stream
at_close = _shared.at_close
forget = _shared.forget
close = _shared.close
atexit.register(close)
