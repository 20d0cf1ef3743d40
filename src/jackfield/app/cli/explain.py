"""`jackfield explain`: who would answer a model name now, in which order, and who would not and why."""

import re
from typing import Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url

REQUEST_ID = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]+")
ATTEMPT_COLUMNS = ("ATTEMPT", "SLOT", "PROVIDER", "MODEL", "OUTCOME", "STATUS", "MS")
COLUMNS = ("PLACE", "BACKEND", "SLOT", "PROVIDER", "STATUS", "REASON")


def explain(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="As in a request: slot-N, a name, provider/model or a model. Or the x-request-id of an answer.",
            show_default=False,
        ),
    ],
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Who would answer a model name now, in which order, or why a request went where it did; asks no source."""
    from jackfield.app.cli import output
    from jackfield.app.cli.gateway import error_of

    call = Call.of(ctx, json=json, config=config, url=url)
    if REQUEST_ID.fullmatch(model):
        _explain_request(call, model)
        return
    told = call.gateway.get("explain", model=model)
    if call.json:
        output.result(told)
    elif told["targets"] or told["exclusions"]:
        output.table(COLUMNS, [*map(_target_cells, told["targets"]), *map(_excluded_cells, told["exclusions"])])
    if told["refusal"] is not None:
        raise error_of(told["refusal"])


def _explain_request(call: Call, request_id: str) -> None:
    from jackfield.app.cli import output

    told = call.gateway.get(f"explain/requests/{request_id}")
    if call.json:
        output.result(told)
        return
    decision = told["decision"]
    if decision is None:
        output.note("Nobody else could answer, or it is too long ago to tell who else was considered.")
    else:
        output.table(("PLACE", "NAME", "SLOT", "PROVIDER", "REASON"), [*map(_candidate_cells, decision["candidates"])])
    output.table(ATTEMPT_COLUMNS, [*map(_attempt_cells, told["attempts"])])


def _candidate_cells(candidate: dict[str, Any]) -> list[str]:
    place = str(candidate["place"] + 1) if candidate["is_in"] else "-"
    reason = candidate["reason"] if candidate["is_in"] else f"{candidate['stage']}: {candidate['reason']}"
    slot = "-" if candidate["slot"] is None else str(candidate["slot"])
    return [place, str(candidate["name"]), slot, str(candidate["provider"]), str(reason)]


def _attempt_cells(attempt: dict[str, Any]) -> list[str]:
    slot = "-" if attempt["slot"] is None else str(attempt["slot"])
    names = [str(attempt[name] or "-") for name in ("provider", "model", "outcome", "status")]
    return [str(attempt["attempt"] + 1), slot, *names, str(round(attempt["latency_s"] * 1000))]


def _target_cells(target: dict[str, Any]) -> list[str]:
    from jackfield.app.cli.backends import status_cell

    return [
        str(target["place"] + 1),
        str(target["backend"]),
        str(target["slot"]),
        str(target["provider"]),
        status_cell(str(target["status"])),
        str(target["reason"]),
    ]


def _excluded_cells(out: dict[str, Any]) -> list[str]:
    from jackfield.app.cli.output import BAD, Cell

    slot = out["slot"]
    return [
        "-",
        str(out["backend"] or "-"),
        "-" if slot is None else str(slot),
        str(out["provider"] or "-"),
        Cell.of("out", BAD),
        f"{out['stage']}: {out['reason']}",
    ]
