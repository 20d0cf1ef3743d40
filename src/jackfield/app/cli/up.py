"""`jackfield up`: starts the gateway here, shows the panel and how to point a client at it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Yes

if TYPE_CHECKING:
    from jackfield.app.settings import Loaded


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
    """Start the gateway, plug what the settings name and what runs here, and serve until Ctrl-C.

    --yes lets the providers that the settings name send prompts to their hosts.
    """
    from jackfield.app import server
    from jackfield.app.cli.welcome import welcome
    from jackfield.app.logging_setup import set_up_logging

    call = Call.of(ctx, json=json, config=config)
    flags = {
        "server.host": host,
        "server.port": port,
        "server.expose": expose or None,
        "discovery.enabled": False if no_discover else None,
        "log.level": log_level,
    }
    loaded = call.load(flags)
    if yes:
        loaded = _consented(call, loaded, flags)
    set_up_logging(loaded.settings.log, call.secrets().known_values)
    server.run(loaded, demo=demo, on_ready=lambda house: welcome(house, as_json=call.json))


def _consented(call: Call, loaded: "Loaded", flags: dict[str, Any]) -> "Loaded":
    """--yes answers the question for every slot and provider of the settings that leave it open."""
    settings = loaded.settings
    open_ = [f"slots.{number}.consent" for number, slot in settings.slots.items() if slot.consent == "ask"]
    open_ += [
        f"providers.{name}.consent" for name in settings.providers.wanted if settings.providers.block(name).consent == "ask"
    ]
    return call.load({**flags, **dict.fromkeys(open_, "allow")})
