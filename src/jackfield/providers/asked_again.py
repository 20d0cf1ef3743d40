"""An answer that is asked for again while its tool calls cannot be read, if nothing of it has been heard yet.

Knows events and one kind of fault; how an answer is asked for is the caller's business.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from jackfield.core.errors import ToolCallParseError
from jackfield.core.events import Event, ReasoningDelta, TextDelta, ToolCallDelta

_log = logging.getLogger("jackfield.providers")
Ask = Callable[[], AbstractAsyncContextManager[AsyncIterator[Event]]]


@asynccontextmanager
async def asked_again(ask: Ask, *, retries: int, provider: str) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of the first of `retries` + 1 answers that can be read. Entered once the first content has come.

    Raises ToolCallParseError for the last one that cannot, and while iterating for a fault after content was handed out.
    """
    async with AsyncExitStack() as stack:
        for left in range(retries, -1, -1):
            try:
                events = await stack.enter_async_context(ask())
                early = await _up_to_content(events)
            except ToolCallParseError as error:
                await stack.aclose()
                if not left:
                    error.message = f"{error.message}; it was asked {retries + 1} times" if retries else error.message
                    error.args = (error.message,)
                    raise
                _log.info("%s: a tool call could not be read, asking again", provider, extra={"provider": provider})
            else:
                yield _joined(early, events)
                return


async def _up_to_content(events: AsyncIterator[Event]) -> list[Event]:
    early: list[Event] = []
    async for event in events:
        early.append(event)
        if isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta):
            break
    return early


async def _joined(early: list[Event], events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
    for event in early:
        yield event
    async for event in events:
        yield event
