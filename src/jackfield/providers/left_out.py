"""What of a request a source could not be given: told in the log and in the answer, or an error where that is wanted.

Knows how it is told; what is left out is decided by the dialects.
"""

import logging
from collections.abc import Sequence

import msgspec

from jackfield.core.errors import NotSupported
from jackfield.core.events import ChatReply, Event, Started

_log = logging.getLogger("jackfield.providers")


def told(warnings: list[str], *, provider: str, model: str, strict: bool) -> list[str]:
    """The same warnings, logged. Raises NotSupported if `strict` and there are any."""
    for warning in warnings:
        _log.info("%s: %s", provider, warning, extra={"provider": provider, "model": model})
    if warnings and strict:
        raise NotSupported(f"strict is set, and this cannot be sent as written: {'; '.join(warnings)}", provider=provider)
    return warnings


def with_warnings(event: Event, warnings: Sequence[str]) -> Event:
    """The event; the one that begins an answer with `warnings` in its `extra`."""
    if warnings and isinstance(event, Started):
        return msgspec.structs.replace(event, extra={**event.extra, "warnings": list(warnings)})
    return event


def warned_reply(reply: ChatReply, warnings: Sequence[str]) -> ChatReply:
    """A whole answer, with `warnings` in its `extra`."""
    return msgspec.structs.replace(reply, extra={**reply.extra, "warnings": list(warnings)}) if warnings else reply
