"""The tools of slots: look at them, plug, unplug, copy, move, name, keep and put back.

Knows the shape of arguments and answers; what an operation does is slots/registry.py's.
"""

from typing import Annotated

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver.resolve import Resolve

from jackfield.doors.mcp.answering import Ctx, Facts, panel_of
from jackfield.doors.mcp.consent import Consent, is_given, model_consent, provider_consent
from jackfield.doors.mcp.given import config_of
from jackfield.doors.mcp.panel import McpPanel
from jackfield.gateway.masking import masked_config
from jackfield.slots.describe import source_of

ACTOR = "mcp"


async def list_slots(ctx: Ctx) -> Facts:
    """All slots, empty ones too: {slots: [{index, name, plugged, model_source, provider, model, ...}], total, plugged}."""
    return panel_of(ctx).registry.list_slots()


async def slot_info(slot: int, ctx: Ctx) -> Facts:
    """All that is known of one slot: its source, model, settings, capabilities and counts."""
    return shown_slot(panel_of(ctx), slot)


async def plug_provider(
    slot: int,
    provider_id: str,
    ctx: Ctx,
    consent: Annotated[ElicitationResult[Consent], Resolve(provider_consent)],
    config: str = "{}",
) -> Facts:
    """Plug a provider into a slot, in place of what is there; what runs there finishes first.

    `config` is the provider's settings as JSON text; "{}" takes those saved for it. Keys are best given as references such as
    env:GROQ_API_KEY; a literal one is put into the secret store and never shown again. Examples, provider_id and config:
    local {"model": "qwen3-0.6b.gguf"}; openai-compat {"base_url": "http://127.0.0.1:8000/v1", "model": "llama3"};
    litellm {"model": "groq/llama-3.3-70b-versatile", "api_key": "env:GROQ_API_KEY"};
    akash-ml {"model": "meta-llama/Llama-3.3-70B-Instruct", "api_key": "env:AKASHML_API_KEY"}.
    A provider that sends prompts off this machine needs a person's consent, who is asked where the client can ask.
    """
    registry = panel_of(ctx).registry
    await registry.plug(slot, provider_id, config_of(config), consent=is_given(consent), actor=ACTOR)
    return {"status": "ok", **shown_slot(panel_of(ctx), slot)}


async def plug_model(
    model_id: str,
    ctx: Ctx,
    consent: Annotated[ElicitationResult[Consent], Resolve(model_consent)],
    slot_name: str | None = None,
) -> Facts:
    """Plug a model of this machine into the first empty slot; an http(s) address plugs the OpenAI-compatible server there.

    Gives {status, slot, model, type, limits}.
    """
    return await panel_of(ctx).registry.plug_model(model_id, slot_name, consent=is_given(consent), actor=ACTOR)


async def unplug_slot(slot: int, ctx: Ctx) -> Facts:
    """Empty a slot; what runs there finishes. Gives {status, unplugged, was}."""
    return await panel_of(ctx).registry.unplug_slot(slot, actor=ACTOR)


async def rename_slot(slot: int, new_name: str, ctx: Ctx) -> Facts:
    """Name a slot; clients may use the name as a model. Gives {status, slot, old, new}."""
    registry = panel_of(ctx).registry
    old = registry.slot(slot).name
    await registry.rename_slot(slot, new_name, actor=ACTOR)
    return {"status": "ok", "slot": slot, "old": old, "new": registry.slot(slot).name}


async def clone_slot(slot: int, ctx: Ctx, count: int = 1) -> Facts:
    """Copy a slot into the next empty ones, each copy with a source of its own. Gives {status, source, cloned, clone_slots}."""
    clones = await panel_of(ctx).registry.clone_slot(slot, count, actor=ACTOR)
    return {"status": "ok", "source": slot, "cloned": len(clones), "clone_slots": clones}


async def mutate_slot(slot: int, ctx: Ctx, rate: float = 0.1, scale: float = 0.05, seed: int | None = None) -> Facts:
    """Change a share `rate` of a slot's generation settings by a little noise. Gives {status, slot, mutated_params, target}."""
    changed = await panel_of(ctx).registry.mutate_slot(slot, rate, scale, seed, actor=ACTOR)
    return {"status": "ok", "slot": slot, "mutated_params": changed, "target": "generation settings"}


async def swap_slots(slot_a: int, slot_b: int, ctx: Ctx) -> Facts:
    """Exchange two slots, names and counts with them. Gives {status, swapped}."""
    await panel_of(ctx).registry.swap_slots(slot_a, slot_b, actor=ACTOR)
    return {"status": "ok", "swapped": [slot_a, slot_b]}


async def grab_slot(slot: int, ctx: Ctx) -> Facts:
    """Keep what a slot holds, and its name, under a key, beyond unplugging and restarts. Gives {status, key, source}."""
    registry = panel_of(ctx).registry
    source = source_of(registry.slot(slot).spec)
    return {"status": "ok", "key": await registry.grab_slot(slot), "source": source}


async def restore_slot(key: str, ctx: Ctx, slot: int | None = None) -> Facts:
    """Plug what was kept under `key` into a slot, or into the first empty one. Gives {status, key, slot, source}."""
    registry = panel_of(ctx).registry
    number = await registry.restore_slot(key, slot, actor=ACTOR)
    return {"status": "ok", "key": key, "slot": number, "source": source_of(registry.slot(number).spec)}


def shown_slot(panel: McpPanel, slot: int) -> Facts:
    """A slot with its settings masked. Raises SlotOutOfRange."""
    facts = panel.registry.slot_info(slot)
    return {**facts, "config": masked_config(facts["config"], panel.known_secrets())}


SLOT_TOOLS = (
    list_slots,
    slot_info,
    plug_provider,
    plug_model,
    unplug_slot,
    rename_slot,
    clone_slot,
    mutate_slot,
    swap_slots,
    grab_slot,
    restore_slot,
)
