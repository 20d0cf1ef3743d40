"""POST /api/chat and /api/generate: reads what the gateway must know of a body, leaves the rest undecoded.

A request that asks nothing is about the model: it is loaded, or with `keep_alive` 0 unloaded.
"""

from collections.abc import Callable
from time import perf_counter

import msgspec

from jackfield.core.contracts import PassesThrough, RawCall
from jackfield.dialects import ollama
from jackfield.dialects.openai_chat import parse_fields
from jackfield.doors.ollama.dialect import OllamaChat
from jackfield.doors.ollama.resting import brought
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.continuation import wants_continuation
from jackfield.gateway.errand import Done, Errand
from jackfield.gateway.fields import flag_of, model_of
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.shape import LIST, OBJECT, TEXT, TEXT_OR_OBJECT, Shape
from jackfield.gateway.stock import Stock

_UNSAID = (b"", b"null")


class _Turn(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    images: list[msgspec.Raw] | None = None
    tool_calls: list[msgspec.Raw] | None = None


_SHAPE = Shape(
    {
        **dict.fromkeys(("prompt", "system", "template", "suffix"), TEXT),
        "options": OBJECT,
        "format": TEXT_OR_OBJECT,
        "tools": LIST,
        "images": LIST,
    },
    "messages",
    _Turn,
)


class Answer:
    """For one of the two calls."""

    def __init__(
        self,
        form: ollama.Form,
        pipeline: Pipeline,
        stock: Stock,
        new_request_id: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        self._pipeline = pipeline
        self._stock = stock
        self._new_request_id = new_request_id
        self._now = now
        self._dialect = OllamaChat(form)

    async def __call__(self, client: Client) -> None:
        received_at = perf_counter()
        fields = parse_fields(await client.body())
        _SHAPE.check(fields)
        asked_for = model_of(fields)
        wish = ollama.load_wish(fields)
        call = Call(
            self._new_request_id(),
            self._dialect,
            fields,
            model_text=self._stock.known_as(asked_for),
            stream=wish is None and wants_stream(fields),
            show_usage=True,
            at=self._now(),
            received_at=received_at,
        )
        if wish is not None:
            call.errand = self._loading(wish, fields, asked_for, int(call.at))
        else:
            call.continues = call.stream and wants_continuation(client.headers)
        await self._pipeline.run(call, client)

    def _loading(self, wish: ollama.LoadWish, fields: dict[str, msgspec.Raw], name: str, created: int) -> Errand:
        """A source of this dialect is told in the client's own words; one that never unloads has its models ready."""
        dialect = self._dialect

        async def run(provider: object, model: str | None) -> Done:
            info = getattr(provider, "info", None)
            if isinstance(provider, PassesThrough) and info is not None and info.dialect == dialect.name:
                return Done(await _passed(provider, RawCall(dialect.path, fields, model, stream=False)))
            await brought(provider, wish, model)
            return Done(ollama.encode_loaded(wish, model=name, created=created, form=dialect.form))

        return Errand("loading", object, run)


async def _passed(source: PassesThrough, call: RawCall) -> bytes:
    reply = await source.pass_through(call)
    try:
        return await reply.read()
    finally:
        await reply.aclose()


def wants_stream(fields: dict[str, msgspec.Raw]) -> bool:
    """Without a word about it a stream is wanted. Raises BadRequest for what is neither true nor false."""
    return bytes(fields.get("stream", b"")) in _UNSAID or flag_of(fields, "stream")
