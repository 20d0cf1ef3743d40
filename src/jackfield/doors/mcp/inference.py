"""Asks for tools, through every step of the gateway, and tells the client meanwhile that it still waits.

Knows what an answer looks like to a tool, not which tool asked.
"""

import asyncio
from collections.abc import Awaitable
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

import msgspec

from jackfield.core.contracts import Embeds, Moderates, Reranks
from jackfield.core.errors import TimedOut
from jackfield.core.requests import ChatRequest, EmbedRequest, RerankRequest
from jackfield.core.usage import MSAT_PER_SAT
from jackfield.dialects.openai_chat import encode_request
from jackfield.dialects.openai_chat_quirks import ChatQuirks
from jackfield.doors.mcp.answering import Ctx, Facts, key_name_of, panel_of
from jackfield.gateway.errand import Done, Errand
from jackfield.gateway.inside import Told
from jackfield.routing.tasks import TaskRequest

T = TypeVar("T")
TAKES_ALL = ChatQuirks(extra_fields=("*",))
"""What a request says beyond OpenAI's own list goes on to whoever answers it."""


async def answer(
    ctx: Ctx, request: TaskRequest, model: str, *, only_slot: int | None = None, timeout_s: float | None = None
) -> Facts:
    """The answer by whoever `model` names, or only by `only_slot`: what was said under "output", and who said it.

    Raises what the gateway raises, TimedOut after `timeout_s` seconds.
    """
    errand, warnings = None, list[str]()
    fields: dict[str, Any] = {"model": model}
    if isinstance(request, ChatRequest):
        body, warnings = encode_request(request, TAKES_ALL, model=model)
        fields = msgspec.json.decode(body)
    else:
        errand = _errand(request)
    if only_slot is not None:
        fields["provider"] = {"only": [f"slot-{only_slot}"], "allow_fallbacks": False}
    began = perf_counter()
    told = await waited_for(ctx, panel_of(ctx).ask(fields, key_name=key_name_of(ctx), errand=errand), timeout_s)
    return {
        **_said(told, request),
        "slot": told.slot,
        "provider": told.provider,
        "usage": None if told.usage is None else msgspec.to_builtins(told.usage),
        "cost_sats": None if told.cost_msat is None else told.cost_msat / MSAT_PER_SAT,
        "latency_ms": (perf_counter() - began) * 1000,
        "attempts": told.failed + 1,
        "request_id": told.request_id,
        "warnings": warnings,
    }


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


def _said(told: Told, request: TaskRequest) -> Facts:
    if told.reply is not None:
        reply = told.reply
        return {"output": reply.message.text, "model": reply.model or told.model, "finish_reason": reply.finish_reason}
    said = msgspec.json.decode(told.body)
    output = said["vectors"] if isinstance(request, EmbedRequest) else said["results"]
    return {"output": output, "model": told.model}


def _errand(request: TaskRequest) -> Errand:
    if isinstance(request, EmbedRequest):
        return Errand("embeddings", Embeds, partial(_done, "embed", request))
    if isinstance(request, RerankRequest):
        return Errand("rankings", Reranks, partial(_done, "rerank", request))
    return Errand("moderation", Moderates, partial(_done, "moderate", request))


async def _done(call: str, request: TaskRequest, provider: Any, model: str | None) -> Done:
    reply = await getattr(provider, call)(msgspec.structs.replace(request, model=model))
    return Done(msgspec.json.encode(reply), getattr(reply, "usage", None), reply.model)
