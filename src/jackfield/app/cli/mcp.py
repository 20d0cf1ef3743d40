"""`jackfield mcp`: MCP over stdin and stdout, for programs that start their servers themselves.

Speaks for the gateway where one runs, and for the panel of this process where none does. stdout belongs to the protocol.
"""

import asyncio
from typing import TYPE_CHECKING

import typer

from jackfield.app.cli.call import Call, Config, Url

if TYPE_CHECKING:
    from jackfield.app.cli.gateway import Gateway
    from jackfield.app.settings import Loaded


def mcp(ctx: typer.Context, config: Config = None, url: Url = None) -> None:
    """Serve MCP over stdin and stdout, for IDEs and agents.

    A gateway that runs is spoken for: the one of --url, JACKFIELD_URL or the settings. Where none was named and none runs, the
    tools work on this process's own panel, which no gateway can use meanwhile.
    """
    call = Call.of(ctx, config=config, url=url)
    if call.named_url is None and not call.gateway.is_up():
        asyncio.run(_here(call.load()))
    else:
        _check(call.gateway)
        asyncio.run(_for(call.gateway))


async def _for(gateway: "Gateway") -> None:
    from jackfield.doors.mcp import needs_sdk

    with needs_sdk():
        from jackfield.doors.mcp.bridge import bridged

    await bridged(gateway.url, gateway.key, gateway.host)


def _check(gateway: "Gateway") -> None:
    """Raises GatewayUnreachable, AuthFailed: better said now than to a client that shows no reasons."""
    from jackfield.app.cli.gateway import error_from

    with gateway.open("GET", "/status") as reply:
        if reply.status >= 400:
            raise error_from(reply.status, reply.body())


async def _here(loaded: "Loaded") -> None:
    """Serves a panel that is opened as a gateway opens it, without listening anywhere."""
    from jackfield.app.compose import mcp_panel, open_house
    from jackfield.app.logging_setup import set_up_logging
    from jackfield.app.serve import environment_secrets
    from jackfield.doors.mcp import needs_sdk

    with needs_sdk():
        from jackfield.doors.mcp.server import serve_stdio

    in_environment = environment_secrets(loaded.environ)
    async with open_house(loaded, port=loaded.settings.server.port) as house:
        set_up_logging(loaded.settings.log, lambda: in_environment | house.secrets.known_values())
        await house.furnish()
        house.is_ready = True
        await serve_stdio(mcp_panel(house))
