"""POST .../models/{m}:embedContent and :batchEmbedContents: vectors from whatever slot makes them."""

from collections.abc import Callable
from time import perf_counter

import msgspec

from jackfield.core.contracts import Embeds
from jackfield.core.requests import EmbedRequest
from jackfield.dialects import gemini, gemini_embeddings
from jackfield.doors.gemini.dialect import GeminiEvents
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.errand import Done, Errand
from jackfield.gateway.pipeline import Pipeline


class Embed:
    def __init__(self, pipeline: Pipeline, new_request_id: Callable[[], str], now: Callable[[], float]) -> None:
        self._pipeline = pipeline
        self._new_request_id = new_request_id
        self._now = now
        self._dialect = GeminiEvents()

    async def one(self, client: Client, model: str) -> None:
        await self._answer(client, model, batch=False)

    async def batch(self, client: Client, model: str) -> None:
        await self._answer(client, model, batch=True)

    async def _answer(self, client: Client, model: str, *, batch: bool) -> None:
        received_at = perf_counter()
        body = await client.body()
        fields = gemini.parse_fields(body)
        request = gemini_embeddings.decode_embed_request(fields, batch=batch)
        call = Call(
            self._new_request_id(),
            self._dialect,
            fields,
            model_text=model,
            stream=False,
            show_usage=True,
            at=self._now(),
            received_at=received_at,
        )
        call.errand = _errand(request, batch=batch)
        call.prompt_bytes = len(body)
        await self._pipeline.run(call, client)


def _errand(request: EmbedRequest, *, batch: bool) -> Errand:
    async def run(provider: Embeds, model: str | None) -> Done:
        reply = await provider.embed(msgspec.structs.replace(request, model=model))
        return Done(gemini_embeddings.encode_embed_reply(reply, batch=batch), reply.usage, reply.model)

    return Errand("embeddings", Embeds, run)
