"""One client's socket from its welcome to its end: each message done at once, each inference in a task of its own.

So a ping, a cancel or a second request never waits for an answer that is being made. Whatever ends the socket cancels all of
its requests. Knows messages and their order; sending is outbox.py's.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, assert_never

import msgspec

from jackfield.core.errors import BadRequest, JackfieldError, RateLimited
from jackfield.core.redaction import redact
from jackfield.doors.websocket.answers import Answer
from jackfield.doors.websocket.inference import Inferences
from jackfield.doors.websocket.messages import (
    TOPICS,
    Asked,
    Cancel,
    Connection,
    Failure,
    Inference,
    InferenceCancelled,
    InferenceComplete,
    InferenceError,
    InferenceResult,
    InferenceStarted,
    NotAMessage,
    Ping,
    Pong,
    RequestId,
    StatusAsked,
    StatusTold,
    Subscribe,
    Subscribed,
    Told,
    Topic,
    TopicError,
    Unsubscribe,
    Unsubscribed,
    failure,
    inference_error,
    read,
    write,
)
from jackfield.doors.websocket.outbox import Outbox
from jackfield.doors.websocket.topics import Topics, topic_named
from jackfield.gateway.client import Receive

_log = logging.getLogger("jackfield.gateway")
WENT_WRONG = 1011
FAULT = "something went wrong inside the gateway; its log says more"


class Who(msgspec.Struct, frozen=True):
    """The client as its handshake showed it. `headers` have lower-case names; `key_name` is "" where no key is asked for."""

    client_id: str
    connection_id: str
    headers: dict[bytes, bytes]
    key_name: str


class Services(msgspec.Struct, frozen=True):
    """What a session needs of the gateway. `backend_status` gives plain JSON; `now` Unix seconds."""

    inferences: Inferences
    topics: Topics
    backend_status: Callable[[], Mapping[str, Any]]
    now: Callable[[], float]


class Session:
    """`running_max` requests at once; `limits` are told to the client."""

    def __init__(self, who: Who, services: Services, outbox: Outbox, *, running_max: int, limits: Mapping[str, int]) -> None:
        self._who = who
        self._services = services
        self._outbox = outbox
        self._running_max = running_max
        self._limits = dict(limits)
        self._running: dict[RequestId, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._made_ids = count(1)

    async def run(self, receive: Receive) -> None:
        """Until the client leaves or is let go. Never raises but for a cancellation from outside."""
        self._put(self._welcome())
        loop = asyncio.get_running_loop()
        closed = loop.create_task(self._outbox.closed.wait())
        work = [loop.create_task(self._read(receive)), loop.create_task(self._outbox.run())]
        try:
            await asyncio.wait({closed, *work}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._services.topics.drop(self._outbox.put)
            self._outbox.close()
            ending = [closed, *work, *self._tasks]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
        for task in work:
            self._note_end(task)

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, OSError):  # which is how a server says that the client is gone
            _log.error("a WebSocket session failed: %s", redact(repr(error)), exc_info=error)
            self._outbox.let_go(FAULT, WENT_WRONG)

    def _welcome(self) -> Connection:
        who = self._who
        return Connection("connected", who.client_id, who.connection_id, TOPICS, self._limits, self._services.now())

    # What the client says

    async def _read(self, receive: Receive) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.receive":
                self.take(message.get("text") or message.get("bytes") or b"")
                await asyncio.sleep(0)  # many messages may have come at once: others have their turn between them

    def take(self, text: str | bytes) -> None:
        """One message of the client."""
        try:
            self._do(read(text))
        except NotAMessage as error:
            self._put(failure(error, error.about))

    def _do(self, asked: Asked) -> None:
        match asked:
            case Ping(id):
                self._put(Pong(self._services.now(), id), first=True)
            case Inference():
                self._begin(asked)
            case Cancel(request_id):
                self._cancel(request_id)
            case Subscribe(topics):
                self._subscribe(topics)
            case Unsubscribe(topics):
                self._unsubscribe(topics)
            case StatusAsked(details):
                self._tell_status(details)
            case _:
                assert_never(asked)

    def _subscribe(self, names: list[str]) -> None:
        """The acknowledgement comes before any news."""
        topics, errors = _known(names)
        self._put(Subscribed(topics, self._services.now(), errors))
        for topic in topics:
            self._services.topics.subscribe(topic, self._outbox.put)

    def _unsubscribe(self, names: list[str]) -> None:
        topics, errors = _known(names)
        for topic in topics:
            self._services.topics.unsubscribe(topic, self._outbox.put)
        self._put(Unsubscribed(topics, self._services.now(), errors))

    def _tell_status(self, details: str) -> None:
        report = dict(self._services.backend_status())
        if details == "summary":
            del report["backends"]
        self._put(StatusTold(details, report, self._services.now()))

    # Requests

    def _begin(self, asked: Inference) -> None:
        request_id = f"{self._who.client_id}_{next(self._made_ids)}" if asked.request_id is None else asked.request_id
        missing = [name for name in ("model", "inputs") if getattr(asked, name) in (None, "")]
        if missing:
            said = f"Missing required fields: {' and '.join(missing)}"
            self._put(Failure(said, "missing_fields", request_id, missing[0]))
        elif request_id in self._running:
            said = f"request_id {request_id!r} is in use by a request that still runs: choose another, or cancel it"
            self._put(Failure(said, "duplicate_request_id", request_id, "request_id"))
        elif len(self._running) >= self._running_max:
            self._put(inference_error(request_id, self._too_many()))
        else:
            self._put(InferenceStarted(request_id, asked.model or "", asked.task))
            task = asyncio.get_running_loop().create_task(self._infer(request_id, asked))
            self._running[request_id] = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _too_many(self) -> RateLimited:
        return RateLimited(
            f"{self._running_max} requests run on this connection already: wait for one to end, or open another connection",
            code="too_many_requests",
        )

    async def _infer(self, request_id: RequestId, asked: Inference) -> None:
        try:
            await self._answer(request_id, asked)
        except asyncio.CancelledError:  # also while an error waits to be told
            if self._ends(request_id):
                self._put(InferenceCancelled(request_id))

    async def _answer(self, request_id: RequestId, asked: Inference) -> None:
        answer = Answer(request_id, self._say, self._who.headers, self._who.key_name)
        try:
            await self._services.inferences.run(asked, answer)
        except JackfieldError as error:
            await self._say(inference_error(request_id, error))
        except Exception as error:  # noqa: BLE001 - the outermost handler of a request
            _log.error("a request over WebSocket failed: %s", redact(repr(error)), exc_info=True)
            await self._say(inference_error(request_id, JackfieldError(FAULT)))

    async def _say(self, told: Told) -> None:
        """Tells a part of an answer, once the client has room for it. After an answer's end its id is free again."""
        await self._outbox.put_when_read(write(told))
        if isinstance(told, InferenceComplete | InferenceResult | InferenceError):
            self._ends(told.request_id)

    def _ends(self, request_id: RequestId) -> bool:
        """Whether the client has not been told of its end yet."""
        if self._running.get(request_id) is not asyncio.current_task():
            return False
        del self._running[request_id]
        return True

    def _cancel(self, request_id: RequestId) -> None:
        task = self._running.get(request_id)
        if task is None:
            said = f"no request {request_id!r} is running here: it has ended, or never began"
            self._put(Failure(said, "unknown_request", request_id, "request_id"))
        elif not task.cancelling():
            task.cancel()

    def _put(self, told: Told, *, first: bool = False) -> None:
        self._outbox.put(write(told), first=first)


def _known(names: list[str]) -> tuple[tuple[Topic, ...], tuple[TopicError, ...]]:
    """Each topic once, and what is wrong with the names that are none."""
    topics: list[Topic] = []
    errors: list[TopicError] = []
    for name in dict.fromkeys(names):
        try:
            topics.append(topic_named(name))
        except BadRequest as error:
            errors.append(TopicError(name[:64], error.message))
    return tuple(topics), tuple(errors)
