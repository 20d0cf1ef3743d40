"""The route of the panel's events: server-sent events until the client leaves or the gateway stops."""

from typing import Annotated

from litestar.params import Dependency
from litestar.response import Stream

from jackfield.doors.control.event_stream import EventStreams
from jackfield.doors.control.given import look

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@look("/events", summary="Every operation on the panel, as it happens", media_type="text/event-stream")
async def listen(streams: Annotated[EventStreams, Dependency(skip_validation=True)]) -> Stream:
    return Stream(streams.listen(), media_type="text/event-stream", headers=HEADERS)


EVENT_ROUTES = [listen]
