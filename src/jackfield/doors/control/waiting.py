"""Runs work for a client for only as long as the client stays to hear the result."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from jackfield.core.errors import JackfieldError

T = TypeVar("T")


async def while_client_stays(receive: Callable[[], Awaitable[Any]], work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. When the client leaves first, `work` is cancelled and a JackfieldError (499) raised, for nobody.

    Call it only after the request's body was read: from then on `receive` tells nothing but that the client left.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise JackfieldError("the client left before the answer came", status=499, code="cancelled")
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.wait({working, leaving})


async def _until_gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
