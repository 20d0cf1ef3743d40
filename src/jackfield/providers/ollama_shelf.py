"""The models of an Ollama server: what is on its disk and in its memory, and how one gets there and away again.

Knows the calls; bytes are the dialect's business. Chat is in ollama.py. Source: docs.ollama.com/api (October 2026).
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec

from jackfield.core.contracts import LoadedModel, PullProgress, RawReply
from jackfield.core.errors import JackfieldError, NotSupported, StreamBroken
from jackfield.core.profiles import ModelProfile
from jackfield.dialects import ollama_models
from jackfield.dialects.ndjson import NdjsonDecoder
from jackfield.providers.http_json import read_reply
from jackfield.providers.http_source import HttpSource

_encode = msgspec.json.Encoder().encode
_DONE = "success"
Made = TypeVar("Made")


class ModelShelf:
    """Of one server. `source` asks with the slot's own times, `patient` with those of a download.

    `keep_alive` is how long a model stays in memory after its last use; None leaves it to the server.
    """

    def __init__(self, source: HttpSource, patient: HttpSource, provider: str, keep_alive: str | float | None) -> None:
        self._source = source
        self._patient = patient
        self._provider = provider
        self._stay: Mapping[str, Any] = {} if keep_alive is None else {"keep_alive": keep_alive}

    async def listed(self) -> tuple[ModelProfile, ...]:
        """Raises Upstream errors and AuthFailed."""
        return await self._looked("api/tags", "list models", lambda body: ollama_models.decode_tags(body, self._provider))

    async def shown(self, model: str) -> ModelProfile:
        """Raises ModelNotFound."""
        return await self._posted(
            "api/show", {"model": model}, model, lambda body: ollama_models.decode_show(body, model, self._provider)
        )

    async def running(self) -> tuple[LoadedModel, ...]:
        return await self._looked("api/ps", "list loaded models", ollama_models.decode_running)

    async def version(self) -> str:
        return await self._looked("api/version", "version", ollama_models.decode_version)

    async def pull(self, model: str) -> AsyncGenerator[PullProgress, None]:
        """Raises what a line of the pull tells as an error, StreamBroken where it stops before the model is there."""
        reply = await self._patient.post("api/pull", _encode({"model": model, "stream": True}), model=model)
        try:
            async with aclosing(_progress(reply, self._provider)) as steps:
                async for step in steps:
                    yield step
        except JackfieldError as error:
            raise self._source.failed(error, "pull", model) from error.__cause__
        finally:
            await reply.aclose()

    async def delete(self, model: str) -> None:
        """Raises ModelNotFound."""
        reply = await self._source.delete("api/delete", _encode({"model": model}), operation="delete a model")
        await reply.aclose()

    async def copy(self, model: str, new_name: str) -> None:
        """Raises ModelNotFound."""
        await self._posted("api/copy", {"source": model, "destination": new_name}, model, _nothing)

    async def load(self, model: str) -> None:
        """Into memory, without asking it anything. Raises ModelNotFound, Unavailable where there is no room."""
        body = {"model": model, "stream": False, **self._stay}
        try:
            await self._posted("api/generate", {**body, "prompt": ""}, model, _nothing)
        except NotSupported:  # it makes vectors, not words
            await self._posted("api/embed", {**body, "input": []}, model, _nothing)

    async def unload(self, model: str) -> None:
        """Raises ModelNotFound."""
        body = {"model": model, "prompt": "", "stream": False, "keep_alive": 0}
        await self._posted("api/generate", body, model, _nothing)

    async def _looked(self, path: str, operation: str, decode: Callable[[bytes], Made]) -> Made:
        return await read_reply(self._source, await self._source.get(path, operation=operation), decode, operation, None)

    async def _posted(self, path: str, body: Mapping[str, Any], model: str, decode: Callable[[bytes], Made]) -> Made:
        return await read_reply(self._source, await self._source.post(path, _encode(body), model=model), decode, path, model)


def _nothing(body: bytes) -> None:
    """An answer whose status says everything."""


async def _progress(reply: RawReply, provider: str) -> AsyncGenerator[PullProgress, None]:
    lines = NdjsonDecoder()
    status = ""
    while True:
        chunk = await reply.chunk()
        for line in lines.feed(chunk) if chunk else lines.finish():
            step = ollama_models.decode_progress(line, provider)
            status = step.status
            yield step
        if not chunk:
            break
    if status != _DONE:
        raise StreamBroken("the pull stopped before the model was there; what was fetched is kept for the next pull")
