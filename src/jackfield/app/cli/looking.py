"""Looks around on this machine from the command line's own process: which servers, keys, programs and GPUs there are."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from jackfield.app.settings import Settings
    from jackfield.providers.registry import Registrar


def look_around(settings: "Settings", environ: Mapping[str, str], registrar: "Registrar | None" = None) -> dict[str, Any]:
    """{servers, keys, clis, gpus, devices, peers, websockets} as plain values.

    Asks loopback and what the settings name, and names keys without reading them out.
    """
    return asyncio.run(_look(settings, environ, registrar))


async def _look(settings: "Settings", environ: Mapping[str, str], registrar: "Registrar | None") -> dict[str, Any]:
    from jackfield.app.settings_providers import installed, ports_left_alone
    from jackfield.slots.discovery import discover
    from jackfield.transport.egress import EgressGate
    from jackfield.transport.http1 import HttpClient

    registrar = registrar or installed(settings.presets, settings.plugins)
    left_alone = ports_left_alone(settings.providers, registrar.cards())
    http = HttpClient(EgressGate())
    try:
        found = await discover(
            http,
            registrar,
            environ,
            ports=settings.discovery.ports,
            skip_ports={settings.server.port, *left_alone},
            peers=settings.discovery.peers,
            websockets=settings.discovery.websockets,
            hardware=settings.discovery.hardware,
        )
    finally:
        await http.aclose()
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain
