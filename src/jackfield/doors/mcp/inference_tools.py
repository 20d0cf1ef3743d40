"""The tools that ask sources: by task, by slot, and under the names that older clients know.

Text goes through every step of the gateway: routing, limits and the ledger hold. Vectors are asked of the slot itself.
"""

from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, NoCapableProvider, NotFound, NotSupported, SlotEmpty
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation
from jackfield.doors.mcp.answering import Ctx, Facts, panel_of
from jackfield.doors.mcp.inference import answer, vectors
from jackfield.routing.backends import Backend
from jackfield.routing.tasks import task_request
from jackfield.slots.asking import asked
from jackfield.slots.invoke import checked_mode
from jackfield.slots.slot import Slot

HERE = ("text-generation", "text-embedding")


async def route_inference_request(
    task: str,
    model: str,
    inputs: Any,
    ctx: Ctx,
    parameters: dict[str, Any] | None = None,
    backend_id: str | None = None,
    timeout: float | None = None,
) -> Facts:
    """Run an inference now and give its result: {status, task, result, model, slot, provider, usage, cost_sats, ...}.

    `task` is text-generation (`inputs` a text or a list of messages) or text-embedding (a text or a list of texts). `model` is
    a slot (slot-0), a slot's name, provider/model, use-case/NAME, or a model that some slot has. `parameters` are generation
    settings such as max_tokens and temperature. `backend_id` leaves the choice to nobody else; `timeout` is in seconds.
    """
    if timeout is not None and not timeout > 0:
        raise BadRequest(f"timeout must be seconds above 0, got {timeout!r}", param="timeout")
    request = task_request(task, inputs, parameters=parameters)
    backend = None if not backend_id else _backend(ctx, backend_id)
    if isinstance(request, ChatRequest):
        only = None if backend is None else backend.slot
        facts = await answer(ctx, request, model, only_slot=only, timeout_s=timeout)
        return {"status": "ok", "task": task, "result": facts.pop("output"), **facts, "backend_id": _answered_by(ctx, facts)}
    if isinstance(request, EmbedRequest):
        chosen = backend or _embedder(ctx, model)
        assert chosen.slot is not None
        made = await vectors(ctx, chosen.slot, tuple(map(str, request.inputs)), timeout)
        return {
            "status": "ok",
            "task": task,
            "result": made[0] if isinstance(inputs, str) else made,
            "dim": len(made[0]),
            "model": chosen.model,
            "slot": chosen.slot,
            "provider": chosen.provider,
            "backend_id": chosen.id,
        }
    raise NotSupported(f"{task} cannot be run by this tool: it runs {' and '.join(HERE)}", param="task")


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
    vector = (await vectors(ctx, int(slot.number), (text,)))[0]
    return {**_head(slot, "embed"), "dim": len(vector), "embedding": vector}


def _head(slot: Slot, mode: str) -> Facts:
    return {"slot": int(slot.number), "name": slot.name, "mode": mode}


def _first(ctx: Ctx, role: str, does: str) -> Slot:
    for slot in panel_of(ctx).registry.plugged():
        if slot.spec is not None and slot.spec.role == role:
            return slot
    raise NoCapableProvider(f"no slot {does}: plug a source that does")


def _backend(ctx: Ctx, backend_id: str) -> Backend:
    backends = panel_of(ctx).backends
    found = backends.get_backend(backend_id)
    if found is None:
        known = ", ".join(backend.id for backend in backends.list_backends()) or "none"
        raise NotFound(f"there is no backend {backend_id!r}: known are {known}", param="backend_id")
    if found.slot is None:
        raise SlotEmpty(f"backend {backend_id} stands in no slot: plug it, then ask", param="backend_id")
    return found


def _embedder(ctx: Ctx, model: str) -> Backend:
    """Who makes vectors under that name: a slot by its number or name, else whom the policy chooses for the model."""
    panel = panel_of(ctx)
    named = next((slot for slot in panel.registry.plugged() if model in (slot.number.model_name, slot.name)), None)
    if named is not None and named.binding is not None:
        return panel.backends.backend_of(named.binding)
    chosen = panel.backends.select_backend_for_task("text-embedding", model)
    if chosen is None or chosen.slot is None:
        raise NoCapableProvider(f"no slot makes vectors with the model {model!r}: plug one that does", param="model")
    return chosen


def _answered_by(ctx: Ctx, facts: Facts) -> str | None:
    """The backend in the slot that answered, while it is still plugged there."""
    panel = panel_of(ctx)
    binding = None if facts["slot"] is None else panel.registry.slot(facts["slot"]).binding
    return None if binding is None else panel.backends.backend_of(binding).id


INFERENCE_TOOLS = (route_inference_request, invoke_slot, forward, generate, embed_text)
