"""`jackfield discover`: what could be plugged here. Finds and names; plugs nothing."""

from collections.abc import Mapping
from typing import Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url


def discover(ctx: typer.Context, json: Json = False, config: Config = None, url: Url = None) -> None:
    """Look for local servers, keys, programs and GPUs; through the gateway where one runs, else from here."""
    from jackfield.app.cli import output

    call = Call.of(ctx, json=json, config=config, url=url)
    found = _found(call)
    if call.json:
        output.result(found)
    else:
        show(found)


def _found(call: Call) -> dict[str, Any]:
    from jackfield.app.cli.looking import look_around

    if call.gateway.is_up():
        answer: dict[str, Any] = call.gateway.get("discovery", refresh="true")["discovery"]
        return answer
    return look_around(call.load().settings, call.environ)


def show(found: Mapping[str, Any]) -> None:
    """Servers as the result; everything else, and what to do next, beside it."""
    from jackfield.app.cli import output

    servers = found.get("servers") or []
    if servers:
        rows = [
            (str(server["provider"]), str(server.get("base_url")), ", ".join(server.get("models") or ()) or "-")
            for server in servers
        ]
        output.table(("PROVIDER", "ADDRESS", "MODELS"), rows)
        output.note(f"plug one: jackfield slots plug 0 {servers[0]['provider']}")
    else:
        output.note("no local server answers; start one (ollama, llama-server, LM Studio ...) or: jackfield up --demo")
    for heading, key in (
        ("keys in the environment", "keys"),
        ("programs", "clis"),
        ("GPUs", "gpus"),
        ("models can run on", "devices"),
        ("peers", "peers"),
        ("WebSocket endpoints", "websockets"),
    ):
        items = [found_name(item) for item in found.get(key) or ()]
        if items:
            output.note(f"{heading}: {', '.join(items)}")


def found_name(item: Mapping[str, Any]) -> str:
    """ "OPENAI_API_KEY (openai)" for a key or a program, the name alone where no provider goes with it."""
    name, provider = item.get("variable") or item.get("url") or item.get("name"), item.get("provider") or item.get("kind")
    return f"{name} ({provider})" if provider else str(name)
