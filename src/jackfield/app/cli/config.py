"""`jackfield config`: what the settings are, where each came from, whether they hold together; and a file to begin with."""

from pathlib import Path
from typing import Annotated

import typer

from jackfield.app.cli.call import Call, Config, Json

app = typer.Typer(help="Show, check and begin a settings file.", no_args_is_help=True)


@app.command()
def show(
    ctx: typer.Context,
    key: Annotated[str | None, typer.Argument(help="Only this key or section, dotted.", show_default=False)] = None,
    origin: Annotated[bool, typer.Option("--origin", help="Where each value came from.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """The settings in force; keys only as references."""
    import msgspec

    from jackfield.app.cli import output
    from jackfield.core.errors import NotFound
    from jackfield.core.parameters import did_you_mean

    call = Call.of(ctx, json=json, config=config)
    loaded = call.load()
    values = {name: value for name, value in loaded.values().items() if key is None or f"{name}.".startswith(f"{key}.")}
    if not values:
        raise NotFound(f"no setting is called {key!r}{did_you_mean(str(key), list(loaded.values()))}", param="KEY")
    if call.json:
        shown = {name: {"value": value, "origin": loaded.origins[name]} if origin else value for name, value in values.items()}
        output.result(shown)
    elif origin:
        rows = [(name, msgspec.json.encode(value).decode(), loaded.origins[name]) for name, value in values.items()]
        output.table(("KEY", "VALUE", "ORIGIN"), rows)
    else:
        for name, value in values.items():
            output.line(f"{name} = {msgspec.json.encode(value).decode()}")
    for warning in loaded.warnings:
        output.note(f"warning: {warning}")


@app.command()
def check(ctx: typer.Context, json: Json = False, config: Config = None) -> None:
    """Check the settings; exit 1 with file and line of every problem."""
    import msgspec

    from jackfield.app.cli import output
    from jackfield.app.settings import SettingsInvalid

    call = Call.of(ctx, json=json, config=config)
    try:
        loaded = call.load()
    except SettingsInvalid as invalid:
        if call.json:
            output.result({"valid": False, "file": None, "problems": msgspec.to_builtins(invalid.problems), "warnings": []})
        else:
            output.note(str(invalid))
        raise typer.Exit(1) from None
    if call.json:
        output.result({"valid": True, "file": loaded.file and str(loaded.file), "problems": [], "warnings": loaded.warnings})
        return
    for warning in loaded.warnings:
        output.note(f"warning: {warning}")
    output.line(f"{loaded.file or 'no settings file: defaults and environment'}: ok")


@app.command()
def schema(ctx: typer.Context, json: Json = False, config: Config = None) -> None:
    """The JSON Schema of the settings file, with the providers that are installed here."""
    import sys

    from jackfield.app.cli import output
    from jackfield.app.settings_providers import installed_cards
    from jackfield.app.settings_schema import schema_text, settings_schema

    call = Call.of(ctx, json=json, config=config)
    settings = call.client_settings.settings
    cards = installed_cards(settings.presets, settings.plugins)
    output.result(settings_schema(cards)) if call.json else sys.stdout.write(schema_text(cards))


@app.command()
def init(
    ctx: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="Where to; else the user's settings file.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: Json = False,
) -> None:
    """Write a commented settings file, mode 0600, with references to the keys found in the environment."""
    from jackfield.app.cli import output
    from jackfield.app.settings import user_file
    from jackfield.app.settings_providers import KnownProviders, installed_cards
    from jackfield.app.settings_template import settings_template
    from jackfield.core.errors import Conflict
    from jackfield.store.private_file import make_private_directory, replace_private

    call = Call.of(ctx, json=json)
    target = path or user_file(call.environ)
    if target.exists() and not force:
        raise Conflict(f"{target} is there already: --force replaces it")
    keys = KnownProviders(installed_cards((), True)).keys_in(call.environ)
    make_private_directory(target.parent)
    replace_private(target, settings_template(keys).encode())
    if call.json:
        output.result({"file": str(target), "keys": keys})
        return
    output.line(str(target))
    for provider, variable in keys.items():
        output.note(f"{provider}: key from {variable}")
