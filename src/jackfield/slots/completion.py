"""What the handle on a provider gives back: completions, health, and their plain shapes. Values only."""

from enum import StrEnum
from typing import Any

import msgspec

from jackfield.core.events import ChatReply, FinishReason
from jackfield.core.messages import ToolCallPart
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage

CompletionRequest = ChatRequest


class Completion(msgspec.Struct, frozen=True):
    """A whole answer. `raw` is the reply with everything in it; `metadata` holds "warnings" and "json_mode", if any."""

    text: str
    finish_reason: FinishReason
    usage: Usage | None
    model: str
    provider: str
    latency_ms: float
    raw: ChatReply
    request_id: str
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self.metadata.get("warnings", ()))

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        return self.raw.message.tool_calls


class HealthState(StrEnum):
    """How a source is. UNKNOWN until somebody has looked; OFFLINE when it was closed."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    OFFLINE = "offline"
    INITIALIZING = "initializing"
    UNKNOWN = "unknown"


class HealthStatus(msgspec.Struct, frozen=True):
    """A look at a source. `latency_s` seconds of that look; `checked_at` Unix seconds; `detail` for a person."""

    status: HealthState
    latency_s: float | None
    detail: str
    checked_at: float
