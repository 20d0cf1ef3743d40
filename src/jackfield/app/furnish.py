"""What is plugged in when jackfield starts and when its settings change: what they name, what runs here, or the demo.

Nothing external is ever plugged because it was found: a key in the environment is reported, no more.
"""

import logging
from importlib import resources
from typing import TYPE_CHECKING, Any

from jackfield.app.settings import Loaded, SlotSettings
from jackfield.app.settings_watch import differences
from jackfield.core.errors import JackfieldError
from jackfield.slots.discovery import FoundServer

if TYPE_CHECKING:
    from jackfield.app.compose import House

logger = logging.getLogger("jackfield.app")
DEMO_NAMES = ("demo-a", "demo-b", "demo-c")
_LIVE = ("slots.", "providers.", "timeouts.", "mode", "proxy")


async def furnish(house: "House", *, demo: bool = False) -> None:
    """Fills the panel. A source that cannot be plugged leaves a reason in its slot; the start goes on."""
    for number, wanted in sorted(house.settings.slots.items()):
        await plug_wanted(house, number, wanted)
    await plug_named(house)
    if demo:
        await plug_demo(house)
    elif house.settings.discovery.enabled:
        found = await house.discover()
        if house.settings.discovery.auto_plug_local:
            for server in found.servers:
                await plug_found(house, server)


async def plug_wanted(house: "House", number: int, wanted: SlotSettings) -> None:
    """Plugs what the settings want in a slot, unless the restored panel has it there already."""
    if _has(house, number, wanted):
        return
    block = house.settings.providers.block(_canonical(house, wanted.provider))
    await house.registry.plug(
        number,
        wanted.provider,
        wanted.config,
        model=wanted.model,
        name=wanted.name,
        role=wanted.role,
        consent="allow" in (wanted.consent, block.consent) and wanted.consent != "deny",
        require_ready=False,
        actor="settings",
    )


def _has(house: "House", number: int, wanted: SlotSettings) -> bool:
    slot = house.registry.slot(number)
    spec = slot.spec
    if spec is None or slot.binding is None or slot.problem is not None:
        return False
    config = {**wanted.config, "model": wanted.model} if wanted.model is not None else wanted.config
    same_name = wanted.name is None or slot.name == wanted.name
    same_source = (spec.provider, spec.config, spec.role) == (_canonical(house, wanted.provider), config, wanted.role)
    return same_name and same_source


async def plug_named(house: "House") -> None:
    """The providers that the settings switch on, each in the first free slot unless some slot already holds it."""
    providers = house.settings.providers
    for name in providers.wanted:
        number = house.registry.first_free()
        if number is None or name in house.registry.active.values():
            continue
        consent = providers.block(name).consent == "allow"
        await house.registry.plug(number, name, {}, consent=consent, require_ready=False, actor="settings")


async def plug_found(house: "House", server: FoundServer) -> None:
    """Plugs a server of this machine into the first free slot, unless some slot already has it."""
    if server.provider in house.settings.providers.forbidden or _is_plugged(house, server):
        return
    number = house.registry.first_free()
    if number is None:
        logger.warning("found %s on port %d, but every slot is taken", server.provider, server.port)
        return
    try:
        await house.registry.plug(number, server.provider, {"base_url": server.base_url}, actor="discovery")
    except JackfieldError as error:
        logger.warning("found %s on port %d, but could not plug it: %s", server.provider, server.port, error)


def _is_plugged(house: "House", server: FoundServer) -> bool:
    return any(slot.binding is not None and server.address in slot.binding.info.hosts for slot in house.registry.slots())


async def plug_demo(house: "House") -> None:
    """Three slots on the tiny model that ships with the package: real llama.cpp in this process, no network."""
    model = resources.files("jackfield.app") / "demo" / "tiny-llm.gguf"
    config: dict[str, Any] = {"path": str(model), "context_length": 4096, "threads": 1}
    for name in DEMO_NAMES:
        number = house.registry.first_free()
        if number is None or house.registry.by_name(name) is not None:
            continue
        await house.registry.plug(number, "local", config, name=name, actor="demo")


async def take_over(house: "House", loaded: Loaded) -> None:
    """Makes an edit of the settings effective: slots, providers, default provider, mode. Says what waits for a restart."""
    old = house.loaded
    changed = differences(old, loaded)
    house.loaded = house.blocks.loaded = loaded
    settings = loaded.settings
    if "mode" in changed:
        house.gate.set_mode(settings.mode)
    for number in sorted(set(old.settings.slots) - set(settings.slots)):
        await house.registry.unplug(number, actor="settings")
    for number, wanted in sorted(settings.slots.items()):
        if old.settings.slots.get(number) != wanted:
            await plug_wanted(house, number, wanted)
    await plug_named(house)
    house.registry.set_default_provider(settings.providers.active)
    later = sorted(key for key in changed if not key.startswith(_LIVE))
    if later:
        logger.warning("changed in the settings, effective after a restart: %s", ", ".join(later))


def _canonical(house: "House", provider: str) -> str:
    """The provider's id, or the name as it was written where there is none: plugging it then says so."""
    try:
        return house.registrar.canonical(provider)
    except JackfieldError:
        return provider
