"""A fake Cohere API on loopback: fixed answers of its chat, embed, rerank and models calls, and any misbehaviour asked of it.

Written after Cohere's API reference (v2 chat and its stream, v2 embed, v2 rerank, models). How a fake serves is
testing/fake_server.py's, what it says is in testing/answers.py.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qs

import msgspec

from jackfield.dialects import sse
from jackfield.testing.answers import Answer, altered, answer_for, vectors
from jackfield.testing.fake_server import Behaviour, FakeServer, Recorded, Wire

_REASONS = {"stop": "COMPLETE", "tool_calls": "TOOL_CALL", "length": "MAX_TOKENS", "content_filter": "ERROR_TOXIC"}
_WORDS = re.compile(r"\w+")
PREAMBLE_TOKENS = 60
"""What the real one counts of its own words, and does not bill."""
PLAN = "I will look it up."
CHAT_MODELS = ("command-a-plus-05-2026", "command-a-03-2025", "fake-model")
OTHER_MODELS = {"embed-v5.0-fast": "embed", "rerank-v5.0-pro": "rerank"}


class FakeCohere(FakeServer):
    """`async with FakeCohere() as fake:` serves until the block is left. `page_size` cuts the model list into pages."""

    base_path: ClassVar[str] = ""

    def __init__(
        self,
        models: Sequence[str] = CHAT_MODELS,
        *,
        require_key: str | None = None,
        behaviour: Behaviour | None = None,
        dimensions: int = 8,
        page_size: int = 1000,
    ) -> None:
        super().__init__(require_key=require_key, behaviour=behaviour)
        self.models = [*models, *OTHER_MODELS]
        self.dimensions = dimensions
        self.page_size = page_size

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        return {"id": f"error-{status}", "message": message}

    def stream_error(self, message: str, code: str | None) -> bytes:
        return _event({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": message}})

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        path, _, query = request.path.partition("?")
        if path == "/v1/models" and request.method == "GET":
            return await wire.json(200, self._page(parse_qs(query)))
        if request.method != "POST":
            return await wire.json(404, self.error(404, f"{path} is not there", None))
        asked = request.json
        if asked.get("model") not in self.models:
            missing = f"model '{asked.get('model')}' not found, make sure the correct model ID was used"
            return await wire.json(404, self.error(404, missing, None))
        match path:
            case "/v2/chat":
                return await self._chat(asked, behaviour, wire)
            case "/v2/embed":
                return await wire.json(200, self._embedded(asked))
            case "/v2/rerank":
                return await wire.json(200, self._ranked(asked))
        return await wire.json(404, self.error(404, f"{path} is not there", None))

    def _page(self, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        start = int(query.get("page_token", ["0"])[0])
        end = start + min(self.page_size, int(query.get("page_size", ["20"])[0]))
        page: dict[str, Any] = {"models": [_listed(model) for model in self.models[start:end]]}
        return page | ({"next_page_token": str(end)} if end < len(self.models) else {})

    def _embedded(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        texts = asked["texts"]
        found = vectors(texts, "", asked.get("output_dimension") or self.dimensions)
        billed = {"input_tokens": float(found["usage"]["prompt_tokens"])}
        return {
            "id": "embed-fake",
            "response_type": "embeddings_by_type",
            "embeddings": {"float": [item["embedding"] for item in found["data"]]},
            "texts": texts,
            "meta": {"api_version": {"version": "2"}, "billed_units": billed},
        }

    def _ranked(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The share of the query's words that a document holds."""
        wanted = set(_WORDS.findall(asked["query"].lower()))
        scores = [len(wanted & set(_WORDS.findall(text.lower()))) / max(1, len(wanted)) for text in asked["documents"]]
        best = sorted(range(len(scores)), key=lambda index: -scores[index])[: asked.get("top_n")]
        results = [{"index": index, "relevance_score": scores[index]} for index in best]
        meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1.0}}
        return {"id": "rerank-fake", "results": results, "meta": meta}

    async def _chat(self, asked: Mapping[str, Any], behaviour: Behaviour, wire: Wire) -> bool:
        self.completions += 1
        answer = altered(answer_for(_as_chat(asked)), is_empty=behaviour.is_empty, finish_reason=behaviour.finish_reason)
        id_ = f"chat-{self.completions}"
        if asked.get("stream") and not behaviour.ignores_stream:
            return await self.stream([*map(_event, _events(answer, id_)), b"data: [DONE]\n\n"], behaviour, wire)
        return await self.whole({"id": id_, "message": _message(answer), **_end(answer)}, behaviour, wire)


def _event(value: Mapping[str, Any]) -> bytes:
    return sse.encode(msgspec.json.encode(value), value["type"])


def _listed(model: str) -> dict[str, Any]:
    task = OTHER_MODELS.get(model, "chat")
    features = ["json_mode", "json_schema", "tools", "tool_choice", "vision"] if task == "chat" else None
    return {
        "name": model,
        "is_deprecated": False,
        "endpoints": [task],
        "finetuned": False,
        "context_length": 256_000.0 if task == "chat" else 32_000.0,
        "tokenizer_url": None,
        "default_endpoints": [],
        "features": features,
    }


def _end(answer: Answer) -> dict[str, Any]:
    counted = answer.usage
    given, written = counted["prompt_tokens"], counted["completion_tokens"]
    usage = {
        "billed_units": {"input_tokens": float(given), "output_tokens": float(written)},
        "tokens": {"input_tokens": float(given + PREAMBLE_TOKENS), "output_tokens": float(written)},
        "cached_tokens": 0.0,
    }
    return {"finish_reason": _REASONS.get(answer.finish_reason, answer.finish_reason), "usage": usage}


def _message(answer: Answer) -> dict[str, Any]:
    content = [{"type": "thinking", "thinking": answer.reasoning}] if answer.reasoning else []
    content += [{"type": "text", "text": answer.text}] if answer.text else []
    message: dict[str, Any] = {"role": "assistant"} | ({"content": content} if content else {})
    if answer.tool_calls:
        message["tool_plan"] = PLAN
        message["tool_calls"] = [_call(index, *call) for index, call in enumerate(answer.tool_calls)]
    return message


def _call(index: int, name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"{name}_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}


def _events(answer: Answer, id_: str) -> Iterator[dict[str, Any]]:
    message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"type": "message-start", "id": id_, "delta": {"message": message}}
    at = 0
    if answer.reasoning:
        yield from _block(at, "thinking", [answer.reasoning])
        at += 1
    if answer.text:
        yield from _block(at, "text", answer.pieces)
    if answer.tool_calls:
        for word in re.findall(r"\S+\s*", PLAN):
            yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": word}}}
    for index, (name, arguments) in enumerate(answer.tool_calls):
        opened = {"message": {"tool_calls": _call(index, name, "")}}
        yield {"type": "tool-call-start", "index": index, "delta": opened}
        half = len(arguments) // 2
        for piece in (arguments[:half], arguments[half:]):
            more = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
            yield {"type": "tool-call-delta", "index": index, "delta": more}
        yield {"type": "tool-call-end", "index": index}
    yield {"type": "message-end", "id": id_, "delta": _end(answer)}


def _block(at: int, kind: str, pieces: Sequence[str]) -> Iterator[dict[str, Any]]:
    yield {"type": "content-start", "index": at, "delta": {"message": {"content": {"type": kind, kind: ""}}}}
    for piece in pieces:
        yield {"type": "content-delta", "index": at, "delta": {"message": {"content": {kind: piece}}}}
    yield {"type": "content-end", "index": at}


def _as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request in the words that testing/answers.py reads: they are nearly the same."""
    thinks = (body.get("thinking") or {}).get("type") == "enabled"
    return {**body, "reasoning_effort": "low" if thinks else None}
