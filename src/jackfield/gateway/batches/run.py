"""One batch from its beginning to its end, or to where the gateway stops: checked, asked line by line, written out.

All that a restart needs is on the disk: its row, its file of requests, and the answers so far, a line each as they came.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.redaction import redact
from jackfield.dialects.batch_tally import tally
from jackfield.gateway.batches.asking import Asking
from jackfield.gateway.batches.task_file import Task, TaskFile
from jackfield.store.batches import BatchProblem, BatchRepository, Status, StoredBatch
from jackfield.store.files import FileShelf, new_file_id
from jackfield.store.private_file import FILE_MODE, make_private_directory
from jackfield.store.result_file import Failure, ResultFile, ResultLine

OUTPUT = "batch_output"
EXPIRED = Failure("batch_expired", "the batch expired before this was asked")
_encode = msgspec.json.Encoder().encode
_result = msgspec.json.Decoder(ResultLine).decode


class BatchRun:
    """`folder` is for answers while they come. `now` gives Unix seconds."""

    def __init__(
        self,
        batch: StoredBatch,
        shelf: FileShelf,
        records: BatchRepository,
        asking: Asking,
        folder: Path,
        *,
        max_requests: int,
        now: Callable[[], float],
    ) -> None:
        self._batch = batch
        self._shelf = shelf
        self._records = records
        self._asking = asking
        self._answers_path = folder / f"{batch.id}.jsonl"
        self._max_requests = max_requests
        self._now = now
        self._counts = (batch.completed, batch.failed)
        self._fault: JackfieldError | None = None
        self._stop = asyncio.Event()
        self._turning = asyncio.Lock()
        self._is_cancelled = batch.status == "cancelling"

    @property
    def batch(self) -> StoredBatch:
        """How it stands now."""
        completed, failed = self._counts
        return msgspec.structs.replace(self._batch, completed=completed, failed=failed)

    async def run(self) -> None:
        """Until it is over. Only a cancellation passes, which leaves it to be gone on with; and a database that refuses."""
        try:
            await self._through()
        except JackfieldError as error:
            await self.fail(BatchProblem(error.code, redact(str(error))))

    async def cancel(self) -> None:
        """Asks nothing more, and gives up what is being asked; its answers so far are kept."""
        async with self._turning:
            if self._batch.status in ("validating", "in_progress"):
                self._is_cancelled = True
                self._stop.set()
                await self._save("cancelling", {})

    async def fail(self, *problems: BatchProblem) -> None:
        await self._turn("failed", problems=problems)
        self._answers_path.unlink(missing_ok=True)

    async def _through(self) -> None:
        file = await self._requests()
        if isinstance(file, tuple):
            await (self._turn("cancelled") if self._is_cancelled else self.fail(*file))
            return
        with file:
            make_private_directory(self._answers_path.parent)
            names = dict.fromkeys(task.custom_id for task in file.tasks)
            with await asyncio.to_thread(ResultFile.open, self._answers_path, names, FILE_MODE) as answers:
                self._counts = answers.counts()
                if self._batch.status == "validating" and not self._is_cancelled:
                    await self._turn("in_progress", total=len(names))
                left = [task for task in file.tasks if not answers.has(task.custom_id)]
                if left and not self._is_cancelled:
                    await self._ask(file, left, answers)
                await self._write_out(list(names), answers)
        self._answers_path.unlink(missing_ok=True)

    async def _requests(self) -> TaskFile | tuple[BatchProblem, ...]:
        """The checked file, or what is wrong with it."""
        batch = self._batch
        stored = await asyncio.to_thread(self._shelf.get, batch.key_name, batch.input_file_id)
        if stored is None:
            return (BatchProblem("file_not_found", f"{batch.input_file_id} is not here any more", param="input_file_id"),)
        path, most = self._shelf.path(stored), self._max_requests
        file = await asyncio.to_thread(TaskFile.read, path, batch.endpoint, bare=False, most=most)
        if file.problems or not file.tasks:
            with file:
                found = [BatchProblem(each.code, each.message, each.line, each.param) for each in file.problems]
                return tuple(found) or (BatchProblem("empty_file", "the file has no requests", param="input_file_id"),)
        return file

    async def _ask(self, file: TaskFile, left: list[Task], answers: ResultFile) -> None:
        """Asks what is left until all of it is answered, the batch expires or is stopped."""
        waiting = iter(left)
        workers = [
            asyncio.create_task(self._work(waiting, file, answers)) for _ in range(min(self._asking.gate.most, len(left)))
        ]
        asked = asyncio.gather(*workers)
        stopped = asyncio.create_task(self._stop.wait())
        left_s = max(0.0, self._batch.expires_at - self._now())
        try:
            await asyncio.wait((asked, stopped), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopped, *workers):
                task.cancel()
            await asyncio.gather(stopped, *workers, return_exceptions=True)
            with suppress(asyncio.CancelledError):
                await asked

    async def _work(self, waiting: Iterator[Task], file: TaskFile, answers: ResultFile) -> None:
        batch = self._batch
        try:
            for task in waiting:
                try:
                    body = file.body(task)
                except BadRequest as error:
                    answers.append(ResultLine.of(task.custom_id, None, Failure(error.code, error.message)))
                else:
                    answers.append(await self._asking.answer(batch.endpoint, batch.key_name, task.custom_id, body))
                self._counts = answers.counts()
        except JackfieldError as error:  # the disk: nothing more can be kept, so nothing more is asked
            self._fault = error
            self._stop.set()

    async def _write_out(self, names: list[str], answers: ResultFile) -> None:
        """Makes the files of answers. Their ids are saved first: should this be cut off, it is done over, not twice."""
        end = self._how_it_ended(len(names))
        output, errors = self._batch.output_file_id or new_file_id(), self._batch.error_file_id or new_file_id()
        meanwhile: Status = "finalizing" if end == "completed" else self._batch.status
        await self._turn(meanwhile, output_file_id=output, error_file_id=errors)
        completed, failed = self._counts
        told = await asyncio.to_thread(lambda: tally(answers.lines(names, are_good=True)))
        missing = [name for name in names if not answers.has(name)] if end == "expired" else []
        if completed:
            await self._put(output, "output", answers.lines(names, are_good=True))
        if failed or missing:
            await self._put(errors, "error", _errors(answers.lines(names, are_good=False), missing))
            self._counts = completed, failed + len(missing)
        fault = self._fault
        await self._turn(
            end,
            output_file_id=output if completed else None,
            error_file_id=errors if failed or missing else None,
            usage=told.usage,
            model=told.model,
            problems=() if fault is None else (BatchProblem(fault.code, redact(str(fault))),),
        )

    def _how_it_ended(self, asked: int) -> Status:
        if self._fault is not None:
            return "failed"
        if self._is_cancelled:
            return "cancelled"
        return "completed" if sum(self._counts) == asked else "expired"

    async def _put(self, id_: str, what: str, lines: Iterator[bytes]) -> None:
        batch = self._batch
        name = f"{batch.id}_{what}.jsonl"
        await asyncio.to_thread(self._shelf.put, id_, batch.key_name, name, OUTPUT, lines, batch.output_ttl_s)

    async def _turn(self, status: Status, **changes: Any) -> None:
        """Saved before it is told."""
        async with self._turning:
            if not (status == "in_progress" and self._is_cancelled):
                await self._save(status, changes)

    async def _save(self, status: Status, changes: dict[str, Any]) -> None:
        at = f"{status}_at"
        if at in StoredBatch.__struct_fields__ and getattr(self._batch, at) is None:
            changes[at] = int(self._now())
        completed, failed = self._counts
        fresh = msgspec.structs.replace(self._batch, status=status, completed=completed, failed=failed, **changes)
        await asyncio.to_thread(self._records.save, fresh)
        self._batch = fresh


def _errors(failed: Iterator[bytes], missing: list[str]) -> Iterator[bytes]:
    """As OpenAI writes them: what came with a status stands in `response`, what came with none in `error`."""
    for line in failed:
        result = _result(line)
        yield _encode(result if result.response is None else msgspec.structs.replace(result, error=None)) + b"\n"
    for name in missing:
        yield _encode(ResultLine.of(name, None, EXPIRED)) + b"\n"
