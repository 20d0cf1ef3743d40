"""Rerank as Cohere and Jina have it and most servers copy it: a query and documents in, their order out. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.requests import RerankReply, RerankRequest
from jackfield.dialects.json_value import field_value, missing, read_array, read_flag, wrong_type

PATH = "rerank"
_KNOWN = frozenset({"model", "query", "documents", "top_n", "return_documents", "provider"})


def decode_rerank_request(fields: Mapping[str, msgspec.Raw]) -> tuple[RerankRequest, bool]:
    """The request, and whether the documents are wanted back. Raises BadRequest naming the field."""
    given = {name: field_value(name, raw) for name, raw in fields.items() if name != "model"}
    query = given.get("query")
    if query is None:
        raise missing("query")
    if not isinstance(query, str):
        raise wrong_type("query", "a string", query)
    if given.get("documents") is None:
        raise missing("documents")
    documents = read_array(given["documents"], "documents")
    if not documents:
        raise BadRequest("documents is empty: give at least one", param="documents")
    top_n = given.get("top_n")
    if top_n is not None and (type(top_n) is not int or top_n < 1):
        raise BadRequest(f"top_n must be a whole number above 0, got {top_n!r}", param="top_n")
    texts = tuple(_document(item, f"documents[{place}]") for place, item in enumerate(documents))
    extra = {name: value for name, value in given.items() if name not in _KNOWN}
    return RerankRequest(query, texts, None, top_n, extra), bool(read_flag(given.get("return_documents"), "return_documents"))


def _document(item: Any, at: str) -> str:
    text = item.get("text") if isinstance(item, dict) else item
    if not isinstance(text, str):
        raise wrong_type(at, "a text or {text}", item)
    return text


def encode_rerank_reply(reply: RerankReply, request: RerankRequest, request_id: str, *, with_documents: bool) -> bytes:
    """The best first, no more than were asked for."""
    ranked = sorted(reply.results, key=lambda result: -result.score)[: request.top_n]
    results = [
        {
            "index": result.index,
            "relevance_score": result.score,
            **({"document": {"text": request.documents[result.index]}} if with_documents else {}),
        }
        for result in ranked
    ]
    usage = {"prompt_tokens": reply.usage.prompt_tokens, "total_tokens": reply.usage.total_tokens}
    return msgspec.json.encode({"id": request_id, "model": reply.model, "results": results, "usage": usage})
