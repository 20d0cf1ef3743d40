"""Batches over OpenAI's calls: chat requests in one file, worked off within a day for less. A trait of rows that say so.

Knows the batch object and the lines of its files; a line's request and answer are the chat dialect's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from jackfield.core.contracts import Batches, BatchOutcome, BatchState, BatchTask, ListsBatches
from jackfield.core.errors import BadRequest, Conflict, JackfieldError, Malformed
from jackfield.core.events import ChatReply
from jackfield.core.requests import ChatRequest, Upload
from jackfield.dialects.multipart import encode_form
from jackfield.dialects.openai_chat import decode_error
from jackfield.providers.http_json import decoded, path_part, read_reply
from jackfield.providers.http_source import HttpSource
from jackfield.providers.openai_files import FILES_PATH, decode_file

PATH = "batches"
ENDPOINT = "/v1/chat/completions"
WINDOW = "24h"
State = Literal["running", "cancelling", "ended"]
_STATES: Mapping[str, State] = {
    "validating": "running",
    "in_progress": "running",
    "finalizing": "running",
    "cancelling": "cancelling",
    "failed": "ended",
    "completed": "ended",
    "expired": "ended",
    "cancelled": "ended",
}


class WorksOffBatches:
    _source: HttpSource
    _chat_body: Callable[[ChatRequest], Awaitable[bytes]]
    _read_chat: Callable[[bytes], ChatReply]

    async def start_batch(self, tasks: Sequence[BatchTask]) -> BatchState:
        """Uploads the requests as one file, starts a batch on it. Raises BadRequest without tasks or for an id used twice."""
        lines = encode_lines([(task.id, await self._chat_body(task.request)) for task in tasks])
        upload = Upload("batch.jsonl", lines, "application/jsonl")
        body, kind = encode_form((("purpose", "batch"), ("file", upload)))
        sent = await self._source.post(FILES_PATH, body, model=None, headers={"content-type": kind})
        file = await read_reply(self._source, sent, decode_file, "upload a batch", None)
        order = msgspec.json.encode({"input_file_id": file.id, "endpoint": ENDPOINT, "completion_window": WINDOW})
        reply = await self._source.post(PATH, order, model=None)
        return await read_reply(self._source, reply, decode_state, "start a batch", None)

    async def batch_state(self, batch_id: str) -> BatchState:
        reply = await self._source.get(
            f"{PATH}/{path_part(batch_id)}", operation="look at a batch", missing=f"batch {batch_id!r}"
        )
        return await read_reply(self._source, reply, decode_state, "look at a batch", None)

    async def cancel_batch(self, batch_id: str) -> BatchState:
        reply = await self._source.post(f"{PATH}/{path_part(batch_id)}/cancel", b"", model=None, missing=f"batch {batch_id!r}")
        return await read_reply(self._source, reply, decode_state, "cancel a batch", None)

    async def list_batches(self) -> tuple[BatchState, ...]:
        reply = await self._source.get(PATH, operation="list batches")
        return await read_reply(self._source, reply, decode_states, "list batches", None)

    async def batch_outcomes(self, batch_id: str) -> AsyncIterator[BatchOutcome]:
        """What became of each task, good ones first. Raises Conflict while it runs, BadRequest for a batch that was refused."""
        reply = await self._source.get(
            f"{PATH}/{path_part(batch_id)}", operation="look at a batch", missing=f"batch {batch_id!r}"
        )
        for file_id in await read_reply(self._source, reply, files_of_ended, "look at a batch", None):
            got = await self._source.fetch(f"{FILES_PATH}/{path_part(file_id)}/content", operation="read a batch")
            for line in (await read_reply(self._source, got, bytes, "read a batch", None)).splitlines():
                if line.strip():
                    yield self._outcome(line)

    def _outcome(self, line: bytes) -> BatchOutcome:
        told = decoded(line, _Line, "a line of the batch")
        answer = told.response
        if answer is None:
            error = told.error or _Fault()
            return BatchOutcome(told.custom_id, error=BadRequest(error.message or "it was not answered", code=error.code))
        body = bytes(answer.body)
        try:
            if answer.status_code >= 300:
                raise decode_error(answer.status_code, body, provider="")
            return BatchOutcome(told.custom_id, reply=self._read_chat(body))
        except JackfieldError as error:
            return BatchOutcome(told.custom_id, error=error)


class _Fault(msgspec.Struct):
    message: str | None = None
    code: str | None = None


class _Faults(msgspec.Struct):
    data: list[_Fault] | None = None


class _Batch(msgspec.Struct):
    id: str
    status: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    request_counts: dict[str, int] | None = None
    errors: _Faults | None = None
    created_at: int | None = None
    expires_at: int | None = None


class _Batches(msgspec.Struct):
    data: list[_Batch]


class _Answer(msgspec.Struct):
    body: msgspec.Raw
    status_code: int = 200


class _Line(msgspec.Struct):
    custom_id: str
    response: _Answer | None = None
    error: _Fault | None = None


def encode_lines(bodies: Sequence[tuple[str, bytes]]) -> bytes:
    """The file's lines, from the tasks' ids and their request bodies."""
    ids = {task_id for task_id, _ in bodies}
    if not bodies or len(ids) != len(bodies):
        raise BadRequest("a batch needs tasks, each with an id of its own", param="tasks")
    lines: list[dict[str, Any]] = [
        {"custom_id": task_id, "method": "POST", "url": ENDPOINT, "body": msgspec.Raw(body)} for task_id, body in bodies
    ]
    return b"\n".join(map(msgspec.json.encode, lines)) + b"\n"


def decode_state(body: bytes) -> BatchState:
    return _state(decoded(body, _Batch, "the batch object"))


def decode_states(body: bytes) -> tuple[BatchState, ...]:
    return tuple(map(_state, decoded(body, _Batches, "the list of batches").data))


def _state(batch: _Batch) -> BatchState:
    state = _STATES.get(batch.status)
    if state is None:
        raise Malformed(f"the batch is in a state that is not known: {batch.status[:40]!r}")
    counts = {name: count for name, count in (batch.request_counts or {}).items() if name != "total"}
    return BatchState(batch.id, state, counts, batch.created_at or 0, batch.expires_at or 0)


def files_of_ended(body: bytes) -> tuple[str, ...]:
    """The files that hold the outcomes. Raises Conflict while the batch runs, BadRequest for one that was never begun."""
    batch = decoded(body, _Batch, "the batch object")
    if _state(batch).state != "ended":
        raise Conflict(f"batch {batch.id} is still {batch.status}: ask again later")
    files = tuple(name for name in (batch.output_file_id, batch.error_file_id) if name)
    if batch.status == "failed" and not files:
        faults = [fault.message for fault in (batch.errors.data if batch.errors else None) or [] if fault.message]
        raise BadRequest(f"batch {batch.id} was refused: {'; '.join(faults) or 'no reason was given'}")
    return files


def _satisfies() -> tuple[type[Batches], type[ListsBatches]]:
    return WorksOffBatches, WorksOffBatches
