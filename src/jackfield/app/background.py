"""Work that is done again and again beside the requests: one owned task each, ended when its block is left."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from jackfield.core.redaction import redact

logger = logging.getLogger("jackfield.app")


@contextlib.asynccontextmanager
async def every(period_s: float, work: Callable[..., object], *args: object) -> AsyncIterator[None]:
    """Runs `work(*args)` in a thread each `period_s` seconds while the block lasts. Failures are logged."""
    task = asyncio.create_task(_repeat(period_s, work, *args))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _repeat(period_s: float, work: Callable[..., object], *args: object) -> None:
    while True:
        await asyncio.sleep(period_s)
        try:
            await asyncio.to_thread(work, *args)
        except Exception as error:  # noqa: BLE001 - the outermost handler of a background loop
            logger.error("background work failed and is tried again in %.0f s: %s", period_s, redact(repr(error)))
