"""All batches of this gateway: taken in, a few worked on at a time, and gone on with after a restart.

Whose turn it is goes by keys: the one with the fewest at work first. Knows no dialect; doors give the handlers and the words.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, JackfieldError, NotFound, RateLimited
from jackfield.core.redaction import redact
from jackfield.gateway.batches.asking import Asking
from jackfield.gateway.batches.line_gate import LineGate
from jackfield.gateway.batches.run import BatchRun
from jackfield.gateway.door import Handler
from jackfield.store.batches import BatchProblem, BatchRepository, StoredBatch
from jackfield.store.files import FileShelf

logger = logging.getLogger("jackfield.gateway")
AT_WORK_MAX = 4
INPUT = "batch"
KEY_GONE = BatchProblem("key_removed", "the key that asked for this batch is no longer one of this gateway's")


class BatchBounds(msgspec.Struct, frozen=True):
    """`concurrency` lines of all batches are asked at once; `patience_s` is the longest try of one."""

    concurrency: int
    retries: int
    max_requests: int
    max_unfinished: int
    patience_s: float


class BatchOrder(msgspec.Struct, frozen=True):
    """What a client wants of a batch."""

    endpoint: str
    input_file_id: str
    completion_window: str
    window_s: int
    metadata: dict[str, str] | None = None
    output_ttl_s: int | None = None


class BatchEngine:
    """`under_way` counts all requests that are being answered, lines of batches too; `now` gives Unix seconds.

    Close it: what runs then goes on later.
    """

    def __init__(
        self,
        shelf: FileShelf,
        records: BatchRepository,
        folder: Path,
        bounds: BatchBounds,
        under_way: Callable[[], int],
        now: Callable[[], float],
    ) -> None:
        self.shelf = shelf
        self._records = records
        self._folder = folder
        self._bounds = bounds
        self._gate = LineGate(bounds.concurrency, under_way)
        self._now = now
        self._asking: Asking | None = None
        self._coming = 0
        self._waiting: list[BatchRun] = []
        self._at_work: dict[str, BatchRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The paths that a batch can ask."""
        return () if self._asking is None else tuple(self._asking.handlers)

    def answer_by(self, handlers: Mapping[str, Handler], encode_error: Callable[[JackfieldError], bytes]) -> None:
        """Who answers the lines: a door's handlers by path, and how it writes errors."""
        bounds = self._bounds
        self._asking = Asking(handlers, encode_error, self._gate, retries=bounds.retries, patience_s=bounds.patience_s)

    def start(self, key_names: Collection[str]) -> None:
        """Goes on with what was not over when an earlier process ended. Call it once the sources are plugged.

        `key_names` are those of the gateway's keys now: a key that was taken away spends nothing more.
        """
        self._own(self._resume(key_names))

    async def create(self, key_name: str, order: BatchOrder) -> StoredBatch:
        """Raises BadRequest naming the field, and RateLimited where too many are not over yet."""
        stored = await asyncio.to_thread(self.shelf.get, key_name, order.input_file_id)
        if stored is None:
            raise BadRequest(
                f"there is no file {order.input_file_id[:80]!r}: upload it with POST /v1/files", param="input_file_id"
            )
        if stored.purpose != INPUT:
            raise BadRequest(f"{stored.id} has the purpose {stored.purpose}, not {INPUT}", param="input_file_id")
        if self._coming + len(self._waiting) + len(self._at_work) >= self._bounds.max_unfinished:
            raise RateLimited(
                f"{self._bounds.max_unfinished} batches are not over yet (batches.max_unfinished): wait for one, or cancel it",
                code="too_many_batches",
            )
        created_at = int(self._now())
        batch = StoredBatch(
            id=f"batch_{secrets.token_hex(16)}",
            key_name=key_name,
            endpoint=order.endpoint,
            input_file_id=stored.id,
            completion_window=order.completion_window,
            created_at=created_at,
            expires_at=created_at + order.window_s,
            metadata=order.metadata,
            output_ttl_s=order.output_ttl_s,
        )
        self._coming += 1  # at once: others may ask before this one is on the disk
        await asyncio.shield(self._own(self._add(batch)))
        return batch

    async def of_key(self, key_name: str) -> list[StoredBatch]:
        """Oldest first."""
        stored = await asyncio.to_thread(self._records.of_key, key_name)
        return [self._as_it_stands(batch) for batch in stored]

    async def get(self, key_name: str, id_: str) -> StoredBatch:
        """Raises NotFound."""
        stored = await asyncio.to_thread(self._records.get, key_name, id_)
        if stored is None:
            raise NotFound(f"there is no batch {id_[:80]!r}", code="batch_not_found", param="batch_id")
        return self._as_it_stands(stored)

    async def cancel(self, key_name: str, id_: str) -> StoredBatch:
        """Raises NotFound, and BadRequest for one that is over."""
        batch = await self.get(key_name, id_)
        run = self._run_of(id_)
        if run is None or batch.status not in ("validating", "in_progress", "cancelling"):
            raise BadRequest(f"{id_} is {batch.status}: there is nothing to cancel", param="batch_id")
        await asyncio.shield(self._own(run.cancel()))
        if run in self._waiting:
            self._begin(run)  # there is nothing to wait for: all that is left to do is to say so
        return run.batch

    async def aclose(self) -> None:
        """Gives up what is being asked; all of it is gone on with by the next process."""
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _resume(self, key_names: Collection[str]) -> None:
        try:
            await asyncio.to_thread(self.shelf.sweep)
            found = await asyncio.to_thread(self._records.open_ones)
            left = [batch for batch in found if batch.key_name in key_names]
            for batch in found:
                if batch.key_name not in key_names:
                    await self._run_for(batch).fail(KEY_GONE)
        except JackfieldError as error:
            logger.error("unfinished batches are left alone: %s", redact(str(error)))
            return
        known = {run.batch.id for run in (*self._waiting, *self._at_work.values())}
        self._tidy(known.union(batch.id for batch in left))
        self._waiting += [self._run_for(batch) for batch in left if batch.id not in known]
        self._begin_more()

    def _tidy(self, open_ids: set[str]) -> None:
        """Removes the answers of batches that are over: a crash may have left them."""
        for answers in self._folder.glob("batch_*.jsonl"):
            if answers.stem not in open_ids:
                answers.unlink(missing_ok=True)

    async def _add(self, batch: StoredBatch) -> None:
        try:
            await asyncio.to_thread(self._records.save, batch)
        finally:
            self._coming -= 1
        self._waiting.append(self._run_for(batch))
        self._begin_more()

    def _run_for(self, batch: StoredBatch) -> BatchRun:
        assert self._asking is not None
        most = self._bounds.max_requests
        return BatchRun(batch, self.shelf, self._records, self._asking, self._folder, max_requests=most, now=self._now)

    def _begin_more(self) -> None:
        while self._waiting and len(self._at_work) < AT_WORK_MAX:
            busy = Counter(run.batch.key_name for run in self._at_work.values())
            run = min(self._waiting, key=lambda run: busy[run.batch.key_name])
            self._begin(run)

    def _begin(self, run: BatchRun) -> None:
        self._waiting.remove(run)
        self._at_work[run.batch.id] = run
        self._own(self._work(run))

    async def _work(self, run: BatchRun) -> None:
        try:
            await run.run()
        except JackfieldError as error:
            logger.error("batch %s stands still until the next start: %s", run.batch.id, redact(str(error)))
        except Exception as error:
            logger.error("batch %s failed: %s", run.batch.id, redact(repr(error)), exc_info=True)
            await run.fail(BatchProblem("internal_error", "something went wrong inside the gateway; its log says more"))
        finally:
            del self._at_work[run.batch.id]
            self._begin_more()

    def _as_it_stands(self, stored: StoredBatch) -> StoredBatch:
        run = self._run_of(stored.id)
        return stored if run is None else run.batch

    def _run_of(self, id_: str) -> BatchRun | None:
        return self._at_work.get(id_) or next((run for run in self._waiting if run.batch.id == id_), None)

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
