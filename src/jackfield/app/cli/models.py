"""`jackfield models`: every model that the plugged slots offer; and at a source: what it tells of one, search, pull, delete."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url
from jackfield.app.cli.source import Source, asks_source

if TYPE_CHECKING:
    from jackfield.core.contracts import DeletesModels, ListsModels, PullsModels, SearchesModels
    from jackfield.core.profiles import ModelProfile

app = typer.Typer(help="Models: those of the plugged slots, and those at a source.", no_args_is_help=True)


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


Wanted = Annotated[str, typer.Argument(help="The model, as its source calls it.")]


@app.command()
@asks_source(takes_model=False)
def info(
    source: Source,
    model: Wanted,
) -> None:
    """What a source tells about one of its models; what it does not tell stays unknown."""
    import msgspec

    from jackfield.app.cli import output
    from jackfield.core.contracts import ListsModels
    from jackfield.core.errors import ModelNotFound
    from jackfield.core.parameters import did_you_mean

    async def ask(live: "ListsModels") -> "tuple[ModelProfile, ...]":
        return await live.list_models()

    listed = {profile.id: profile for profile in source.ask(ListsModels, "list its models", ask)}
    if model not in listed:
        raise ModelNotFound(f"it lists no model {model!r}{did_you_mean(model, listed)}", param="MODEL")
    profile = listed[model]
    facts = {name: getattr(profile, name) for name in profile.__struct_fields__}
    if source.call.json:
        output.result(msgspec.to_builtins(facts))
    else:
        output.facts({name: "unknown" if value is None else value for name, value in facts.items()})


@app.command()
@asks_source(takes_model=False)
def search(
    source: Source,
    query: Annotated[str, typer.Argument(help="Words in the model's name.")] = "",
    modality: Annotated[str | None, typer.Option("--modality", help="What goes in or comes out: text, image, audio.")] = None,
    served_by: Annotated[str | None, typer.Option("--by", help="Only models of this maker.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500)] = 20,
) -> None:
    """Looks for models at a source that has a catalogue, such as openrouter or huggingface."""
    import msgspec

    from jackfield.app.cli import output
    from jackfield.core.contracts import SearchesModels, SearchWish

    wish = SearchWish(query, served_by, modality, limit)

    async def ask(live: "SearchesModels") -> "tuple[ModelProfile, ...]":
        return await live.search_models(wish)

    found = source.ask(SearchesModels, "search models", ask)
    if source.call.json:
        output.result(msgspec.to_builtins(found))
    elif found:
        output.table(("MODEL", "CONTEXT", "NAME"), [[one.id, str(one.context_length or "-"), one.name or ""] for one in found])
    else:
        output.note("no model there fits")


@app.command()
@asks_source(takes_model=False)
def pull(
    source: Source,
    model: Wanted,
) -> None:
    """Has a source fetch a model to its disk, with progress. Stopping it leaves what was fetched for the next time."""
    from jackfield.app.cli import output
    from jackfield.app.cli.transfer import TransferBar
    from jackfield.core.contracts import PullsModels

    async def ask(live: "PullsModels") -> int:
        done_bytes = 0
        with TransferBar(model, quiet=source.call.json) as bar:
            async for progress in live.pull_model(model):
                bar.tell(progress)
                done_bytes = max(done_bytes, progress.done_bytes)
        return done_bytes

    done_bytes = source.ask(PullsModels, "pull models", ask)
    if source.call.json:
        output.result({"model": model, "done_bytes": done_bytes})
    else:
        output.note(f"{model} is there")


@app.command()
@asks_source(takes_model=False)
def delete(
    source: Source,
    model: Wanted,
) -> None:
    """Removes a model from a source's disk; asks first, unless --yes."""
    from jackfield.app.cli import output
    from jackfield.app.cli.failures import UsedWrongly
    from jackfield.core.contracts import DeletesModels

    if not source.yes and not output.confirm(f"remove {model} from the disk", "--yes"):
        raise UsedWrongly("nothing was removed: say --yes", param="--yes")

    async def ask(live: "DeletesModels") -> None:
        await live.delete_model(model)

    source.ask(DeletesModels, "delete models", ask)
    if source.call.json:
        output.result({"model": model, "deleted": True})
    else:
        output.note(f"{model} is gone")
