"""POST /v1/messages: reads what the gateway must know of a body, leaves the rest undecoded, runs the pipeline."""

from collections.abc import Callable
from time import perf_counter

from jackfield.core.errors import BadRequest
from jackfield.dialects import anthropic_messages
from jackfield.doors.anthropic.dialect import AnthropicMessages
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.continuation import wants_continuation
from jackfield.gateway.fields import flag_of, model_of
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.shape import LIST, NUMBER, OBJECT, TEXT_OR_LIST, Shape

_SHAPE = Shape(
    {
        **dict.fromkeys(("max_tokens", "temperature", "top_p", "top_k"), NUMBER),
        "system": TEXT_OR_LIST,
        "stop_sequences": LIST,
        "tools": LIST,
        "tool_choice": OBJECT,
        "thinking": OBJECT,
        "metadata": OBJECT,
        "output_config": OBJECT,
    },
    "messages",
)


class Messages:
    def __init__(self, pipeline: Pipeline, new_request_id: Callable[[], str], now: Callable[[], float]) -> None:
        self._pipeline = pipeline
        self._new_request_id = new_request_id
        self._now = now
        self._dialect = AnthropicMessages()

    async def __call__(self, client: Client) -> None:
        received_at = perf_counter()
        fields = anthropic_messages.parse_fields(await client.body())
        call = Call(
            self._new_request_id(),
            self._dialect,
            fields,
            model_text=model_of(fields),
            stream=flag_of(fields, "stream"),
            show_usage=True,
            at=self._now(),
            received_at=received_at,
        )
        call.continues = call.stream and wants_continuation(client.headers)
        if memoryview(fields.get("messages", b""))[:1].tobytes() != b"[":
            raise BadRequest("messages must be a list of {role, content} objects", param="messages")
        _SHAPE.check(fields)
        await self._pipeline.run(call, client)
