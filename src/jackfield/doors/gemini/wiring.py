"""The Gemini door put together: every call that it serves, on one pipeline."""

from collections.abc import Callable

from jackfield.doors.gemini.count import CountTokens
from jackfield.doors.gemini.door import GeminiDoor
from jackfield.doors.gemini.embed import Embed
from jackfield.doors.gemini.generate import Generate
from jackfield.doors.gemini.models import Models
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.token_count import TokenCount
from jackfield.slots.catalogue import Catalogue


def gemini_door(
    pipeline: Pipeline, catalogue: Catalogue, count: TokenCount, new_request_id: Callable[[], str], now: Callable[[], float]
) -> GeminiDoor:
    """`now` is in Unix seconds."""
    return GeminiDoor(
        Generate(pipeline, new_request_id, now),
        Embed(pipeline, new_request_id, now),
        CountTokens(count, new_request_id, now),
        Models(catalogue),
    )
