"""Follows the panel's event stream and prints each event on a line."""

import json
import sys
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
                _show(json.loads(event.data), as_json=as_json)
                seen += 1
                if seen == count:
                    return


def _show(event: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.result(event)
    else:
        slots = ", ".join(map(str, event["slots"]))
        output.line(f"{event['kind']:<8} slots {slots}  {json.dumps(event['detail'])}  by {event['actor']}")
    sys.stdout.flush()
