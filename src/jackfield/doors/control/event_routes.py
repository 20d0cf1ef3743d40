"""The route of the panel's events: server-sent events until the client leaves or the gateway stops."""

from litestar.response import Stream

from jackfield.doors.control.given import Streams, look

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@look("/events", summary="Every operation on the panel, as it happens", media_type="text/event-stream")
async def listen(streams: Streams) -> Stream:
    return Stream(streams.listen(), media_type="text/event-stream", headers=HEADERS)


EVENT_ROUTES = [listen]
