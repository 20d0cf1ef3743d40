"""What an `inference` message asks for, done: text through the gateway's pipeline, vectors by whatever stands behind the name.

Knows tasks and requests. Who hears the answer is given; sockets are not known here.
"""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.requests import ChatRequest, EmbedRequest
from jackfield.core.tasks import TEXT_EMBEDDING, TEXT_GENERATION
from jackfield.dialects import openai_chat
from jackfield.doors.websocket.answers import Answer, tokens
from jackfield.doors.websocket.embedding import Embeddings
from jackfield.doors.websocket.messages import Inference, InferenceResult, RequestId, Served
from jackfield.gateway.call import Call
from jackfield.gateway.dialect import DoorDialect
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
        embeddings: Embeddings,
        new_request_id: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        self._pipeline = pipeline
        self._dialect = dialect
        self._embeddings = embeddings
        self._new_request_id = new_request_id
        self._now = now

    async def run(self, request_id: RequestId, asked: Inference, answer: Answer) -> None:
        """Gives `answer` its end. Raises a JackfieldError only before that; cancelling closes upstream."""
        request = task_request(
            asked.task, _inputs(asked.inputs), model=asked.model, parameters=asked.parameters, stream=asked.stream
        )
        if isinstance(request, ChatRequest):
            await self._generate(request, answer)
        elif isinstance(request, EmbedRequest):
            await self._embed(request_id, request, asked, answer)
        else:
            raise NotSupported(f"this door answers {TEXT_GENERATION} and {TEXT_EMBEDDING}, not {asked.task}", param="task")

    async def _generate(self, request: ChatRequest, answer: Answer) -> None:
        received_at = perf_counter()
        body, _ = openai_chat.encode_request(request, _EVERY_FIELD)
        call = Call(
            self._new_request_id(),
            self._dialect,
            openai_chat.parse_fields(body),
            model_text=request.model or "",
            stream=request.stream,
            show_usage=request.stream,
            at=self._now(),
            received_at=received_at,
        )
        answer.call = call
        await self._pipeline.run(call, answer)

    async def _embed(self, request_id: RequestId, request: EmbedRequest, asked: Inference, answer: Answer) -> None:
        if asked.stream:
            raise BadRequest(f"{TEXT_EMBEDDING} has no stream: leave stream out", param="stream")
        found = await self._embeddings.embed(request)
        reply = found.reply
        result = reply.vectors[0] if isinstance(_inputs(asked.inputs), str) else reply.vectors
        served = Served(None, found.slot, found.provider)
        usage = tokens(reply.usage)
        await answer.say(InferenceResult(request_id, result, reply.model, TEXT_EMBEDDING, usage=usage, served=served))


def _inputs(inputs: Any) -> Any:
    """Also {"messages": [...]} and {"prompt": "..."}, as people who come from HTTP write them."""
    if isinstance(inputs, Mapping):
        for name in ("messages", "prompt", "text"):
            if name in inputs:
                return inputs[name]
    return inputs
