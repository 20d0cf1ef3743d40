"""Texts to vectors, by the first source behind a model name that makes them. Knows bindings, not messages."""

import asyncio
from time import perf_counter

import msgspec

from jackfield.core.errors import BadRequest, JackfieldError, NotSupported, TimedOut
from jackfield.core.requests import EmbedReply, EmbedRequest
from jackfield.core.usage import Usage
from jackfield.gateway.naming import Names, empty
from jackfield.slots.metrics import GOOD
from jackfield.slots.slot import Binding

TEXTS_MAX = 2048
CANCELLED = "cancelled"


class Embedded(msgspec.Struct, frozen=True):
    """An answer, and who gave it."""

    reply: EmbedReply
    slot: int
    provider: str


class Embeddings:
    """`within_s` bounds each request."""

    def __init__(self, names: Names, within_s: float) -> None:
        self._names = names
        self._within_s = within_s

    async def embed(self, request: EmbedRequest) -> Embedded:
        """Raises ModelNotFound, SlotEmpty, NotSupported where nobody there makes vectors, what the source does."""
        if len(request.inputs) > TEXTS_MAX:
            raise BadRequest(f"inputs are {len(request.inputs)} texts, {TEXTS_MAX} may be asked at once", param="inputs")
        name = request.model or ""
        found = self._names.find(name)
        if all(slot.binding is None for slot, _ in found):
            raise empty(found[0][0])
        for slot, model in found:
            binding = slot.binding
            if binding is not None and binding.embeds is not None and binding.live.capabilities.embeddings:
                reply = await self._ask(binding, msgspec.structs.replace(request, model=model))
                return Embedded(reply, int(slot.number), binding.info.id)
        raise NotSupported(f"nobody behind {name!r} makes vectors: plug an embedding model into another slot", param="model")

    async def _ask(self, binding: Binding, request: EmbedRequest) -> EmbedReply:
        assert binding.embeds is not None
        began, outcome, usage = perf_counter(), CANCELLED, Usage()
        binding.acquire()
        try:
            async with asyncio.timeout(self._within_s):
                reply = await binding.embeds.embed(request)
            outcome, usage = GOOD, reply.usage
            return reply
        except TimeoutError as error:
            outcome = TimedOut.default_code
            raise TimedOut(f"no vectors within {self._within_s:g} s", provider=binding.info.id) from error
        except JackfieldError as error:
            outcome = error.code
            error.provider = error.provider or binding.info.id
            raise
        finally:
            binding.release()
            binding.metrics.observe(perf_counter() - began, None, usage, None, outcome)
