"""What GET /status tells: version, uptime, what is plugged and what this machine has. Reads only what is already known."""

import os
import time
from typing import TYPE_CHECKING, Any

from jackfield import __version__
from jackfield.gateway.masking import masked_config

if TYPE_CHECKING:
    from jackfield.app.compose import House


async def status_facts(house: "House") -> dict[str, Any]:
    """Plain values for JSON; `uptime_s` seconds, memory in bytes."""
    slots = [
        {
            "slot": int(slot.number),
            "name": slot.name,
            "provider": slot.spec.provider if slot.spec else None,
            "model": slot.spec.model if slot.spec else None,
            "is_plugged": slot.binding is not None,
            "problem": slot.problem,
            "in_flight": slot.binding.live.in_flight if slot.binding else 0,
        }
        for slot in house.registry.slots()
        if not slot.is_empty
    ]
    plugged = [slot for slot in slots if slot["is_plugged"]]
    return {
        "status": "ok" if house.is_ready else "starting",
        "version": __version__,
        "uptime_s": round(time.time() - house.started_at, 3),
        "mode": str(house.gate.mode),
        "models_loaded": len(plugged),
        "slots": slots,
        "backends": backend_status(house),
        "hardware": hardware(house),
    }


def backend_status(house: "House") -> dict[str, Any]:
    """Every backend and the sums over them, without any secret that a source let slip."""
    return masked_config(house.backends.get_backend_status_report(), house.secrets.known_values())


def hardware(house: "House") -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    gpus = house.discovery.gpus if house.discovery is not None else ()
    return {"cpus": os.cpu_count(), "memory_bytes": memory, "gpus": [gpu.name for gpu in gpus]}
