"""A chat answer that is asked for when its block is entered and closed when it is left, without a generator for it.

Knows when things happen, not what is asked nor what is read: a provider makes the call, http_chat.py reads the answer. It is
what `asynccontextmanager` would make of them, at a fraction of what two generators cost each request.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import msgspec

from jackfield.core.events import Event
from jackfield.core.requests import ChatRequest
from jackfield.providers.http_chat import HttpAnswer, Reading, ask
from jackfield.providers.http_source import Calls


class ChatCall(msgspec.Struct, frozen=True):
    """What is posted, how its answer is read, and what of the request is not in it."""

    path: str
    body: bytes
    reading: Reading
    model: str
    warnings: Sequence[str] = ()


class OpenedChat(AbstractAsyncContextManager[AsyncIterator[Event]]):
    """Enter it once. `written` makes the call; what it raises, and what the source refuses with, is raised on entering."""

    __slots__ = ("_answer", "_request", "_source", "_written")

    def __init__(self, source: Calls, written: Callable[[ChatRequest], Awaitable[ChatCall]], request: ChatRequest) -> None:
        self._source = source
        self._written = written
        self._request = request
        self._answer: HttpAnswer | None = None

    async def __aenter__(self) -> HttpAnswer:
        call = await self._written(self._request)
        answer = await ask(self._source, call.path, call.body, call.reading, model=call.model, warnings=call.warnings)
        self._answer = answer
        return answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._answer is not None:
            await self._answer.aclose()
