"""Follows the panel's event stream and prints each event on a line."""

import json
from typing import Any

from jackfield.app.cli import output
from jackfield.app.cli.gateway import CONTROL, Gateway, error_from
from jackfield.dialects.sse import SseDecoder

SILENCE_MAX_S = 120.0


def follow(gateway: Gateway, count: int | None, *, as_json: bool) -> None:
    """Prints events until `count` have come or the gateway stops. Raises StreamBroken where it is cut off."""
    with gateway.open("GET", f"{CONTROL}events", timeout_s=SILENCE_MAX_S, accept="text/event-stream") as reply:
        if reply.status >= 400:
            raise error_from(reply.status, reply.body())
        decoder = SseDecoder()
        seen = 0
        for chunk in reply.chunks():
            for event in decoder.feed(chunk):
                _show(event.event, json.loads(event.data), as_json=as_json)
                seen += 1
                if seen == count:
                    return


def _show(kind: str | None, data: Any, *, as_json: bool) -> None:
    if as_json:
        output.result({"event": kind, "data": data})
        return
    slots = ", ".join(str(slot) for slot in data.get("slots", ())) if isinstance(data, dict) else ""
    detail = data.get("detail") if isinstance(data, dict) else data
    output.line("  ".join(part for part in (kind or "event", f"slots {slots}" if slots else "", json.dumps(detail)) if part))
