"""`jackfield answer`: the questions that wait for a person, and a person's answers to them."""

import time
from typing import Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url

COLUMNS = ("QUESTION", "SLOT", "DUE IN", "SATS", "PROMPT")
SHOWN_CHARS = 80


def answer(
    ctx: typer.Context,
    question: Annotated[str | None, typer.Argument(help="The question's id; left out: lists those that wait.")] = None,
    text: Annotated[str | None, typer.Argument(help="The answer; left out: asked for, the whole question shown.")] = None,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Answers a question that was put to a slot with a person in it, or lists those that wait."""
    from jackfield.app.cli import output

    call = Call.of(ctx, json=json, config=config, url=url)
    if question is None:
        told = call.gateway.get("questions")
        if call.json:
            output.result(told)
        elif told["questions"]:
            output.table(COLUMNS, [_cells(waiting) for waiting in told["questions"]])
        else:
            output.note("No question is waiting.")
        return
    said = text if text is not None else _ask(call, question)
    told = call.gateway.post(f"questions/{question}/answer", {"text": said})
    if call.json:
        output.result(told)
    else:
        output.note(f"answered {question}, put to slot {told['slot']}")


def _ask(call: Call, question: str) -> str:
    from jackfield.app.cli import output
    from jackfield.core.errors import NotFound

    waiting = call.gateway.get("questions")["questions"]
    found = next((each["question"] for each in waiting if each["question"]["id"] == question), None)
    if found is None:
        raise NotFound(f"no question {question!r} is waiting: jackfield answer lists them", param="question")
    for part in (found["system"], found["prompt"]):
        if part:
            output.note(output.printable(part))
    return str(typer.prompt("answer", err=True))


def _cells(waiting: dict[str, Any]) -> list[str]:
    question = waiting["question"]
    prompt = " ".join(question["prompt"].split())
    return [
        question["id"],
        str(waiting["slot"]),
        f"{max(0, round(question['due_at'] - time.time()))} s",
        f"{question['price_msat'] / 1000:g}",
        prompt if len(prompt) <= SHOWN_CHARS else prompt[: SHOWN_CHARS - 1] + "…",
    ]
