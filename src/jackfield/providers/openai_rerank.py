"""Rerank beside OpenAI's calls, as the servers have it that copy Jina's: a trait of rows that say so."""

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from jackfield.core.contracts import Reranks
from jackfield.core.errors import Malformed
from jackfield.core.requests import RankedDocument, RerankReply, RerankRequest
from jackfield.core.usage import Usage
from jackfield.providers.http_json import decoded, read_reply
from jackfield.providers.http_source import HttpSource

PATH = "rerank"


class RanksDocuments:
    _source: HttpSource
    _model_for: Callable[[str, str | None], Awaitable[str]]

    async def rerank(self, request: RerankRequest) -> RerankReply:
        """The best first. Raises the mapped error, Malformed for a document that was never sent."""
        model = await self._model_for("rerank", request.model)
        reply = await self._source.post(PATH, encode_rerank(request, model), model=model)
        decode = partial(decode_rerank, count=len(request.documents), model=model)
        return await read_reply(self._source, reply, decode, "rerank", model)


class _Ranked(msgspec.Struct):
    index: int
    relevance_score: float


class _Counted(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Ranking(msgspec.Struct):
    results: list[_Ranked]
    model: str | None = None
    usage: _Counted = _Counted()


def encode_rerank(request: RerankRequest, model: str) -> bytes:
    fields = {**request.extra, "model": model, "query": request.query, "documents": request.documents}
    return msgspec.json.encode(fields if request.top_n is None else {**fields, "top_n": request.top_n})


def decode_rerank(body: bytes, count: int, model: str) -> RerankReply:
    ranking = decoded(body, _Ranking, "the ranking")
    if not all(0 <= result.index < count for result in ranking.results):
        raise Malformed(f"{count} documents were sent, and the ranking names another one")
    best = sorted(ranking.results, key=lambda result: -result.relevance_score)
    results = tuple(RankedDocument(result.index, result.relevance_score) for result in best)
    return RerankReply(results, ranking.model or model, Usage(ranking.usage.prompt_tokens or ranking.usage.total_tokens or 0))


def _satisfies() -> type[Reranks]:
    return RanksDocuments
