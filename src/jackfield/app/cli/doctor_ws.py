"""`jackfield doctor ws`: how the gateway's WebSocket answers from here, and what to do about connections that break."""

import typer

from jackfield.app.cli.call import Call, Config, Json, Url


def ws(ctx: typer.Context, json: Json = False, config: Config = None, url: Url = None) -> None:
    """Time the gateway's WebSocket, with advice on reconnecting, ping/pong, network and timeouts; exit 1 if it is not there."""
    import asyncio

    from jackfield.app.cli import output
    from jackfield.app.cli.findings import show_checks
    from jackfield.app.doctoring.check import has_failed
    from jackfield.app.doctoring.websocket import advice, measure

    call = Call.of(ctx, json=json, config=config, url=url)
    address, key = call.gateway.websocket("doctor")
    measured = asyncio.run(measure(address, key))
    checks = advice(address, measured)
    if call.json:
        output.result({"url": address, "ping_ms": measured.usual_ms, "pings_ms": measured.pings_ms, "checks": checks})
    else:
        show_checks(checks)
    if has_failed(checks):
        raise typer.Exit(1)
