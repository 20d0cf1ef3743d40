"""A stand-in for the LiteLLM library: NOT the library itself, whose own tests are its makers'.

It records how it was called and answers with OpenAI's own types, as the library does.
"""

from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

from openai import OpenAIError
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from jackfield.testing.answers import answer_for, chunk_bodies, vectors, whole_body


class RateLimitError(OpenAIError):
    """What the library raises, as it looks to who catches it; like the real one's, its text may hold a key."""

    status_code = 429

    def __init__(self, told: str) -> None:
        super().__init__()
        self.message = f"litellm.RateLimitError: {told}"
        self.litellm_response_headers = {"Retry-After": "7"}


class StandIn(ModuleType):
    """Looks like the library where the adapter looks."""

    def __init__(self) -> None:
        super().__init__("litellm")
        self.calls: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.closed = 0

    async def acompletion(self, **fields: Any) -> Any:
        self.calls.append(fields)
        if self.error is not None:
            raise self.error
        answer = answer_for(fields)
        if not fields.get("stream"):
            return ChatCompletion.model_validate(whole_body(answer, fields["model"], 1))
        return self._chunks(chunk_bodies(answer, fields["model"], 1, include_usage=True))

    async def _chunks(self, bodies: list[dict[str, Any]]) -> AsyncIterator[ChatCompletionChunk]:
        try:
            for body in bodies:
                yield ChatCompletionChunk.model_validate(body)
        finally:
            self.closed += 1

    async def aembedding(self, **fields: Any) -> Any:
        self.calls.append(fields)
        return CreateEmbeddingResponse.model_validate(vectors(fields["input"], fields["model"], 4))
