"""POST /v1/chat/completions and /v1/completions: reads what the gateway must know of a body, leaves the rest undecoded."""

from collections.abc import Callable
from time import perf_counter

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.dialects import openai_chat
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.continuation import wants_continuation
from jackfield.gateway.fields import flag_of, model_of
from jackfield.gateway.pipeline import Pipeline


class StreamOptions(msgspec.Struct):
    """The one stream option that is ours to act upon."""

    include_usage: bool | None = None


_stream_options = msgspec.json.Decoder(StreamOptions | None).decode


class ChatCompletions:
    """`dialect` is the newer one or the older."""

    def __init__(
        self,
        pipeline: Pipeline,
        new_request_id: Callable[[], str],
        now: Callable[[], float],
        dialect: OpenAIChat | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._new_request_id = new_request_id
        self._now = now
        self._dialect = dialect or OpenAIChat()

    async def __call__(self, client: Client) -> None:
        received_at = perf_counter()
        fields = openai_chat.parse_fields(await client.body())
        call = Call(
            self._new_request_id(),
            self._dialect,
            fields,
            model_text=model_of(fields),
            stream=flag_of(fields, "stream"),
            show_usage="stream_options" in fields and _wants_usage(fields["stream_options"]),
            at=self._now(),
            received_at=received_at,
        )
        call.continues = call.stream and self._dialect.can_be_continued and wants_continuation(client.headers)
        call.may_say_nothing = self._dialect.may_say_nothing
        self._dialect.check(fields)
        await self._pipeline.run(call, client)


def _wants_usage(raw: msgspec.Raw) -> bool:
    try:
        options = _stream_options(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest('stream_options must be an object such as {"include_usage": true}', param="stream_options") from None
    return options is not None and options.include_usage is True
