"""The tools that ask sources: by task, by slot, and under the names that older clients know.

Every request goes through every step of the gateway: routing, limits and the ledger hold.
"""

from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, NoCapableProvider, NotFound, SlotEmpty
from jackfield.core.requests import EmbedRequest, Generation
from jackfield.doors.mcp.answering import Ctx, Facts, panel_of
from jackfield.doors.mcp.inference import answer
from jackfield.routing.tasks import task_request
from jackfield.slots.asking import asked
from jackfield.slots.invoke import checked_mode
from jackfield.slots.slot import Slot

Inputs = str | list[str | dict[str, Any]] | dict[str, Any]


async def route_inference_request(
    task: str,
    model: str,
    inputs: Inputs,
    ctx: Ctx,
    parameters: dict[str, Any] | None = None,
    backend_id: str | None = None,
    timeout: float | None = None,
) -> Facts:
    """Run an inference now and give its result: {status, task, result, model, slot, provider, usage, cost_sats, ...}.

    `task` is text-generation (`inputs` a text or a list of messages), text-embedding or text-classification (a text or a list
    of texts), or rerank ({"query": ..., "documents": [...]}). `model` is a slot (slot-0), a slot's name, provider/model,
    use-case/NAME, or a model that some slot has. `parameters` are settings such as max_tokens and temperature. `backend_id`
    leaves the choice to nobody else; `timeout` is in seconds.
    """
    if timeout is not None and not timeout > 0:
        raise BadRequest(f"timeout must be seconds above 0, got {timeout!r}", param="timeout")
    request = task_request(task, inputs, parameters=parameters)
    only = None if not backend_id else _slot_of(ctx, backend_id)
    facts = await answer(ctx, request, model, only_slot=only, timeout_s=timeout)
    result = facts.pop("output")
    if isinstance(request, EmbedRequest) and isinstance(inputs, str):
        result = result[0]
    return {"status": "ok", "task": task, "result": result, **facts, "backend_id": _answered_by(ctx, facts["slot"])}


async def invoke_slot(
    slot: int,
    ctx: Ctx,
    text: str = "",
    mode: str = "auto",
    max_tokens: int = 0,
    messages: list[dict[str, Any]] | None = None,
) -> Facts:
    """Ask one slot: {slot, name, mode, output, ...}, or for vectors {slot, name, mode, dim, embedding}.

    `mode` is auto, generate or embed; `max_tokens` 0 is the model's own limit; `messages` take the place of `text`.
    """
    seen = panel_of(ctx).registry.slot(slot)
    chosen = checked_mode(seen, text, mode=mode, max_tokens=max_tokens, messages=messages)
    if chosen == "embed":
        return await _embedded(ctx, seen, text)
    request = asked(text, {"messages": messages} if messages else {}).request
    request = msgspec.structs.replace(request, generation=Generation(max_tokens=max_tokens or None))
    return {**_head(seen, chosen), **await answer(ctx, request, seen.number.model_name)}


async def forward(text: str, ctx: Ctx, slot: int | None = None) -> Facts:
    """The older name of `invoke_slot` in mode auto; without a slot the first plugged one is asked."""
    plugged = panel_of(ctx).registry.plugged()
    if slot is None and not plugged:
        raise NoCapableProvider("nothing is plugged: plug a source into a slot first")
    return await invoke_slot(int(plugged[0].number) if slot is None else slot, ctx, text)


async def generate(prompt: str, ctx: Ctx, max_tokens: int = 256, temperature: float = 0.7) -> Facts:
    """The older name for asking the first slot that writes text: {slot, prompt, output, limits_used, ...}."""
    seen = _first(ctx, "chat", "writes text")
    request = asked(prompt, {"max_tokens": max_tokens, "temperature": temperature}).request
    facts = await answer(ctx, request, seen.number.model_name)
    return {**facts, "prompt": prompt, "limits_used": {"max_tokens": max_tokens, "temperature": temperature}}


async def embed_text(text: str, ctx: Ctx) -> Facts:
    """The older name for asking the first slot that makes vectors: {slot, name, mode, dim, embedding}."""
    if not text:
        raise BadRequest("there is nothing to embed: give text", param="text")
    return await _embedded(ctx, _first(ctx, "embed", "makes vectors"), text)


async def _embedded(ctx: Ctx, slot: Slot, text: str) -> Facts:
    facts = await answer(ctx, EmbedRequest((text,)), slot.number.model_name)
    (vector,) = facts.pop("output")
    return {**_head(slot, "embed"), **facts, "dim": len(vector), "embedding": vector}


def _head(slot: Slot, mode: str) -> Facts:
    return {"slot": int(slot.number), "name": slot.name, "mode": mode}


def _first(ctx: Ctx, role: str, does: str) -> Slot:
    for slot in panel_of(ctx).registry.plugged():
        if slot.spec is not None and slot.spec.role == role:
            return slot
    raise NoCapableProvider(f"no slot {does}: plug a source that does")


def _slot_of(ctx: Ctx, backend_id: str) -> int:
    backends = panel_of(ctx).backends
    found = backends.get_backend(backend_id)
    if found is None:
        known = ", ".join(backend.id for backend in backends.list_backends()) or "none"
        raise NotFound(f"there is no backend {backend_id!r}: known are {known}", param="backend_id")
    if found.slot is None:
        raise SlotEmpty(f"backend {backend_id} stands in no slot: plug it, then ask", param="backend_id")
    return found.slot


def _answered_by(ctx: Ctx, slot: int | None) -> str | None:
    """The backend in the slot that answered, while something is plugged there."""
    panel = panel_of(ctx)
    binding = None if slot is None else panel.registry.slot(slot).binding
    return None if binding is None else panel.backends.backend_of(binding).id


INFERENCE_TOOLS = (route_inference_request, invoke_slot, forward, generate, embed_text)
