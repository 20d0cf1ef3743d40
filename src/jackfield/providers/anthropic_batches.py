"""Message batches of the Claude API: tasks to a body, bodies to states, lines of results to outcomes. Pure.

Knows the batch object and its words; single requests and replies are the dialect's.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

import msgspec

from jackfield.core.contracts import BatchOutcome, BatchState
from jackfield.core.errors import JackfieldError, Malformed, NotAllowed
from jackfield.core.events import ChatReply
from jackfield.dialects import anthropic_messages

PATH = "messages/batches"
MAX_LINE_BYTES = 16 * 1024 * 1024
_STATES: Mapping[str, Literal["running", "cancelling", "ended"]] = {
    "in_progress": "running",
    "canceling": "cancelling",
    "ended": "ended",
}


class _Batch(msgspec.Struct):
    id: str
    processing_status: str
    request_counts: dict[str, int] = {}
    created_at: str | None = None
    expires_at: str | None = None


class _Result(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


def encode_batch(bodies: Iterable[tuple[str, bytes]]) -> bytes:
    """The body that starts a batch, from the tasks' ids and their request bodies."""
    return msgspec.json.encode({"requests": [{"custom_id": id_, "params": msgspec.Raw(body)} for id_, body in bodies]})


def decode_state(body: bytes) -> BatchState:
    """Raises Malformed."""
    try:
        batch = msgspec.json.decode(body, type=_Batch)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Malformed(f"the batch is not what it should be: {error}") from None
    state = _STATES.get(batch.processing_status)
    if state is None:
        raise Malformed(f"the batch is in a state that is not known: {batch.processing_status[:40]!r}")
    return BatchState(batch.id, state, batch.request_counts, _seconds(batch.created_at), _seconds(batch.expires_at))


def _seconds(time: str | None) -> int:
    try:
        return int(datetime.fromisoformat(time).timestamp()) if time else 0
    except ValueError:
        return 0


class OutcomeReader:
    """Lines of results to outcomes: feed bytes as they arrive, `finish` once they have ended. Raises Malformed."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._rest = b""

    def feed(self, chunk: bytes) -> list[BatchOutcome]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise Malformed(f"one line of the results is larger than {MAX_LINE_BYTES} bytes")
        return [self._outcome(line) for line in lines if line.strip()]

    def finish(self) -> list[BatchOutcome]:
        return [self._outcome(self._rest)] if self._rest.strip() else []

    def _outcome(self, line: bytes) -> BatchOutcome:
        try:
            read = msgspec.json.decode(line, type=_Line)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Malformed(f"a line of the results is not what it should be: {error}") from None
        try:
            return BatchOutcome(read.custom_id, reply=self._reply(read.result))
        except JackfieldError as error:
            return BatchOutcome(read.custom_id, error=error)

    def _reply(self, result: _Result) -> ChatReply:
        if result.type == "succeeded":
            return anthropic_messages.decode_reply(bytes(result.message), provider=self._provider)
        if result.type == "errored":
            return anthropic_messages.decode_reply(bytes(result.error), provider=self._provider)
        raise NotAllowed(f"it was not answered: the task is {result.type[:40]}", provider=self._provider)
