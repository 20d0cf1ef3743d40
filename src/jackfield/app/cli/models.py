"""`jackfield models`: every model that the plugged slots offer, in one list."""

from typing import Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url

app = typer.Typer(help="The models that the plugged slots offer.", no_args_is_help=True)


@app.command("list")
def list_models(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Option("--provider", "-p", help="Only this provider's (id or alias).")] = None,
    slot: Annotated[int | None, typer.Option("--slot", "-s", min=0, help="Only this slot's.")] = None,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """All models of all slots; a source that is down is named on stderr and hides nobody else's."""
    from jackfield.app.cli import output
    from jackfield.app.cli.gateway import segment

    call = Call.of(ctx, json=json, config=config, url=url)
    wanted = call.gateway.get(f"providers/{segment(provider)}")["card"]["id"] if provider else None
    if slot is not None:
        call.gateway.get(f"slots/{slot}")  # says so where there is no such slot
    entries = [
        entry
        for entry in call.gateway.get("models")["models"]
        if wanted in (None, entry["provider"]) and slot in (None, entry["slot"])
    ]
    if call.json:
        output.result(entries)
        return
    for entry in entries:
        if entry.get("error"):
            output.note(f"slot {entry['slot']} ({entry['provider']}): {entry['error']}")
    output.table(("MODEL", "SLOT", "PROVIDER", "CONTEXT", ""), [_cells(entry) for entry in entries])


def _cells(entry: dict[str, Any]) -> list[str]:
    profile = entry.get("profile") or {}
    context = profile.get("context_length")
    return [
        str(entry["id"]),
        str(entry["slot"]),
        str(entry["provider"]),
        str(context) if context else "-",
        "old list" if entry.get("is_stale") else "",
    ]
