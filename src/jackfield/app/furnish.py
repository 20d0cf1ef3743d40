"""What is plugged in when jackfield starts: what the settings name, what runs on this machine, or the demo.

Nothing external is ever plugged because it was found: a key in the environment is reported, no more.
"""

import logging
from importlib import resources
from typing import TYPE_CHECKING, Any

from jackfield.app.settings import SlotSettings
from jackfield.core.errors import JackfieldError
from jackfield.slots.discovery import FoundServer

if TYPE_CHECKING:
    from jackfield.app.compose import House

logger = logging.getLogger("jackfield.app")
DEMO_NAMES = ("demo-a", "demo-b", "demo-c")


async def furnish(house: "House", *, demo: bool = False) -> None:
    """Fills the panel. A source that cannot be plugged leaves a reason in its slot; the start goes on."""
    for number, wanted in sorted(house.settings.slots.items()):
        await plug_wanted(house, number, wanted)
    if demo:
        await plug_demo(house)
    elif house.settings.discovery.enabled:
        found = await house.discover()
        if house.settings.discovery.auto_plug_local:
            for server in found.servers:
                await plug_found(house, server)


async def plug_wanted(house: "House", number: int, wanted: SlotSettings) -> None:
    """Plugs what the settings want in a slot; `enabled: false` blocks are left alone."""
    block = house.settings.providers.block(house.registrar.canonical(wanted.provider) if _known(house, wanted.provider) else "")
    config = {**block.config, **wanted.config}
    model = wanted.model or config.pop("model", None)
    await house.registry.plug(
        number,
        wanted.provider,
        config,
        model=model,
        name=wanted.name,
        role=wanted.role,
        consent="allow" in (wanted.consent, block.consent),
        require_ready=False,
        actor="settings",
    )


def _known(house: "House", provider: str) -> bool:
    try:
        house.registrar.canonical(provider)
    except JackfieldError:
        return False
    return True


async def plug_found(house: "House", server: FoundServer) -> None:
    """Plugs a server of this machine into the first free slot, unless some slot already has it."""
    if server.provider in house.settings.providers.forbidden or _is_plugged(house, server):
        return
    number = house.registry.first_free()
    if number is None:
        logger.warning("found %s on port %d, but every slot is taken", server.provider, server.port)
        return
    block = house.settings.providers.block(server.provider)
    try:
        await house.registry.plug(number, server.provider, {**block.config, "base_url": server.base_url}, actor="discovery")
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
