"""`jackfield doctor`: is everything here as a gateway needs it, and if not, what to do."""

from typing import TYPE_CHECKING, Any

import typer

from jackfield.app.cli import doctor_llama, doctor_sources, doctor_ws
from jackfield.app.cli.call import Call, Config, Json, Url

if TYPE_CHECKING:
    from jackfield.app.cli.gateway import Gateway
    from jackfield.app.doctoring.machine import Surroundings
    from jackfield.app.settings import Settings

app = typer.Typer(help="Check this machine, the settings and the gateway.", invoke_without_command=True)
app.command("backends")(doctor_sources.backends)
app.command("latency")(doctor_sources.latency)
app.command("ws")(doctor_ws.ws)
app.command("llama-cpp")(doctor_llama.llama_cpp)


@app.callback()
def doctor(ctx: typer.Context, json: Json = False, config: Config = None, url: Url = None) -> None:
    """Check this machine, the settings and the gateway; exit 1 if something is broken, each with what to do."""
    call = Call.of(ctx, json=json, config=config, url=url)
    if ctx.invoked_subcommand is not None:
        return
    from jackfield.app.cli import output
    from jackfield.app.cli.findings import show_checks
    from jackfield.app.doctoring.check import has_failed
    from jackfield.app.doctoring.machine import examine

    checks = examine(surroundings(call))
    if call.json:
        output.result(checks)
    else:
        show_checks(checks)
    if has_failed(checks):
        raise typer.Exit(1)


@app.command()
def ports(ctx: typer.Context, json: Json = False, config: Config = None, url: Url = None) -> None:
    """Which local servers usually want which port, and who has it now."""
    from jackfield.app.cli import output
    from jackfield.app.doctoring.places import usual_ports
    from jackfield.core.errors import JackfieldError

    call = Call.of(ctx, json=json, config=config, url=url)
    around = surroundings(call)
    if around.registrar is None:
        raise around.invalid or JackfieldError("the providers could not be loaded")
    found = {int(server["port"]): str(server["provider"]) for server in _servers(around)}
    places = usual_ports(around.registrar.cards(), found, around.settings.server.port)
    if call.json:
        output.result(places)
        return
    rows = [
        (str(place.port), ", ".join(place.usual) or "-", place.found or place.holder or ("taken" if place.is_taken else "free"))
        for place in places
    ]
    output.table(("PORT", "USUALLY", "NOW"), rows)


def surroundings(call: Call) -> "Surroundings":
    """What the checks look at. Settings that cannot be read are a finding, not the end."""
    from jackfield.app.doctoring.machine import Surroundings
    from jackfield.app.settings import Settings, SettingsInvalid
    from jackfield.app.settings_providers import installed

    loaded, invalid, registrar = None, None, None
    try:
        loaded = call.load()
        registrar = installed(loaded.settings.presets, loaded.settings.plugins)
    except SettingsInvalid as found:
        invalid = found
    settings = loaded.settings if loaded else Settings(store=call.environ.get("JACKFIELD_HOME") or Settings().store)
    around = Surroundings(
        settings=settings,
        loaded=loaded,
        invalid=invalid,
        environ=call.environ,
        registrar=registrar,
        gateway=_gateway(call, settings),
        servers=lambda: [f"{server['provider']} at {server['base_url']}" for server in _servers(around)],
        secret_names=lambda: call.secrets().names() if invalid is None else (),
    )
    return around


def _gateway(call: Call, settings: "Settings") -> "Gateway":
    """The gateway that was named, also where the settings cannot be read; else the one at its usual place."""
    from jackfield.app.cli.gateway import Gateway
    from jackfield.app.settings import SettingsInvalid

    try:
        return call.gateway
    except SettingsInvalid:
        return Gateway(f"http://127.0.0.1:{settings.server.port}")


def _servers(around: "Surroundings") -> list[dict[str, Any]]:
    from jackfield.app.cli.looking import look_around

    servers: list[dict[str, Any]] = look_around(around.settings, around.environ, around.registrar).get("servers") or []
    return servers
