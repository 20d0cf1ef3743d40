"""POST .../models/{m}:generateContent and :streamGenerateContent: what the address says is put beside the body's fields.

Reads what the gateway must know, leaves the rest undecoded, runs the pipeline.
"""

from collections.abc import Callable
from time import perf_counter
from urllib.parse import parse_qs

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.dialects import gemini
from jackfield.doors.gemini.dialect import GeminiArray, GeminiEvents
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.continuation import wants_continuation
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.shape import LIST, OBJECT, TEXT, TEXT_OR_OBJECT, Shape


class _Part(msgspec.Struct):
    text: str | None = None


class _Content(msgspec.Struct):
    role: str | None = None
    parts: list[_Part] | _Part | None = None


_SHAPE = Shape(
    {
        **dict.fromkeys(("systemInstruction", "system_instruction"), TEXT_OR_OBJECT),
        **dict.fromkeys(("generationConfig", "generation_config", "toolConfig", "tool_config"), OBJECT),
        **dict.fromkeys(("tools", "safetySettings", "safety_settings"), LIST),
        **dict.fromkeys(("cachedContent", "cached_content"), TEXT),
    },
    "contents",
    _Content,
)
_TRUE, _FALSE, _ARRAY = msgspec.Raw(b"true"), msgspec.Raw(b"false"), msgspec.Raw(b'"json"')


class Generate:
    def __init__(self, pipeline: Pipeline, new_request_id: Callable[[], str], now: Callable[[], float]) -> None:
        self._pipeline = pipeline
        self._new_request_id = new_request_id
        self._now = now
        self._events = GeminiEvents()

    async def whole(self, client: Client, model: str) -> None:
        """The answer in one piece."""
        await self._answer(client, model, self._events, stream=False)

    async def stream(self, client: Client, model: str) -> None:
        """The answer as it comes: as events where `alt=sse` is asked for, else as an array."""
        await self._answer(client, model, self._events if _wants_events(client.query) else GeminiArray(), stream=True)

    async def _answer(self, client: Client, model: str, dialect: GeminiEvents, *, stream: bool) -> None:
        received_at = perf_counter()
        fields = gemini.parse_fields(await client.body())
        fields.pop("model", None)
        fields["stream"] = _TRUE if stream else _FALSE
        if isinstance(dialect, GeminiArray):
            fields["alt"] = _ARRAY
        call = Call(
            self._new_request_id(),
            dialect,
            fields,
            model_text=model,
            stream=stream,
            show_usage=True,
            at=self._now(),
            received_at=received_at,
        )
        call.continues = stream and wants_continuation(client.headers)
        if memoryview(fields.get("contents", b""))[:1].tobytes() != b"[":
            raise BadRequest("contents must be a list of {role, parts} objects", param="contents")
        _SHAPE.check(fields)
        await self._pipeline.run(call, client)


def _wants_events(query: bytes) -> bool:
    """Whether an address's query has `alt=sse`; most clients send nothing else in it."""
    return query == b"alt=sse" or parse_qs(query.decode("latin-1")).get("alt", [""])[-1] == "sse"
