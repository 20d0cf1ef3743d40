"""A fake Claude API on loopback: fixed answers in Anthropic's format, and any misbehaviour asked of it.

Written after Anthropic's API reference (messages, count_tokens, models, message batches). How a fake serves is
testing/fake_server.py's, what it says is in testing/answers.py.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar
from urllib.parse import parse_qs

import msgspec

from jackfield.testing.answers import Answer, altered, answer_for
from jackfield.testing.fake_server import Behaviour, FakeServer, Recorded, Wire

CREATED = "2026-01-01T00:00:00Z"
SIGNATURE = "c2lnbmVkIGJ5IG5vYm9keQ=="
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class FakeAnthropic(FakeServer):
    """`async with FakeAnthropic() as fake:` serves until the block is left.

    A request without `anthropic-version` or `max_tokens` is refused, as is one whose roles do not take turns or whose tool
    results do not come first. `page_size` cuts the model list into pages; `cached_tokens` are told as read from the cache;
    a batch has ended as soon as somebody has asked for it `batch_looks` times.
    """

    heartbeat: ClassVar[bytes] = b'event: ping\ndata: {"type": "ping"}\n\n'

    def __init__(
        self,
        models: Sequence[str] = ("claude-fake-1", "fake-model"),
        *,
        require_key: str | None = None,
        behaviour: Behaviour | None = None,
        page_size: int = 1000,
        cached_tokens: int = 0,
        batch_looks: int = 1,
    ) -> None:
        super().__init__(require_key=require_key, behaviour=behaviour)
        self.models = list(models)
        self.page_size = page_size
        self.cached_tokens = cached_tokens
        self.batch_looks = batch_looks
        self.batches: list[dict[str, Any]] = []

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        inner = {"type": _ERRORS.get(status, "api_error"), "message": message}
        return {"type": "error", "error": inner if code is None else {**inner, "code": code}, "request_id": "req_fake"}

    def stream_error(self, message: str, code: str | None) -> bytes:
        return b"event: error\ndata: " + msgspec.json.encode(self.error(529, message, code)) + self.event_end

    def is_look(self, request: Recorded) -> bool:
        return request.method == "GET" or _path(request).endswith("/count_tokens")

    def raw_question(self, text: str) -> tuple[str, dict[str, Any]]:
        return "messages", {"max_tokens": 100, "messages": [{"role": "user", "content": text}]}

    def raw_answer(self, body: bytes) -> str:
        return str(msgspec.json.decode(body)["content"][0]["text"])

    def ends_stream(self, data: bytes) -> bool:
        return data.endswith(_event("message_stop"))

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        path = _path(request)
        if "anthropic-version" not in request.headers:
            return await wire.json(400, self.error(400, "anthropic-version: header is required", None))
        if "/messages/batches" in path:
            return await self._batch(request, path.partition("/messages/batches")[2].strip("/"), wire)
        if request.method == "GET" and path.endswith("/models"):
            return await wire.json(200, self._model_page(request))
        if request.method == "POST" and path.endswith("/messages/count_tokens"):
            return await wire.json(200, {"input_tokens": answer_for(_asked(request.json)).prompt_tokens})
        if request.method == "POST" and path.endswith("/messages"):
            return await self._message(request, behaviour, wire)
        return await wire.json(404, self.error(404, f"Not found: {path}", None))

    async def _message(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        self.completions += 1
        body = request.json
        refusal = self._refusal(body)
        if refusal is not None:
            return await wire.json(*refusal)
        answer = altered(answer_for(_asked(body)), is_empty=behaviour.is_empty, finish_reason=behaviour.finish_reason)
        message = self._message_body(answer, body["model"], self.completions)
        if not body.get("stream") or behaviour.ignores_stream:
            return await self.whole(message, behaviour, wire)
        events = stream_events(message, answer)
        return await self.stream(events if behaviour.sends_done else events[:-1], behaviour, wire)

    def _message_body(self, answer: Answer, model: str, number: int) -> dict[str, Any]:
        used = answer.usage
        cached = min(self.cached_tokens, used["prompt_tokens"])
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": _content(answer, number),
            "stop_reason": _REASONS.get(answer.finish_reason, answer.finish_reason),
            "stop_sequence": None,
            "usage": {
                "input_tokens": used["prompt_tokens"] - cached,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": cached,
                "output_tokens": used["completion_tokens"],
            },
        }

    def _refusal(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]] | None:
        if body.get("model") not in self.models:
            return 404, self.error(404, f"model: {body.get('model')}", None)
        if "max_tokens" not in body:
            return 400, self.error(400, "max_tokens: Field required", None)
        roles = [message["role"] for message in body.get("messages", [])]
        if not roles or roles[0] != "user" or any(one == two for one, two in pairwise(roles)):
            return 400, self.error(400, "messages: roles must alternate, and the first must be user", None)
        for message in body["messages"]:
            kinds = [block["type"] for block in message["content"]] if isinstance(message["content"], list) else []
            if kinds != sorted(kinds, key=lambda kind: kind != "tool_result") and "tool_result" in kinds:
                return 400, self.error(400, "messages: tool_result blocks must come first", None)
        return None

    def _model_page(self, request: Recorded) -> dict[str, Any]:
        after = parse_qs(request.path.partition("?")[2]).get("after_id", [""])[0]
        start = self.models.index(after) + 1 if after in self.models else 0
        page = self.models[start : start + self.page_size]
        return {
            "data": [_model(name) for name in page],
            "has_more": start + len(page) < len(self.models),
            "first_id": page[0] if page else None,
            "last_id": page[-1] if page else None,
        }

    async def _batch(self, request: Recorded, rest: str, wire: Wire) -> bool:
        if request.method == "POST" and not rest:
            number = len(self.batches) + 1
            self.batches.append(
                {"id": f"msgbatch_{number}", "asked": request.json["requests"], "looks": 0, "is_stopped": False}
            )
            return await wire.json(200, self._batch_body(self.batches[-1]))
        batch_id, _, call = rest.partition("/")
        batch = next((batch for batch in self.batches if batch["id"] == batch_id), None)
        if batch is None:
            return await wire.json(404, self.error(404, f"No batch {batch_id}", None))
        if call == "results":
            return await wire.send(200, self._results(batch), {"content-type": "application/x-jsonl"})
        batch["is_stopped"] = batch["is_stopped"] or call == "cancel"
        batch["looks"] += 1
        return await wire.json(200, self._batch_body(batch))

    def _batch_body(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        has_ended = batch["looks"] >= self.batch_looks
        state = "ended" if has_ended else "canceling" if batch["is_stopped"] else "in_progress"
        done = sum(not self._refusal(item["params"]) for item in batch["asked"])
        counts = {"processing": 0, "succeeded": done, "errored": len(batch["asked"]) - done, "canceled": 0, "expired": 0}
        return {
            "id": batch["id"],
            "type": "message_batch",
            "processing_status": state,
            "request_counts": counts if has_ended else dict.fromkeys(counts, 0) | {"processing": len(batch["asked"])},
            "created_at": CREATED,
            "expires_at": "2026-01-02T00:00:00Z",
            "ended_at": CREATED if has_ended else None,
            "cancel_initiated_at": None,
            "archived_at": None,
            "results_url": f"{self.base_url}/messages/batches/{batch['id']}/results" if has_ended else None,
        }

    def _results(self, batch: Mapping[str, Any]) -> bytes:
        """Last first: results come in any order."""
        lines = []
        for number, item in reversed(list(enumerate(batch["asked"], 1))):
            refusal = self._refusal(item["params"])
            if refusal is None:
                answer = answer_for(_asked(item["params"]))
                result = {"type": "succeeded", "message": self._message_body(answer, item["params"]["model"], number)}
            else:
                result = {"type": "errored", "error": refusal[1]}
            lines.append(msgspec.json.encode({"custom_id": item["custom_id"], "result": result}))
        return b"\n".join(lines) + b"\n"


def _path(request: Recorded) -> str:
    return request.path.partition("?")[0]


def _model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name.replace("-", " ").title(), "created_at": CREATED,
            "lifecycle": "active"}  # fmt: skip


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind, **fields}) + b"\n\n"


def _asked(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request as the player of testing/answers.py reads one."""
    system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    thinking = body.get("thinking") or {}
    output = body.get("output_config") or {}
    return {
        "messages": [*system, *map(_message, body.get("messages", []))],
        "max_tokens": body.get("max_tokens"),
        "tools": [{"function": {"name": tool["name"]}} for tool in body.get("tools", [])],
        "reasoning_effort": "high" if thinking.get("type") in ("enabled", "adaptive") else None,
        "response_format": {"type": "json_schema"} if output.get("format") else {},
    }


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if isinstance(content, str):
        return dict(message)
    if content and content[0]["type"] == "tool_result":
        return {"role": "tool", "content": str(content[0].get("content", ""))}
    parts = [{"type": "image_url"} if block["type"] == "image" else block for block in content]
    return {"role": message["role"], "content": parts}


def _content(answer: Answer, number: int) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.reasoning:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": SIGNATURE})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for index, (name, arguments) in enumerate(answer.tool_calls):
        input_ = msgspec.json.decode(arguments)
        blocks.append({"type": "tool_use", "id": f"toolu_{number}_{index}", "name": name, "input": input_})
    return blocks


def stream_events(message: dict[str, Any], answer: Answer) -> list[bytes]:
    """The same answer as a stream, a ping among its events."""
    begun = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    events = [_event("message_start", message=begun), _event("ping")]
    for index, block in enumerate(message["content"]):
        opened, deltas = _pieces(block, answer)
        events.append(_event("content_block_start", index=index, content_block=opened))
        events += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        events.append(_event("content_block_stop", index=index))
    stop = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    return [*events, _event("message_delta", delta=stop, usage=message["usage"]), _event("message_stop")]


def _pieces(block: dict[str, Any], answer: Answer) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it opens, and the deltas that fill it."""
    match block["type"]:
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in answer.pieces]
        case "thinking":
            thoughts = [{"type": "thinking_delta", "thinking": f"{word} "} for word in block["thinking"].split()]
            thoughts[-1]["thinking"] = thoughts[-1]["thinking"].rstrip()
            return {**block, "thinking": "", "signature": ""}, [
                *thoughts,
                {"type": "signature_delta", "signature": block["signature"]},
            ]
    text = msgspec.json.encode(block["input"]).decode()
    half = len(text) // 2
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", text[:half], text[half:])]
    return {**block, "input": {}}, deltas
