"""The command line's root: the commands, the options that all share, and how every command ends.

Nothing heavy is imported here or at the top of a command's module: `jackfield --help` must come at once.
"""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jackfield import __version__
from jackfield.app.cli import answer as answer_command
from jackfield.app.cli import ask as ask_command
from jackfield.app.cli import audio as audio_commands
from jackfield.app.cli import backends as backends_command
from jackfield.app.cli import batch as batch_command
from jackfield.app.cli import chat as chat_command
from jackfield.app.cli import config as config_commands
from jackfield.app.cli import discover as discover_command
from jackfield.app.cli import doctor as doctor_commands
from jackfield.app.cli import embed as embed_command
from jackfield.app.cli import explain as explain_command
from jackfield.app.cli import finetune as finetune_commands
from jackfield.app.cli import image as image_command
from jackfield.app.cli import mcp as mcp_command
from jackfield.app.cli import models as models_commands
from jackfield.app.cli import moderate as moderate_command
from jackfield.app.cli import providers as providers_commands
from jackfield.app.cli import secrets as secrets_commands
from jackfield.app.cli import slots as slots_commands
from jackfield.app.cli import up as up_command
from jackfield.app.cli.call import Call, Config, Json, Url, Wishes
from jackfield.app.cli.failures import INTERRUPTED, exit_code, say
from jackfield.core.errors import JackfieldError


class Commands(TyperGroup):
    """Turns what a command raises into a message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except JackfieldError as error:
            say(error, as_json=ctx.ensure_object(Wishes).json)
            raise typer.Exit(exit_code(error)) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            _leave_stdout()
            raise typer.Exit(0) from None


def _leave_stdout() -> None:
    """Whoever read our output has gone (`| head`): what is still buffered has nowhere to go and is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Every source of inference you can reach, plugged into numbered slots behind one OpenAI-compatible endpoint.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jackfield {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    json: Json = False,
    config: Config = None,
    url: Url = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    Call.of(ctx, json=json, config=config, url=url)


app.command("up")(up_command.up)
app.command("ask")(ask_command.ask)
app.command("chat")(chat_command.chat)
app.command("batch")(batch_command.batch)
app.add_typer(slots_commands.app, name="slots")
app.add_typer(providers_commands.app, name="providers")
app.add_typer(providers_commands.app, name="provider", hidden=True)
app.command("discover")(discover_command.discover)
app.add_typer(models_commands.app, name="models")
app.command("mcp")(mcp_command.mcp)
app.command("backends")(backends_command.backends)
app.command("explain")(explain_command.explain)
app.command("answer")(answer_command.answer)
app.command("embed")(embed_command.embed)
app.command("image")(image_command.image)
app.command("transcribe")(audio_commands.transcribe)
app.command("speak")(audio_commands.speak)
app.command("moderate")(moderate_command.moderate)
app.add_typer(finetune_commands.app, name="finetune")
app.add_typer(config_commands.app, name="config")
app.add_typer(secrets_commands.app, name="secrets")
app.add_typer(doctor_commands.app, name="doctor")


def main() -> None:
    """Entry point of the `jackfield` script."""
    try:
        app(prog_name="jackfield")
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_stdout()
