"""OpenAI's moderation call: texts to flags by category. A trait of rows that say so."""

from collections.abc import Awaitable, Callable

import msgspec

from jackfield.core.contracts import Moderates
from jackfield.core.errors import BadRequest, Malformed
from jackfield.core.requests import ModerateReply, ModerateRequest, Moderation
from jackfield.providers.http_json import decoded, read_reply
from jackfield.providers.http_source import HttpSource

PATH = "moderations"


class JudgesTexts:
    _source: HttpSource
    _model_for: Callable[[str, str | None], Awaitable[str]]

    async def moderate(self, request: ModerateRequest) -> ModerateReply:
        """One result for each input. Raises BadRequest without inputs, the mapped error, Malformed for a wrong count."""
        model = await self._model_for("moderation", request.model)
        reply = await self._source.post(PATH, encode_moderate(request, model), model=model)
        return await read_reply(self._source, reply, lambda body: decode_moderate(body, request, model), "moderate", model)


class _Result(msgspec.Struct):
    flagged: bool
    categories: dict[str, bool | None] = {}
    category_scores: dict[str, float | None] = {}


class _Reply(msgspec.Struct):
    results: list[_Result]
    model: str | None = None


def encode_moderate(request: ModerateRequest, model: str) -> bytes:
    if not request.inputs:
        raise BadRequest("give at least one text to judge", param="input")
    return msgspec.json.encode({**request.extra, "model": model, "input": request.inputs})


def decode_moderate(body: bytes, request: ModerateRequest, model: str) -> ModerateReply:
    whole = decoded(body, _Reply, "the moderation")
    if len(whole.results) != len(request.inputs):
        raise Malformed(f"{len(request.inputs)} texts were sent but {len(whole.results)} results came back")
    return ModerateReply(tuple(map(_result, whole.results)), whole.model or model)


def _result(result: _Result) -> Moderation:
    return Moderation(
        result.flagged,
        {name: flag for name, flag in result.categories.items() if flag is not None},
        {name: score for name, score in result.category_scores.items() if score is not None},
    )


def _satisfies() -> type[Moderates]:
    return JudgesTexts
