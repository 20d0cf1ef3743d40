"""Asks for tools: through every step of the gateway, or for vectors a slot itself, and tells the client that it still waits.

Knows what an answer looks like to a tool, not which tool asked.
"""

import asyncio
from collections.abc import Awaitable
from time import perf_counter
from typing import TypeVar

import msgspec

from jackfield.core.errors import TimedOut
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import MSAT_PER_SAT
from jackfield.dialects.openai_chat import encode_request
from jackfield.dialects.openai_chat_quirks import ChatQuirks
from jackfield.doors.mcp.answering import Ctx, Facts, key_name_of, panel_of

T = TypeVar("T")
TAKES_ALL = ChatQuirks(extra_fields=("*",))
"""What a request says beyond OpenAI's own list goes on to whoever answers it."""


async def answer(
    ctx: Ctx, request: ChatRequest, model: str, *, only_slot: int | None = None, timeout_s: float | None = None
) -> Facts:
    """The answer to a chat request by whoever `model` names, or only by `only_slot`, as plain facts.

    Raises what the gateway raises, TimedOut after `timeout_s` seconds.
    """
    body, warnings = encode_request(request, TAKES_ALL, model=model)
    fields = msgspec.json.decode(body)
    if only_slot is not None:
        fields["provider"] = {"only": [f"slot-{only_slot}"], "allow_fallbacks": False}
    began = perf_counter()
    told = await waited_for(ctx, panel_of(ctx).ask(fields, key_name=key_name_of(ctx)), timeout_s)
    return {
        "output": told.reply.message.text,
        "model": told.reply.model or model,
        "slot": told.slot,
        "provider": told.provider,
        "finish_reason": told.reply.finish_reason,
        "usage": None if told.usage is None else msgspec.to_builtins(told.usage),
        "cost_sats": None if told.cost_msat is None else told.cost_msat / MSAT_PER_SAT,
        "latency_ms": (perf_counter() - began) * 1000,
        "attempts": told.attempts + 1,
        "request_id": told.request_id,
        "warnings": warnings,
    }


async def vectors(ctx: Ctx, slot: int, texts: tuple[str, ...], timeout_s: float | None = None) -> list[list[float]]:
    """One vector a text, by that slot. Raises SlotEmpty, NotSupported, and what the source raises."""
    registry = panel_of(ctx).registry

    async def each() -> list[list[float]]:
        return [(await registry.invoke_slot(slot, text, mode="embed"))["embedding"] for text in texts]

    return await waited_for(ctx, each(), timeout_s)


async def waited_for(ctx: Ctx, work: Awaitable[T], timeout_s: float | None = None) -> T:
    """The result of `work`, with a progress notification now and then while it is awaited; cancelled with the call."""
    telling = asyncio.create_task(_tell(ctx), name="MCP progress")
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError:
        assert timeout_s is not None
        raise TimedOut(f"no answer within {timeout_s:g} s: raise timeout", param="timeout") from None
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _tell(ctx: Ctx) -> None:
    """Until cancelled. Nothing is sent to a client that did not ask for progress."""
    every_s = panel_of(ctx).progress_every_s
    waited_s = 0.0
    while True:
        await asyncio.sleep(every_s)
        waited_s += every_s
        await ctx.report_progress(waited_s, None, f"waiting for the answer, {waited_s:g} s")
