"""A fake Gemini API on loopback, also in Vertex's clothes: fixed answers in Google's format, and any misbehaviour asked of it.

Written after Google's API reference (generateContent, countTokens, batchEmbedContents, models; Vertex's predict; OAuth2).
How a fake serves is testing/fake_server.py's, what it says is in testing/answers.py.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from jackfield.testing.answers import Answer, altered, answer_for, vectors
from jackfield.testing.fake_server import Behaviour, FakeServer, Recorded, Wire

_CALL = re.compile(r"/models/(?P<model>[^/:?]+):(?P<method>\w+)")
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_REASONS = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
DEFAULT_MODELS = ("gemini-flash-latest", "gemini-2.5-flash", "gemini-embedding-001")
SIGNATURE = "RmFrZSBzaWduYXR1cmU="
TOKEN = "fake-google-token"  # noqa: S105 - nobody's


class FakeGemini(FakeServer):
    """`async with FakeGemini() as fake:` serves until the block is left. Any path that ends in a known call is served.

    `tokens` counts the access tokens that its token endpoint gave out; with `require_key` only that key, or such a token, is
    let in. `page_size` cuts the model list into pages. `expires_in_s` is how long a token is said to hold.
    """

    base_path: ClassVar[str] = "/v1beta"
    event_end: ClassVar[bytes] = b"\r\n\r\n"

    def __init__(
        self,
        models: Sequence[str | Mapping[str, Any]] = (*DEFAULT_MODELS, "fake-model"),
        *,
        require_key: str | None = None,
        behaviour: Behaviour | None = None,
        dimensions: int = 8,
        page_size: int = 1000,
        expires_in_s: int = 3600,
    ) -> None:
        super().__init__(require_key=require_key, behaviour=behaviour)
        self.models = list(models)
        self.dimensions = dimensions
        self.page_size = page_size
        self.expires_in_s = expires_in_s
        self.tokens = 0
        self.assertions: list[str] = []

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        told: dict[str, Any] = {"code": status, "message": message, "status": _STATUSES.get(status, "INTERNAL")}
        if code is not None:
            told["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code.upper()}]
        return {"error": told}

    def stream_error(self, message: str, code: str | None) -> bytes:
        return self._event(self.error(503, message, code))

    def is_look(self, request: Recorded) -> bool:
        return request.method == "GET" or request.path.endswith((":countTokens", "/token"))

    def raw_question(self, text: str) -> tuple[str, dict[str, Any]]:
        return "generateContent", {"contents": [{"role": "user", "parts": [{"text": text}]}]}

    def raw_answer(self, body: bytes) -> str:
        return str(msgspec.json.decode(body)["candidates"][0]["content"]["parts"][0]["text"])

    def ends_stream(self, data: bytes) -> bool:
        return data.endswith(self.event_end) and b'"finishReason":"STOP"' in data

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        path = request.path.partition("?")[0]
        if path.endswith("/token"):
            return await self._give_token(request, wire)
        if request.method == "GET" and path.endswith("/models"):
            return await wire.json(200, self._page(request.path))
        call = _CALL.search(path)
        if request.method != "POST" or call is None:
            return await wire.json(404, self.error(404, f"Not found: {path}", None))
        if call["model"] not in self._names():
            missing = f"models/{call['model']} is not found for API version v1beta"
            return await wire.json(404, self.error(404, missing, None))
        match call["method"]:
            case "generateContent" | "streamGenerateContent":
                return await self._generate(request, call["model"], behaviour, wire)
            case "countTokens":
                return await wire.json(200, {"totalTokens": _asked(request.json.get("generateContentRequest", request.json))})
            case "batchEmbedContents":
                texts = [item["content"]["parts"][0]["text"] for item in request.json["requests"]]
                size = request.json["requests"][0].get("outputDimensionality")
                return await wire.json(200, {"embeddings": [{"values": vector} for vector in self._vectors(texts, size)]})
            case "predict":
                texts = [item["content"] for item in request.json["instances"]]
                size = request.json.get("parameters", {}).get("outputDimensionality")
                found = [{"values": vector, "statistics": {"token_count": 2}} for vector in self._vectors(texts, size)]
                return await wire.json(200, {"predictions": [{"embeddings": values} for values in found]})
        return await wire.json(404, self.error(404, f"Not found: {path}", None))

    def _keys(self, request: Recorded) -> list[str]:
        keys = super()._keys(request)
        is_ours = request.path.endswith("/token") or f"{TOKEN}-{self.tokens}" in keys
        return [*keys, self.require_key or ""] if is_ours else keys

    def _names(self) -> list[str]:
        return [model if isinstance(model, str) else str(model["name"]).removeprefix("models/") for model in self.models]

    def _vectors(self, texts: Sequence[str], size: int | None) -> list[list[float]]:
        return [item["embedding"] for item in vectors(texts, "", size or self.dimensions)["data"]]

    async def _give_token(self, request: Recorded, wire: Wire) -> bool:
        """Google's token endpoint: a signed assertion or a refresh token for an access token."""
        self.tokens += 1
        self.assertions.append(request.body.decode())
        token = {"access_token": f"{TOKEN}-{self.tokens}", "expires_in": self.expires_in_s, "token_type": "Bearer"}
        return await wire.json(200, token)

    def _page(self, path: str) -> dict[str, Any]:
        start = int(found[1]) if (found := re.search(r"pageToken=(\d+)", path)) else 0
        entries = [
            {
                "name": f"models/{model}",
                "displayName": model,
                "inputTokenLimit": 1_048_576,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["embedContent"] if "embed" in model else ["generateContent", "countTokens"],
            }
            if isinstance(model, str)
            else dict(model)
            for model in self.models[start : start + self.page_size]
        ]
        end = start + self.page_size
        listed: dict[str, Any] = {"publisherModels" if "/publishers/" in path else "models": entries}
        return listed | ({"nextPageToken": str(end)} if end < len(self.models) else {})

    async def _generate(self, request: Recorded, model: str, behaviour: Behaviour, wire: Wire) -> bool:
        self.completions += 1
        body = request.json
        answer = altered(answer_for(_as_chat(body)), is_empty=behaviour.is_empty, finish_reason=behaviour.finish_reason)
        if ":streamGenerateContent" not in request.path or behaviour.ignores_stream:
            parts = [part for piece in _pieces(answer, is_whole=True) for part in piece]
            return await self.whole(self._object(answer, model, parts, is_last=True), behaviour, wire)
        pieces = _pieces(answer, is_whole=False) or [[]]
        last = len(pieces) - 1
        chunks = [self._object(answer, model, piece, is_last=index == last) for index, piece in enumerate(pieces)]
        if "alt=sse" not in request.path:
            return await wire.json(200, chunks)
        return await self.stream([self._event(chunk) for chunk in chunks], behaviour, wire)

    def _event(self, value: Any) -> bytes:
        return b"data: " + msgspec.json.encode(value) + self.event_end

    def _object(self, answer: Answer, model: str, parts: Sequence[dict[str, Any]], *, is_last: bool) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        counted: dict[str, Any] = {"promptTokenCount": answer.prompt_tokens, "totalTokenCount": answer.prompt_tokens}
        if is_last:
            candidate["finishReason"] = _REASONS.get(answer.finish_reason, answer.finish_reason)
            written = answer.usage["completion_tokens"]
            thought = len(answer.reasoning.split())
            counted |= {"candidatesTokenCount": written - thought, "totalTokenCount": answer.prompt_tokens + written}
            counted |= {"thoughtsTokenCount": thought} if thought else {}
        id_ = f"fake-{self.completions}"
        return {"candidates": [candidate], "usageMetadata": counted, "modelVersion": model, "responseId": id_}


def _pieces(answer: Answer, *, is_whole: bool) -> list[list[dict[str, Any]]]:
    """The parts of each object of a stream, or of the one object of a plain answer."""
    texts = ([answer.text] if answer.text else []) if is_whole else answer.pieces
    pieces: list[list[dict[str, Any]]] = [[{"text": answer.reasoning, "thought": True}]] if answer.reasoning else []
    pieces += [[{"text": text}] for text in texts]
    for index, (name, arguments) in enumerate(answer.tool_calls):
        call: dict[str, Any] = {"functionCall": {"id": f"fc_{index}", "name": name, "args": msgspec.json.decode(arguments)}}
        pieces.append([call | ({"thoughtSignature": SIGNATURE} if index == 0 else {})])
    return pieces


def _as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request in the words that testing/answers.py reads."""
    config = _camel(body.get("generationConfig") or {})
    functions = [function for tool in body.get("tools") or [] for function in tool.get("functionDeclarations") or []]
    system = (body.get("systemInstruction") or {}).get("parts") or []
    messages: list[dict[str, Any]] = [{"role": "system", "content": part["text"]} for part in system]
    for content in body.get("contents") or []:
        messages.append({"role": _role(content), "content": [_chat_part(part) for part in content.get("parts") or []]})
    thinking = _camel(config.get("thinkingConfig") or {})
    chat: dict[str, Any] = {
        "messages": messages,
        "tools": [{"function": function} for function in functions],
        "max_tokens": config.get("maxOutputTokens"),
        "reasoning_effort": "low" if thinking.get("includeThoughts") else None,
    }
    if config.get("responseMimeType") == "application/json":
        chat["response_format"] = {"type": "json_object"}
    return chat


def _camel(value: Mapping[str, Any]) -> dict[str, Any]:
    """Google takes both spellings of a name, and its own client sends both."""
    return {re.sub(r"_([a-z])", lambda match: match[1].upper(), name): item for name, item in value.items()}


def _role(content: Mapping[str, Any]) -> str:
    if any("functionResponse" in part for part in content.get("parts") or []):
        return "tool"
    return "assistant" if content.get("role") == "model" else "user"


def _chat_part(part: Mapping[str, Any]) -> dict[str, Any]:
    if "inlineData" in part or "fileData" in part:
        return {"type": "image_url"}
    return {"type": "text", "text": part.get("text", "")}


def _asked(body: Mapping[str, Any]) -> int:
    return max(1, answer_for(_as_chat(body)).prompt_tokens)
