"""A fake Amazon Bedrock on loopback: fixed answers of the Converse API and its event stream, and any misbehaviour asked of it.

Written after AWS's API reference (Converse, ConverseStream, CountTokens, ListFoundationModels, ListInferenceProfiles). How a
fake serves is testing/fake_server.py's, what it says is in testing/answers.py.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec

from jackfield.dialects.event_stream import encode_message
from jackfield.testing.answers import Answer, altered, answer_for
from jackfield.testing.fake_server import Behaviour, FakeServer, Recorded, Wire

_CALL = re.compile(r"/model/(?P<model>[^/]+)/(?P<call>converse|converse-stream|count-tokens)\Z")
_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/")
_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "content_filtered"}
SIGNATURE = "RmFrZSBzaWduYXR1cmU="


def _event(kind: str, payload: Mapping[str, Any], message_type: str = "event") -> bytes:
    headers = {f":{message_type}-type": kind, ":content-type": "application/json", ":message-type": message_type}
    return encode_message(headers, msgspec.json.encode(payload))


class FakeBedrock(FakeServer):
    """`async with FakeBedrock() as fake:` serves until the block is left. `require_key` is an access key's id or an API key.

    `profiles` are inference profiles by their id, each over the first model; `page_size` cuts their list into pages.
    """

    base_path: ClassVar[str] = ""
    stream_type: ClassVar[str] = "application/vnd.amazon.eventstream"
    event_end: ClassVar[bytes] = b""
    heartbeat: ClassVar[bytes] = _event("heartbeat", {})

    def __init__(
        self,
        models: Sequence[str] = ("fake-model",),
        *,
        profiles: Sequence[str] = (),
        require_key: str | None = None,
        behaviour: Behaviour | None = None,
        page_size: int = 1000,
    ) -> None:
        super().__init__(require_key=require_key, behaviour=behaviour)
        self.models = list(models)
        self.profiles = list(profiles)
        self.page_size = page_size

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        return {"message": message} | ({"__type": code} if code and code.endswith("Exception") else {})

    def stream_error(self, message: str, code: str | None) -> bytes:
        return _event(code or "serviceUnavailableException", {"message": message}, "exception")

    def is_look(self, request: Recorded) -> bool:
        return request.method == "GET" or request.path.endswith("/count-tokens")

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        path = request.path.partition("?")[0]
        if path == "/foundation-models":
            return await wire.json(200, {"modelSummaries": [self._summary(model) for model in self.models]})
        if path == "/inference-profiles":
            return await wire.json(200, self._page(request.path))
        call = _CALL.search(path)
        if request.method != "POST" or call is None:
            return await wire.json(404, self.error(404, f"Not found: {path}", None))
        if unquote(call["model"]) not in (*self.models, *self.profiles):
            return await wire.json(400, self.error(400, "The provided model identifier is invalid.", "ValidationException"))
        if call["call"] == "count-tokens":
            asked = _as_chat(request.json["input"]["converse"])
            return await wire.json(200, {"inputTokens": max(1, answer_for(asked).prompt_tokens)})
        return await self._converse(request, behaviour, wire, is_stream=call["call"] == "converse-stream")

    def _keys(self, request: Recorded) -> list[str]:
        signed = _CREDENTIAL.match(request.headers.get("authorization", ""))
        return [signed[1]] if signed else super()._keys(request)

    def _summary(self, model: str) -> dict[str, Any]:
        return {
            "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{model}",
            "modelId": model,
            "modelName": model,
            "providerName": "Fake",
            "inputModalities": ["TEXT", "IMAGE"],
            "outputModalities": ["TEXT"],
            "responseStreamingSupported": True,
        }

    def _page(self, path: str) -> dict[str, Any]:
        start = int(found[1]) if (found := re.search(r"nextToken=(\d+)", path)) else 0
        end = start + self.page_size
        behind = [{"modelArn": self._summary(model)["modelArn"]} for model in self.models[:1]]
        entries = [
            {
                "inferenceProfileId": profile,
                "inferenceProfileArn": f"arn:aws:bedrock:us-east-1:111122223333:inference-profile/{profile}",
                "inferenceProfileName": profile,
                "models": behind,
                "status": "ACTIVE",
                "type": "SYSTEM_DEFINED",
            }
            for profile in self.profiles[start:end]
        ]
        page: dict[str, Any] = {"inferenceProfileSummaries": entries}
        return page | ({"nextToken": str(end)} if end < len(self.profiles) else {})

    async def _converse(self, request: Recorded, behaviour: Behaviour, wire: Wire, *, is_stream: bool) -> bool:
        self.completions += 1
        chat = _as_chat(request.json)
        answer = altered(answer_for(chat), is_empty=behaviour.is_empty, finish_reason=behaviour.finish_reason)
        if is_stream and not behaviour.ignores_stream:
            return await self.stream(_events(answer), behaviour, wire)
        body = {
            "output": {"message": {"role": "assistant", "content": _content(answer)}},
            "stopReason": _REASONS.get(answer.finish_reason, answer.finish_reason),
            "usage": _usage(answer),
            "metrics": {"latencyMs": 12},
        }
        return await self.whole(body, behaviour, wire)


def _content(answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.reasoning:
        blocks.append({"reasoningContent": {"reasoningText": {"text": answer.reasoning, "signature": SIGNATURE}}})
    if answer.text:
        blocks.append({"text": answer.text})
    for index, (name, arguments) in enumerate(answer.tool_calls):
        blocks.append({"toolUse": {"toolUseId": f"tooluse_{index}", "name": name, "input": msgspec.json.decode(arguments)}})
    return blocks


def _events(answer: Answer) -> list[bytes]:
    events = [_event("messageStart", {"role": "assistant", "p": "abcdef"})]
    at = 0
    if answer.reasoning:
        deltas: list[dict[str, Any]] = [{"text": answer.reasoning}, {"signature": SIGNATURE}]
        events += _block(at, [{"reasoningContent": delta} for delta in deltas])
        at += 1
    if answer.text:
        events += _block(at, [{"text": piece} for piece in answer.pieces])
        at += 1
    for index, (name, arguments) in enumerate(answer.tool_calls):
        start = {"toolUse": {"toolUseId": f"tooluse_{index}", "name": name}}
        events.append(_event("contentBlockStart", {"contentBlockIndex": at, "start": start}))
        half = len(arguments) // 2
        events += _block(at, [{"toolUse": {"input": piece}} for piece in (arguments[:half], arguments[half:])])
        at += 1
    reason = _REASONS.get(answer.finish_reason, answer.finish_reason)
    events.append(_event("messageStop", {"stopReason": reason, "p": "abc"}))
    events.append(_event("metadata", {"usage": _usage(answer), "metrics": {"latencyMs": 12}, "p": "a"}))
    return events


def _block(at: int, deltas: Sequence[Mapping[str, Any]]) -> list[bytes]:
    events = [_event("contentBlockDelta", {"contentBlockIndex": at, "delta": delta, "p": "abcd"}) for delta in deltas]
    return [*events, _event("contentBlockStop", {"contentBlockIndex": at, "p": "ab"})]


def _usage(answer: Answer) -> dict[str, int]:
    counted = answer.usage
    return {
        "inputTokens": counted["prompt_tokens"],
        "outputTokens": counted["completion_tokens"],
        "totalTokens": counted["total_tokens"],
    }


def _as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request in the words that testing/answers.py reads."""
    messages = [{"role": "system", "content": block.get("text", "")} for block in body.get("system") or []]
    for message in body.get("messages") or []:
        blocks = message["content"]
        role = "tool" if any("toolResult" in block for block in blocks) else message["role"]
        messages.append({"role": role, "content": [_chat_part(block) for block in blocks]})
    tools = [{"function": tool["toolSpec"]} for tool in (body.get("toolConfig") or {}).get("tools", []) if "toolSpec" in tool]
    output = body.get("outputConfig") or {}
    chat: dict[str, Any] = {
        "messages": messages,
        "tools": tools,
        "max_tokens": (body.get("inferenceConfig") or {}).get("maxTokens"),
        "reasoning_effort": output.get("effort"),
    }
    if "textFormat" in output:
        chat["response_format"] = {"type": "json_schema"}
    return chat


def _chat_part(block: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "image_url"} if "image" in block else {"type": "text", "text": block.get("text", "")}
