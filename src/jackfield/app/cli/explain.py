"""`jackfield explain`: who would answer a model name now, in which order, and who would not and why."""

from typing import Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url

COLUMNS = ("PLACE", "BACKEND", "SLOT", "PROVIDER", "STATUS", "REASON")


def explain(
    ctx: typer.Context,
    model: Annotated[
        str, typer.Argument(help="As in a request: slot-N, a name, provider/model or a model.", show_default=False)
    ],
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Who would answer a model name now, in which order; asks no source, and takes nobody's turn."""
    from jackfield.app.cli import output
    from jackfield.app.cli.gateway import error_of

    call = Call.of(ctx, json=json, config=config, url=url)
    told = call.gateway.get("explain", model=model)
    if call.json:
        output.result(told)
    elif told["targets"] or told["exclusions"]:
        output.table(COLUMNS, [*map(_target_cells, told["targets"]), *map(_excluded_cells, told["exclusions"])])
    if told["refusal"] is not None:
        raise error_of(told["refusal"])


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
