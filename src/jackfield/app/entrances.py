"""The doors of the request path put together: one pipeline behind all of them. The heavier ones are mounts (compose.py)."""

import secrets as randomness
import time
from typing import TYPE_CHECKING

from jackfield.doors.openai.wiring import openai_door
from jackfield.gateway.request_ids import RequestIds

if TYPE_CHECKING:
    from jackfield.app.compose import House
    from jackfield.gateway.door import Door


def entrances(house: "House") -> list["Door"]:
    """The first one is OpenAI's: it answers where nothing tells whose client it is."""
    request_ids = RequestIds(randomness.token_hex(4))
    return [openai_door(house.pipeline, house.catalogue, request_ids, time.time, lambda: house.started_at)]
