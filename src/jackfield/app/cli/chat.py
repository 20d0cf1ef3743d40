"""`jackfield chat`: a conversation with the panel, from a terminal or from piped lines; slash commands switch what answers."""

from typing import Annotated

import typer

from jackfield.app.cli.call import Call, Config, Json, Url, Yes


def chat(
    ctx: typer.Context,
    slot: Annotated[int | None, typer.Option("--slot", "-s", min=0, help="Begin with this slot.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Begin with this model.")] = None,
    system: Annotated[str | None, typer.Option("--system", help="System prompt.")] = None,
    yes: Yes = False,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Talk with the panel. /help lists what can be typed besides questions."""
    from jackfield.app.cli import output
    from jackfield.app.cli.failures import UsedWrongly, exit_code
    from jackfield.app.cli.repl import Conversation, run

    call = Call.of(ctx, json=json, config=config, url=url)
    if slot is not None and model is not None:
        raise UsedWrongly("--slot and --model each say what answers: give one", param="--slot")
    target = f"slot-{slot}" if slot is not None else model
    failure = run(Conversation(call.gateway, target=target, system=system, yes=yes, as_json=call.json))
    if failure is not None and not output.can_ask():
        raise typer.Exit(exit_code(failure))
