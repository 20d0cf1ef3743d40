"""Asks the requests of a batch through a gateway, some at a time, and hands the results over as they come.

Worker threads ask; the caller's thread gets the results and is the only one that writes. Stopping abandons what is under way:
it has no line, so the next run asks it again.
"""

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from jackfield.app.cli.answers import ANSWER_WITHIN_S
from jackfield.app.cli.batch_spread import Spread
from jackfield.app.cli.failures import GatewayUnreachable
from jackfield.app.cli.gateway import Gateway, error_from
from jackfield.core.errors import JackfieldError, Malformed
from jackfield.core.redaction import redact
from jackfield.dialects.batch_lines import CHAT_URL
from jackfield.gateway.batches.again import may_help, pause_s
from jackfield.gateway.batches.task_file import Task, TaskFile
from jackfield.store.result_file import Failure, Response, ResultLine

AHEAD_PER_WORKER = 2
_NULL = msgspec.Raw(b"null")


class Done(msgspec.Struct, frozen=True):
    """One request's end. `usage` as the source counted it; `cost_msat` None where nobody knows it."""

    result: ResultLine
    retries: int = 0
    usage: dict[str, Any] | None = None
    cost_msat: int | None = None


class Stopped(Exception):
    """The run was asked to end before its time."""


class Run:
    """One pass over `tasks`. Iterate `results`; `stop` may be called from a signal handler.

    `model` is asked whatever the requests name; those that name none are spread over the `default_models`.
    """

    def __init__(
        self,
        gateway: Gateway,
        file: TaskFile,
        *,
        model: str | None,
        default_models: Sequence[str],
        concurrency: int,
        retries: int,
    ) -> None:
        self._gateway = gateway
        self._file = file
        self._model = model
        self._spread = Spread(default_models)
        self._concurrency = concurrency
        self._retries = retries
        self._inbox: SimpleQueue[Done | Exception] = SimpleQueue()
        self._room = threading.Semaphore(concurrency * AHEAD_PER_WORKER)
        self._is_over = threading.Event()

    def stop(self) -> None:
        # Nothing but a put: of all queues and locks only this one may be used while a signal is handled.
        self._inbox.put(Stopped())

    def results(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Results as they come. Raises Stopped, GatewayUnreachable once no gateway is there any more, or a fault of ours."""
        waiting: SimpleQueue[Task] = SimpleQueue()
        for task in tasks:
            waiting.put(task)
        for _ in range(min(self._concurrency, len(tasks))):
            threading.Thread(target=self._work, args=(waiting,), name="jackfield-batch", daemon=True).start()
        try:
            for _ in range(len(tasks)):
                done = self._inbox.get()
                if isinstance(done, Exception):
                    yield from self._arrived()
                    raise done
                yield done
                self._room.release()
        finally:
            self._is_over.set()
            self._room.release(self._concurrency)

    def _arrived(self) -> Iterator[Done]:
        """What is here already, at the end of a run: it was paid for."""
        while not self._inbox.empty():
            done = self._inbox.get()
            if isinstance(done, Done):
                yield done

    def _work(self, waiting: SimpleQueue[Task]) -> None:
        try:
            while not self._is_over.is_set():
                task = waiting.get_nowait()
                self._room.acquire()
                done = None if self._is_over.is_set() else self._ask(task)
                if done is not None:
                    self._inbox.put(done)
        except Empty:
            return
        except Exception as error:  # noqa: BLE001 - the outermost handler of a thread: the caller gets it
            self._inbox.put(error)

    def _ask(self, task: Task) -> Done | None:
        """None when the run was over before an answer came. Raises GatewayUnreachable when nobody is there to ask."""
        tried = 0
        model: str | None = None
        while True:
            attempt = _Attempt(task.custom_id)
            try:
                body = _object(self._file.body(task)) or {}
                with self._model_for(body, model) as model:
                    attempt.ask(self._gateway, {**body, "model": model, "stream": False})
            except JackfieldError as error:
                attempt.error = error
            if attempt.error is None:
                return attempt.done(tried)
            if tried == self._retries or not may_help(attempt.error.status, attempt.retry_after_s):
                break
            if self._is_over.wait(pause_s(tried, attempt.retry_after_s)):
                return None
            tried += 1
        if isinstance(attempt.error, GatewayUnreachable) and not self._gateway.is_up():
            raise attempt.error
        return attempt.done(tried)

    @contextmanager
    def _model_for(self, body: dict[str, Any], failed: str | None) -> Iterator[str | None]:
        """Whom to ask; `failed` was asked before, and where there is a choice it is not asked again."""
        said = self._model or body.get("model")
        if said:
            yield said
            return
        with self._spread.turn(failed) as model:
            yield model


class _Attempt:
    """One try at one request: what came back."""

    def __init__(self, custom_id: str) -> None:
        self._custom_id = custom_id
        self._response: Response | None = None
        self._usage: dict[str, Any] | None = None
        self._cost_msat: int | None = None
        self.error: JackfieldError | None = None
        self.retry_after_s = 0.0

    def ask(self, gateway: Gateway, body: dict[str, Any]) -> None:
        """Raises what the gateway answers with, and Malformed for what is no answer."""
        with gateway.open("POST", CHAT_URL, body, timeout_s=ANSWER_WITHIN_S, accept="application/json") as reply:
            data = reply.body()
        said = _object(data)
        raw = _NULL if said is None else msgspec.Raw(msgspec.json.format(data, indent=-1))
        self._response = Response(reply.status, reply.headers.get("x-request-id"), raw)
        self.retry_after_s = _seconds(reply.headers.get("retry-after"))
        cost = reply.headers.get("x-jackfield-cost-msat", "")
        self._cost_msat = int(cost) if cost.isdecimal() else None
        if reply.status >= 400:
            raise error_from(reply.status, data)
        if said is None or not isinstance(said.get("choices"), list):
            raise Malformed("the answer is not a chat completion")
        usage = said.get("usage")
        self._usage = usage if isinstance(usage, dict) else None

    def done(self, retries: int) -> Done:
        error = self.error
        failure = None if error is None else Failure(error.code, redact(str(error)))
        result = ResultLine.of(self._custom_id, self._response, failure)
        return Done(result, retries, self._usage, self._cost_msat)


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        said = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _seconds(header: str | None) -> float:
    try:
        wait_s = float(header or 0)
    except ValueError:
        return 0.0
    return wait_s if math.isfinite(wait_s) and wait_s > 0 else 0.0
