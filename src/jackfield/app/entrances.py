"""The doors of the request path put together: one pipeline behind all of them. The heavier ones are mounts (compose.py)."""

import secrets
import time
from typing import TYPE_CHECKING

from jackfield.doors.anthropic.wiring import anthropic_door
from jackfield.doors.gemini.wiring import gemini_door
from jackfield.doors.ollama.wiring import ollama_door
from jackfield.doors.openai.wiring import openai_door
from jackfield.gateway.kept_responses import KeptResponses
from jackfield.gateway.request_ids import RequestIds
from jackfield.gateway.token_count import TokenCount

if TYPE_CHECKING:
    from jackfield.app.compose import House
    from jackfield.gateway.door import Door
    from jackfield.gateway.stock import Stock


def entrances(house: "House", stock: "Stock") -> list["Door"]:
    """The last one is OpenAI's: it answers where nothing tells whose client it is; at `/` the last that serves it does."""
    request_ids = RequestIds(secrets.token_hex(4))
    pipeline, catalogue, count = house.pipeline, house.catalogue, TokenCount(house.pipeline.resolve)
    responses = house.settings.responses
    kept = KeptResponses(responses.max_bytes, responses.ttl_s, time.monotonic)
    return [
        ollama_door(pipeline, catalogue, stock, request_ids, time.time),
        anthropic_door(pipeline, catalogue, count, request_ids, time.time, lambda: house.started_at),
        gemini_door(pipeline, catalogue, count, request_ids, time.time),
        openai_door(pipeline, catalogue, count, request_ids, time.time, lambda: house.started_at, kept, house.batches),
    ]
