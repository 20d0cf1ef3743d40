"""`jackfield up`: starts the gateway here, shows the panel and how to point a client at it."""

import os
import sys
from typing import Annotated

import typer

from jackfield.app.cli.call import Call, Config, Json, Yes


def up(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port (default 7311; 0 takes a free one).")
    ] = None,
    expose: Annotated[bool, typer.Option("--expose", help="Let other machines in; needs a key in server.api_key.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Three slots on the tiny model that ships with jackfield.")] = False,
    no_discover: Annotated[bool, typer.Option("--no-discover", help="Do not look for local servers.")] = False,
    log_level: Annotated[str | None, typer.Option("--log-level", help="debug, info, warning or error.")] = None,
    yes: Yes = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Start the gateway and serve until Ctrl-C.

    Plugs what the settings name and what runs on this machine. --yes lets the providers that the settings name send prompts
    to their hosts.
    """
    from jackfield.app.serve import Wish, command

    call = Call.of(ctx, json=json, config=config)
    flags = {
        "server.host": host,
        "server.port": port,
        "server.expose": expose or None,
        "discovery.enabled": False if no_discover else None,
        "log.level": log_level,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    words = command(Wish(str(call.config) if call.config else None, given, demo=demo, yes=yes, json=call.json))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(words[0], words)  # noqa: S606 - our own interpreter and module, no shell
