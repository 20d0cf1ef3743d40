"""The Anthropic door put together: every call that it serves, on one pipeline."""

from collections.abc import Callable

from jackfield.doors.anthropic.count import CountTokens
from jackfield.doors.anthropic.door import AnthropicDoor
from jackfield.doors.anthropic.messages import Messages
from jackfield.doors.anthropic.models import Models
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.token_count import TokenCount
from jackfield.slots.catalogue import Catalogue


def anthropic_door(
    pipeline: Pipeline,
    catalogue: Catalogue,
    count: TokenCount,
    new_request_id: Callable[[], str],
    now: Callable[[], float],
    started_at: Callable[[], float],
) -> AnthropicDoor:
    """`now` and `started_at` are Unix seconds."""
    return AnthropicDoor(
        Messages(pipeline, new_request_id, now), CountTokens(count, new_request_id, now), Models(catalogue, started_at)
    )
