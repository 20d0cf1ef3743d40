"""POST /api/embed and /api/embeddings, its older form: vectors from whatever slot makes them.

A request without a text is about the model, as in answer.py.
"""

from collections.abc import Callable
from time import perf_counter

import msgspec

from jackfield.core.contracts import Embeds
from jackfield.core.requests import EmbedReply, EmbedRequest
from jackfield.dialects import ollama, ollama_embeddings
from jackfield.dialects.openai_chat import parse_fields
from jackfield.doors.ollama.dialect import OllamaChat
from jackfield.doors.ollama.resting import brought
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.errand import Done, Errand
from jackfield.gateway.fields import model_of
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.stock import Stock


class Embed:
    """For one of the two calls."""

    def __init__(
        self,
        form: ollama_embeddings.Form,
        pipeline: Pipeline,
        stock: Stock,
        new_request_id: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        self._form = form
        self._pipeline = pipeline
        self._stock = stock
        self._new_request_id = new_request_id
        self._now = now
        self._dialect = OllamaChat()

    async def __call__(self, client: Client) -> None:
        received_at = perf_counter()
        body = await client.body()
        fields = parse_fields(body)
        asked_for = model_of(fields)
        wish = ollama.load_wish(fields)
        call = Call(
            self._new_request_id(),
            self._dialect,
            fields,
            model_text=self._stock.known_as(asked_for),
            stream=False,
            show_usage=True,
            at=self._now(),
            received_at=received_at,
        )
        if wish is not None:
            call.errand = self._loading(wish, asked_for)
        else:
            call.errand = self._errand(ollama_embeddings.decode_embed_request(fields, form=self._form))
        call.prompt_bytes = len(body)
        await self._pipeline.run(call, client)

    def _errand(self, request: EmbedRequest) -> Errand:
        async def run(provider: Embeds, model: str | None) -> Done:
            reply = await provider.embed(msgspec.structs.replace(request, model=model))
            return Done(ollama_embeddings.encode_embed_reply(reply, form=self._form), reply.usage, reply.model)

        return Errand("embeddings", Embeds, run)

    def _loading(self, wish: ollama.LoadWish, name: str) -> Errand:
        async def run(provider: Embeds, model: str | None) -> Done:
            await brought(provider, wish, model)
            return Done(ollama_embeddings.encode_embed_reply(EmbedReply((), model or name), form=self._form))

        return Errand("embeddings", Embeds, run)
