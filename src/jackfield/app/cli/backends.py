"""`jackfield backends`: how the gateway's sources are doing, as it has counted and seen it."""

from typing import Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url

COLUMNS = ("BACKEND", "TYPE", "STATUS", "OK/FAILED", "P50/P95 MS", "ACTIVE", "")


def backends(ctx: typer.Context, json: Json = False, config: Config = None, url: Url = None) -> None:
    """Every backend: its status, the requests that went well or failed, its latencies, and what runs there now."""
    from jackfield.app.cli import output

    call = Call.of(ctx, json=json, config=config, url=url)
    report = call.gateway.get("backends")
    if call.json:
        output.result(report)
    elif report["backends"]:
        output.table(COLUMNS, [_cells(backend) for backend in report["backends"]])
    else:
        output.note("nothing is plugged: jackfield slots plug N PROVIDER")


def status_cell(status: str) -> str:
    from jackfield.app.cli.output import BAD, GOOD, WARN, Cell

    colours = {"healthy": GOOD, "unhealthy": BAD, "offline": BAD}
    return Cell.of(status, colours.get(status, WARN))


def _cells(backend: dict[str, Any]) -> list[str]:
    metrics = backend["metrics"]
    return [
        str(backend["id"]),
        str(backend["type"]),
        status_cell(str(backend["status"])),
        f"{metrics['successful']}/{metrics['failed']}",
        f"{_ms(metrics['p50_latency_ms'])}/{_ms(metrics['p95_latency_ms'])}",
        str(metrics["active"]),
        "" if backend["status"] == "healthy" else str(backend["reason"]),
    ]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
