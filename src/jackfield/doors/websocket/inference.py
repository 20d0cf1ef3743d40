"""What an `inference` message asks for, done through the gateway's pipeline: text, or vectors.

Knows tasks and requests. Who hears the answer is given; sockets are not known here.
"""

from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

import msgspec

from jackfield.core.contracts import Embeds
from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.requests import ChatRequest, EmbedRequest
from jackfield.core.tasks import TEXT_EMBEDDING, TEXT_GENERATION
from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat
from jackfield.doors.websocket.answers import Answer, tokens
from jackfield.doors.websocket.messages import Inference, InferenceResult, RequestId, Served
from jackfield.gateway.call import Call
from jackfield.gateway.dialect import DoorDialect
from jackfield.gateway.errand import Done, Errand
from jackfield.gateway.pipeline import Pipeline
from jackfield.routing.tasks import task_request

_EVERY_FIELD = openai_chat.ChatQuirks(extra_fields=("*",))
"""Parameters that we do not know are the source's business: none is left out."""


class Inferences:
    """`dialect` is the chat dialect of OpenAI as a door has it; `now` gives Unix seconds."""

    def __init__(
        self,
        pipeline: Pipeline,
        dialect: DoorDialect,
        new_request_id: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        self._pipeline = pipeline
        self._dialect = dialect
        self._new_request_id = new_request_id
        self._now = now

    async def run(self, asked: Inference, answer: Answer) -> None:
        """Gives `answer` its end. Raises a JackfieldError only before that; cancelling closes upstream."""
        request = task_request(
            asked.task, _inputs(asked.inputs), model=asked.model, parameters=asked.parameters, stream=asked.stream
        )
        if isinstance(request, ChatRequest):
            await self._generate(request, answer)
        elif isinstance(request, EmbedRequest):
            await self._embed(request, asked, answer)
        else:
            raise NotSupported(f"this door answers {TEXT_GENERATION} and {TEXT_EMBEDDING}, not {asked.task}", param="task")

    async def _generate(self, request: ChatRequest, answer: Answer) -> None:
        body, _ = openai_chat.encode_request(request, _EVERY_FIELD)
        call = self._call(openai_chat.parse_fields(body), request.model, stream=request.stream)
        await self._ask(call, answer)

    async def _embed(self, request: EmbedRequest, asked: Inference, answer: Answer) -> None:
        """For one text its vector, for several a list of them."""
        if asked.stream:
            raise BadRequest(f"{TEXT_EMBEDDING} has no stream: leave stream out", param="stream")
        call = self._call({}, request.model, stream=False)
        call.errand = Errand("embeddings", Embeds, partial(_vectors_of, request))
        answer.result_of = partial(_vectors_told, isinstance(_inputs(asked.inputs), str))
        await self._ask(call, answer)

    def _call(self, fields: dict[str, msgspec.Raw], model: str | None, *, stream: bool) -> Call:
        return Call(
            self._new_request_id(),
            self._dialect,
            fields,
            model_text=model or "",
            stream=stream,
            show_usage=stream,
            at=self._now(),
            received_at=perf_counter(),
        )

    async def _ask(self, call: Call, answer: Answer) -> None:
        answer.call = call
        await self._pipeline.run(call, answer)


class _Vectors(msgspec.Struct, frozen=True):
    """An EmbedReply as far as it must be read: the numbers stay as they are."""

    vectors: list[msgspec.Raw]
    model: str
    usage: Usage


_read_vectors = msgspec.json.Decoder(_Vectors).decode


async def _vectors_of(request: EmbedRequest, provider: Embeds, model: str | None) -> Done:
    reply = await provider.embed(msgspec.structs.replace(request, model=model))
    return Done(msgspec.json.encode(reply), reply.usage, reply.model)


def _vectors_told(is_one: bool, request_id: RequestId, body: bytes, served: Served) -> InferenceResult:
    told = _read_vectors(body)
    result = told.vectors[0] if is_one else told.vectors
    return InferenceResult(request_id, result, told.model, TEXT_EMBEDDING, usage=tokens(told.usage), served=served)


def _inputs(inputs: Any) -> Any:
    """Also {"messages": [...]} and {"prompt": "..."}, as people who come from HTTP write them."""
    if isinstance(inputs, Mapping):
        for name in ("messages", "prompt", "text"):
            if name in inputs:
                return inputs[name]
    return inputs
