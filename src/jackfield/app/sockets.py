"""Puts the WebSocket door together for a house. Loaded with the first WebSocket."""

import secrets as randomness
import time
from typing import TYPE_CHECKING

from jackfield.app.facts import backend_status
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.doors.websocket.door import SocketLimits, WebSocketDoor
from jackfield.doors.websocket.inference import Inferences
from jackfield.doors.websocket.session import Services
from jackfield.doors.websocket.topics import Topics
from jackfield.gateway.masking import masked_config
from jackfield.gateway.request_ids import RequestIds
from jackfield.gateway.steps.admit import Admission

if TYPE_CHECKING:
    from jackfield.app.compose import House


def websocket_door(house: "House", admission: Admission) -> WebSocketDoor:
    pipeline, settings = house.pipeline, house.settings
    inferences = Inferences(
        pipeline,
        OpenAIChat(),
        RequestIds(randomness.token_hex(4)),
        time.time,
    )
    topics = Topics(
        pipeline,
        house.backends,
        house.registry,
        lambda facts: masked_config(facts, house.secrets.known_values()),
        time.time,
    )
    return WebSocketDoor(
        admission.admit,
        Services(inferences, topics, lambda: backend_status(house), time.time),
        lambda: house.is_ready,
        SocketLimits(message_max_bytes=settings.server.max_body_bytes),
    )
