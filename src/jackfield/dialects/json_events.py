"""Events of a stream whose data is JSON of our own writing: framed, and cut at the one text in which they differ.

Knows JSON as msgspec writes it (one line, no spaces) and the frame of server-sent events; no dialect's fields.
"""

from collections.abc import Callable
from uuid import uuid4

_MARK = uuid4().hex
"""Made anew by each process and shown to nobody: where it stands in an event, there stands the event's text."""
_WRITTEN_MARK = b'"%b"' % _MARK.encode()


def framed(kind: str, data: bytes) -> bytes:
    """A server-sent event. Neither `kind`, one of a dialect's own words, nor `data` holds a line break."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def around_text(write: Callable[[str], bytes]) -> tuple[bytes, bytes]:
    """What `write` puts before and after the JSON of its text, so that the next event need not be written whole.

    It must hold the text once, and nothing else in it may depend on the text.
    """
    before, _, after = write(_MARK).partition(_WRITTEN_MARK)
    return before, after
