"""`jackfield doctor backends` and `doctor latency`: what the running gateway's figures say is wrong, and what to do."""

from time import sleep
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url

if TYPE_CHECKING:
    from jackfield.app.cli.gateway import Gateway
    from jackfield.app.doctoring.backends import Told

LOOKS = 5
ROWS = 1000
"""Newest rows of the ledger that are read for the logs."""


def backends(ctx: typer.Context, json: Json = False, config: Config = None, url: Url = None) -> None:
    """Each backend's status report, health checks, logs and network, with what to do; exit 1 if one does not answer."""
    from jackfield.app.cli import output
    from jackfield.app.cli.findings import show_checks
    from jackfield.app.doctoring.backends import examine_backends
    from jackfield.app.doctoring.check import has_failed

    call = Call.of(ctx, json=json, config=config, url=url)
    examined = examine_backends(_told(call.gateway))
    if call.json:
        output.result(examined)
    elif not examined:
        output.note("nothing is plugged: jackfield slots plug N PROVIDER")
    else:
        for each in examined:
            output.line(f"{each.id} ({f'slot {each.slot}' if each.slot is not None else 'in no slot'})")
            show_checks(each.checks)
    if any(has_failed(each.checks) for each in examined):
        raise typer.Exit(1)


def latency(
    ctx: typer.Context,
    watch: Annotated[
        float, typer.Option("--watch", metavar="SECONDS", min=0, max=3600, help="How long to watch what runs and waits.")
    ] = 1.0,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Why answers are slow: strategy, queue size, batching, number of backends, or the source itself."""
    from jackfield.app.cli import output
    from jackfield.app.doctoring.figures import sources_of
    from jackfield.app.doctoring.latency import bottlenecks

    call = Call.of(ctx, json=json, config=config, url=url)
    gateway = call.gateway
    settings = gateway.get("settings")
    policy = str(settings["routing"]["policy"])
    sources = sources_of(_reports(gateway, watch), gateway.get("slots")["slots"])
    found = bottlenecks(sources, policy=policy, is_hedging=bool(settings["hedge"]["enabled"]))
    if call.json:
        output.result({"policy": policy, "bottlenecks": found, "backends": sources})
        return
    for place, each in enumerate(found):
        output.line(f"{'also' if place else 'bottleneck'}: {each.cause} ({each.where}): {each.evidence}")
        output.line(f"            -> {each.fix}")
    down = [source.id for source in sources if not source.is_routable]
    if down:
        output.note(f"{len(down)} of {len(sources)} backends cannot be asked: jackfield doctor backends")
    if found:
        return
    if any(source.p50_ms is not None for source in sources):
        output.line(f"no bottleneck: nothing waits, and none of {len(sources)} backends is slow")
    else:
        output.line("nothing was measured yet: send some requests, then look again")


def _told(gateway: "Gateway") -> "Told":
    from urllib.parse import urlsplit

    from jackfield.app.doctoring.backends import Told
    from jackfield.app.doctoring.places import is_listened_on
    from jackfield.slots.plugging import is_on_this_machine

    return Told(
        report=gateway.get("backends"),
        slots=gateway.get("slots")["slots"],
        cards={view["card"]["id"]: view["card"] for view in gateway.get("providers")["providers"]},
        rows=_rows(gateway),
        listens=is_listened_on if is_on_this_machine(urlsplit(gateway.url).hostname or "") else None,
    )


def _rows(gateway: "Gateway") -> list[dict[str, Any]] | None:
    from jackfield.core.errors import NotFound

    try:
        rows: list[dict[str, Any]] = gateway.get("ledger", limit=ROWS)["rows"]
    except NotFound:
        return None
    return rows


def _reports(gateway: "Gateway", watch_s: float) -> list[dict[str, Any]]:
    """Status reports spread over so many seconds; one where there is nothing to wait for."""
    reports = [gateway.get("backends")]
    for _ in range(LOOKS - 1 if watch_s else 0):
        sleep(watch_s / (LOOKS - 1))
        reports.append(gateway.get("backends"))
    return reports
