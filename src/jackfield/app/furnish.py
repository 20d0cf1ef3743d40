"""What is plugged in when jackfield starts and when its settings change: what they name, what runs here, or the demo.

Nothing external is ever plugged because it was found: a key in the environment is reported, no more.
"""

import asyncio
import logging
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from jackfield.app.provider_blocks import ProviderBlocks, leaves_this_machine
from jackfield.app.settings import Loaded, SlotSettings
from jackfield.app.settings_watch import differences
from jackfield.core.errors import JackfieldError
from jackfield.slots.discovery import FoundServer
from jackfield.slots.slot import SlotSpec

if TYPE_CHECKING:
    from jackfield.app.compose import House

logger = logging.getLogger("jackfield.app")
DEMO_NAMES = ("demo-a", "demo-b", "demo-c")
_LIVE = ("slots.", "providers.", "timeouts.", "mode", "proxy")


async def furnish(house: "House", *, demo: bool = False) -> None:
    """Fills the panel. A source that cannot be plugged leaves a reason in its slot; the start goes on."""
    await plug_all(house, house.settings.slots)
    await plug_named(house)
    if demo:
        await plug_demo(house)
    elif house.settings.discovery.enabled:
        found = await house.discover()
        if house.settings.discovery.auto_plug_local:
            for server in found.servers:
                await plug_found(house, server)


async def plug_all(house: "House", wanted: Mapping[int, SlotSettings]) -> None:
    """All at the same time: a source that hangs holds up no other. Then raises the first error, if there was one."""
    work = (plug_wanted(house, number, slot) for number, slot in sorted(wanted.items()))
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def plug_wanted(house: "House", number: int, wanted: SlotSettings) -> None:
    """Plugs what the settings want in a slot, unless the restored panel has it there already, or they deny it."""
    if wanted.consent == "deny" and _leaves_this_machine(house, wanted):
        await house.registry.unplug(number, actor="settings")
        logger.warning("slot %d stays empty: slots.%d.consent is deny, and %s is elsewhere", number, number, wanted.provider)
        return
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
        consent="allow" in (wanted.consent, block.consent),
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
    """The providers that the settings switch on, each in the first free slot unless some slot already has it."""
    providers = house.settings.providers
    for name in providers.wanted:
        held = next((slot for slot in house.registry.slots() if slot.spec is not None and slot.spec.provider == name), None)
        if held is not None and held.binding is not None:
            continue
        number = house.registry.first_free() if held is None else int(held.number)
        spec = SlotSpec(name) if held is None or held.spec is None else held.spec
        if number is not None:
            await house.registry.plug(
                number,
                name,
                spec.config,
                model=spec.model,
                generation=spec.generation,
                role=spec.role,
                consent=providers.block(name).consent == "allow",
                require_ready=False,
                actor="settings",
            )


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
    """Makes an edit of the settings effective: slots, providers, default provider, mode. Says what waits for a restart.

    What fails midway is raised, and the settings of before are again those that the next edit is compared with.
    """
    old = house.loaded
    house.loaded = house.blocks.loaded = loaded
    try:
        await _apply(house, old, loaded)
    except JackfieldError:
        house.loaded = house.blocks.loaded = old
        raise
    later = sorted(key for key in differences(old, loaded) if not key.startswith(_LIVE))
    if later:
        logger.warning("changed in the settings, effective after a restart: %s", ", ".join(later))


async def _apply(house: "House", old: Loaded, new: Loaded) -> None:
    before, after = old.settings, new.settings
    if before.mode != after.mode:
        house.gate.set_mode(after.mode)
    for number in sorted(set(before.slots) - set(after.slots)):
        await house.registry.unplug(number, actor="settings")
    await _renew_changed(house, ProviderBlocks(old))
    await plug_all(
        house,
        {
            number: wanted
            for number, wanted in after.slots.items()
            if before.slots.get(number) != wanted or house.registry.slot(number).problem is not None
        },
    )
    await plug_named(house)
    house.registry.set_default_provider(after.providers.active)


async def _renew_changed(house: "House", before: ProviderBlocks) -> None:
    """Makes anew what now gets another config from the settings than it was made with."""
    for slot in house.registry.slots():
        if slot.spec is not None:
            was, wanted = (_completed(house, blocks, slot.spec) for blocks in (before, house.blocks))
            if was != wanted:
                await house.registry.renew(slot.number)


def _completed(house: "House", blocks: ProviderBlocks, spec: SlotSpec) -> object:
    """The whole config of a spec, or what forbids it."""
    try:
        return blocks.complete(house.registrar.get(spec.provider).card, spec.config)
    except JackfieldError as error:
        return error.message


def _leaves_this_machine(house: "House", wanted: SlotSettings) -> bool:
    try:
        card = house.registrar.get(wanted.provider).card
    except JackfieldError:
        return False
    return leaves_this_machine(card, {**house.settings.providers.block(card.id).config, **wanted.config})


def _canonical(house: "House", provider: str) -> str:
    """The provider's id, or the name as it was written where there is none: plugging it then says so."""
    try:
        return house.registrar.canonical(provider)
    except JackfieldError:
        return provider
