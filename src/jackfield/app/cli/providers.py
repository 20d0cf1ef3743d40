"""`jackfield providers` (and `provider`): what could be plugged, told by the providers' own cards, and how it is doing."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url
from jackfield.app.cli.source import Source, asks_source

if TYPE_CHECKING:
    from jackfield.core.contracts import Probes, ReportsCredit
    from jackfield.providers.registry import Registrar

app = typer.Typer(help="What can be plugged, and how it is doing.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Provider id or alias.", show_default=False)]


@app.command("list")
def list_providers(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Option("--type", help="Only api, local, decentralized or p2p.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Every provider that can be plugged; needs no gateway and asks nobody."""
    from jackfield.app.cli import output
    from jackfield.app.cli.failures import UsedWrongly
    from jackfield.core.contracts import PROVIDER_KINDS

    call = Call.of(ctx, json=json, config=config)
    if kind is not None and kind not in PROVIDER_KINDS:
        raise UsedWrongly(f"--type is one of {', '.join(PROVIDER_KINDS)}, got {kind!r}", param="--type")
    registrar = _registrar(call)
    cards = [card for card in registrar.cards() if kind is None or card.type == kind]
    for problem in registrar.problems:
        output.note(f"warning: {problem}")
    if call.json:
        output.result([_facts(call, card) for card in cards])
        return
    rows = [(card.id, card.type, card.display_name, card.default_url or "-", _key_state(call, card)) for card in cards]
    output.table(("ID", "TYPE", "NAME", "ADDRESS", "KEY"), rows)


@app.command()
def show(ctx: typer.Context, provider: Name, json: Json = False, config: Config = None) -> None:
    """Everything that is known of one provider; needs no gateway."""
    from jackfield.app.cli import output

    call = Call.of(ctx, json=json, config=config)
    card = _registrar(call).get(provider).card
    facts = _facts(call, card)
    if call.json:
        output.result(facts)
        return
    capabilities = facts.pop("capabilities")
    output.facts({name: _said(value) for name, value in {**facts, **capabilities}.items()})


@app.command()
def status(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Argument(help="Only this provider.", show_default=False)] = None,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """How the plugged providers are doing, as the gateway sees them now."""
    from jackfield.app.cli import output
    from jackfield.app.cli.gateway import segment
    from jackfield.core.errors import NotFound

    call = Call.of(ctx, json=json, config=config, url=url)
    wanted = call.gateway.get(f"providers/{segment(provider)}")["card"]["id"] if provider else None
    rows = [row for row in call.gateway.get("providers/status")["slots"] if wanted in (None, row["provider"])]
    if call.json:
        output.result(rows)
    elif rows:
        output.table(("SLOT", "PROVIDER", "STATE", "LATENCY", "DETAIL"), [_status_cells(row) for row in rows])
    elif wanted is not None:
        raise NotFound(f"{wanted} is not plugged: jackfield slots plug N {wanted}", param="PROVIDER")
    else:
        output.note("nothing is plugged: jackfield slots plug N PROVIDER")


@app.command()
@asks_source(takes_model=False)
def credits(
    source: Source,
    provider: Name,
) -> None:
    """What is left of the money at a source that tells."""
    from jackfield.app.cli import output
    from jackfield.core.contracts import ReportsCredit

    async def ask(live: "ReportsCredit") -> dict[str, Any]:
        return dict(await live.credit())

    told = source.ask(ReportsCredit, "tell its credit", ask)
    if source.call.json:
        output.result(told)
    else:
        output.facts({name: _said(value) for name, value in told.items()})


@app.command()
@asks_source(takes_model=False)
def validate(
    source: Source,
    provider: Name,
) -> None:
    """Whether a source can be reached and takes the key. Spends nothing; ends with 1 where it cannot be used."""
    import msgspec

    from jackfield.app.cli import output
    from jackfield.core.contracts import ProbeResult, Probes

    async def ask(live: "Probes") -> ProbeResult:
        return await live.probe()

    found = source.ask(Probes, "be looked at", ask)
    if source.call.json:
        output.result(msgspec.to_builtins(found))
    else:
        state = "ready" if found.is_ready else "not ready"
        output.line(f"{provider}: {state}{': ' + found.detail if found.detail else ''}")
    if not found.is_ready:
        raise typer.Exit(1)


def _registrar(call: Call) -> "Registrar":
    from jackfield.app.settings_providers import installed

    settings = call.client_settings.settings
    return installed(settings.presets, settings.plugins)


def _facts(call: Call, card: Any) -> dict[str, Any]:
    """All of a card, defaults too, and which of its key variables are set (names, never values)."""
    import msgspec

    facts: dict[str, Any] = {name: msgspec.to_builtins(getattr(card, name)) for name in card.__struct_fields__}
    facts["keys_set"] = [name for name in card.key_env if call.environ.get(name)]
    return facts


def _key_state(call: Call, card: Any) -> str:
    from jackfield.app.cli.output import GOOD, WARN, Cell

    if any(call.environ.get(name) for name in card.key_env):
        return Cell.of("set", GOOD)
    return Cell.of(f"needs {card.key_env[0]}", WARN) if card.needs_key and card.key_env else Cell("-")


def _said(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = [f"{name}={inner}" for name, inner in value.items()]
    return ", ".join(map(str, value)) or "-" if isinstance(value, list | tuple) else str(value)


def _status_cells(row: dict[str, Any]) -> list[str]:
    from jackfield.app.cli.output import BAD, GOOD, Cell

    standing = row.get("standing") or {}
    latency_s = standing.get("latency_s")
    return [
        str(row["slot"]),
        str(row["provider"]),
        Cell.of("● ready", GOOD) if row["is_ready"] else Cell.of("○ down", BAD),
        f"{latency_s * 1000:.0f} ms" if latency_s is not None else "-",
        str(row.get("problem") or standing.get("detail") or ""),
    ]
