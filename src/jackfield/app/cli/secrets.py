"""`jackfield secrets`: puts keys away in the OS keyring or an encrypted file. Values come in, none ever comes out."""

import sys
from typing import Annotated

import typer

from jackfield.app.cli.call import Call, Config, Json, Yes

app = typer.Typer(help="Put keys away; settings and slots then hold references to them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What to call it, such as openai.", show_default=False)]


@app.command("set")
def set_secret(ctx: typer.Context, name: Name, json: Json = False, config: Config = None) -> None:
    """Store a key, read from stdin or asked for without echo; prints the reference to write in settings."""
    from jackfield.app.cli import output

    call = Call.of(ctx, json=json, config=config)
    store = call.secrets()
    reference = store.put(name, _value(name))
    output.note(f"{name} is in the {store.describe()}; refer to it as:")
    output.result({"name": name, "reference": reference}) if call.json else output.line(reference)


@app.command("list")
def list_secrets(ctx: typer.Context, json: Json = False, config: Config = None) -> None:
    """Names of the stored keys, never their values."""
    from jackfield.app.cli import output

    call = Call.of(ctx, json=json, config=config)
    store = call.secrets()
    names = store.names()
    if call.json:
        output.result(names)
        return
    for name in names:
        output.line(name)
    output.note(f"{len(names)} in the {store.describe()}")


@app.command()
def delete(ctx: typer.Context, name: Name, yes: Yes = False, json: Json = False, config: Config = None) -> None:
    """Delete a stored key; whatever refers to it stops working."""
    from jackfield.app.cli import output
    from jackfield.core.errors import NotFound

    call = Call.of(ctx, json=json, config=config)
    store = call.secrets()
    if name not in store.names():
        raise NotFound(f"no key is stored as {name!r}: jackfield secrets list")
    if not yes and not output.confirm(f"delete {name}; whatever refers to it stops working. Delete", "--yes"):
        output.note("nothing was deleted")
        raise typer.Exit(1)
    store.delete(name)
    output.result({"deleted": name}) if call.json else output.note(f"{name} is deleted")


def _value(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.read()
    import getpass

    return getpass.getpass(f"{name}: ", stream=sys.stderr)
