"""What `jackfield up` says once it serves: the panel, the address, and lines to copy into a client.

Reads a house and changes nothing. All of it goes to stderr; with --json one line goes to stdout instead.
"""

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from jackfield.app.cli import output, panel_view
from jackfield.app.cli.discover import found_name

if TYPE_CHECKING:
    from jackfield.app.compose import House

DEMO_MODEL = "jackfield/app/demo/tiny-llm.gguf"


def welcome(house: "House", *, as_json: bool) -> None:
    """Tells a person, or a program, that the gateway serves, and what is in it."""
    slots = _slots(house)
    root = _root(house)
    if as_json:
        server = house.settings.server
        plugged = [slot for slot in slots if slot["state"] != "empty"]
        output.result(
            {
                "url": root,
                "base_url": f"{root}/v1",
                "port": house.port,
                "needs_key": server.api_key is not None,
                "mode": str(house.gate.mode),
                "slots": plugged,
            }
        )
        sys.stdout.flush()
        return
    for text in _warnings(house):
        output.note(f"warning: {text}")
    if any(slot["state"] != "empty" for slot in slots):
        panel_view.show(slots, to_stderr=True)
        _say_what_is_a_toy(slots)
    else:
        _say_what_was_looked_for(house)
    _say_how_to_point_a_client(house, root, slots)


def _slots(house: "House") -> list[dict[str, Any]]:
    from jackfield.doors.control.views import slot_view

    known = house.secrets.known_values()
    return [msgspec.to_builtins(slot_view(slot, known)) for slot in house.registry.slots()]


def _root(house: "House") -> str:
    host = house.settings.server.host
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - read, not bound
    return f"http://{shown}:{house.port}"


def _warnings(house: "House") -> list[str]:
    return [*house.loaded.warnings, *house.registrar.problems]


def _say_what_was_looked_for(house: "House") -> None:
    from jackfield.slots.discovery import known_ports

    output.note("Nothing is plugged.")
    found = house.discovery
    if found is None:
        output.note("Did not look for local servers: discovery is off.")
    elif found.servers:
        there = ", ".join(f"{server.name} at {server.base_url}" for server in found.servers)
        first = found.servers[0]
        output.note(f"Found {there}. Plug one: jackfield slots plug 0 {first.provider} --base-url {first.base_url}")
    else:
        ports = sorted({*known_ports(house.registrar), *house.settings.discovery.ports})
        output.note(f"Looked for local servers on ports {', '.join(map(str, ports))} of this machine: none answered.")
    keys = [found_name(msgspec.to_builtins(key)) for key in found.keys] if found is not None else []
    if keys:
        output.note(f"Found keys: {', '.join(keys)}. Plug one: jackfield slots plug 0 PROVIDER --yes")
    output.note("Start ollama, llama-server, LM Studio ... and run this again, or try the model that ships with jackfield:")
    output.note("  jackfield up --demo")


def _say_what_is_a_toy(slots: list[dict[str, Any]]) -> None:
    toys = [str(slot["number"]) for slot in slots if str(slot.get("config", {}).get("path", "")).endswith(DEMO_MODEL)]
    if toys:
        output.note(
            f"Demo: slot{'s' if len(toys) > 1 else ''} {', '.join(toys)} play a toy of half a million parameters "
            "that knows a dozen phrases (ping, Hello, Count to 5 ...).\n"
            "It shows that everything works and is not for use: jackfield discover finds real sources."
        )


def _say_how_to_point_a_client(house: "House", root: str, slots: list[dict[str, Any]]) -> None:
    needs_key = house.settings.server.api_key is not None
    key = "$JACKFIELD_API_KEY" if needs_key else "none-needed"
    first = next((slot["model_id"] for slot in slots if slot["state"] == "plugged"), "slot-0")
    header = ' -H "Authorization: Bearer $JACKFIELD_API_KEY"' if needs_key else ""
    python_key = 'os.environ["JACKFIELD_API_KEY"]' if needs_key else '"none-needed"'
    output.note(f"""
jackfield serves at {root}  (mode {house.gate.mode}, settings: {house.loaded.file or "defaults"}; Ctrl-C stops)

  export OPENAI_BASE_URL={root}/v1 OPENAI_API_KEY={key}

  curl {root}/v1/chat/completions{header} -H 'content-type: application/json' \\
    -d '{{"model": "{first}", "messages": [{{"role": "user", "content": "ping"}}]}}'

  from openai import OpenAI
  client = OpenAI(base_url="{root}/v1", api_key={python_key})
  client.chat.completions.create(model="{first}", messages=[{{"role": "user", "content": "ping"}}])
""")
