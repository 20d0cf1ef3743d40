"""A fake Ollama server on loopback: fixed answers in Ollama's own format, and any misbehaviour asked of it.

Written after docs.ollama.com/api (chat, generate, embed, tags, show, ps, version, pull, copy, delete). How a fake serves is
testing/fake_server.py's, what it says is in testing/answers.py.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from jackfield.testing.answers import Answer, altered, answer_for, vectors
from jackfield.testing.fake_server import Behaviour, FakeServer, Recorded, Wire

CREATED_AT = "2023-11-14T22:13:20.123456789Z"
DIGEST = "sha256:" + "0" * 64
_ASKING = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings")
_PLACE = b'"the arguments"'
_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "3.2B",
    "quantization_level": "Q4_K_M",
}


class FakeOllama(FakeServer):
    """`async with FakeOllama() as fake:` serves until the block is left. `library` is what can be pulled, with sizes in bytes.

    `call_arguments` take the place, first first, of the JSON in the next answers' tool calls. `ends_twice` sends the last line
    as some servers do: once without counts, once with. `loaded` is what is in memory.
    """

    base_path: ClassVar[str] = ""
    stream_type: ClassVar[str] = "application/x-ndjson"
    event_end: ClassVar[bytes] = b"\n"
    heartbeat: ClassVar[bytes] = b'{"message":{"role":"assistant","content":""},"done":false}\n'

    def __init__(
        self,
        models: Mapping[str, int] | None = None,
        *,
        require_key: str | None = None,
        behaviour: Behaviour | None = None,
        dimensions: int = 8,
    ) -> None:
        super().__init__(require_key=require_key, behaviour=behaviour)
        self.models = dict(models if models is not None else {"fake-model:latest": 2_019_393_189})
        self.library = {"llama3.2:latest": 2_019_393_189, "all-minilm:latest": 45_960_996}
        self.dimensions = dimensions
        self.loaded: dict[str, Any] = {}
        self.call_arguments: deque[bytes] = deque()
        self.ends_twice = False

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        return {"error": message if code is None else f"{message} ({code})"}

    def stream_error(self, message: str, code: str | None) -> bytes:
        return msgspec.json.encode(self.error(500, message, code)) + self.event_end

    def is_look(self, request: Recorded) -> bool:
        return request.path not in _ASKING

    def raw_question(self, text: str) -> tuple[str, dict[str, Any]]:
        return "api/chat", {"messages": [{"role": "user", "content": text}]}

    def raw_answer(self, body: bytes) -> str:
        return str(msgspec.json.decode(body)["message"]["content"])

    def ends_stream(self, data: bytes) -> bool:
        return data.endswith(self.event_end) and b'"done":true' in data.splitlines()[-1]

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        if request.method == "GET":
            return await self._tell(request.path, wire)
        body = request.json
        if request.path == "/api/pull":
            return await self._pull(_full(str(body.get("model", ""))), body.get("stream") is not False, wire)
        model = _full(str(body.get("model") or body.get("source") or ""))
        if model not in self.models:
            return await wire.json(404, self.error(404, f"model '{body.get('model')}' not found", None))
        match (request.method, request.path):
            case ("POST", "/api/chat" | "/api/generate"):
                return await self._answer_to(request, model, behaviour, wire)
            case ("POST", "/api/embed" | "/api/embeddings"):
                return await self._embed(body, wire)
            case ("POST", "/api/show"):
                return await wire.json(200, _shown(model))
            case ("POST", "/api/copy"):
                self.models[_full(str(body["destination"]))] = self.models[model]
                return await wire.send(200, b"", {})
            case ("DELETE", "/api/delete"):
                del self.models[model]
                return await wire.send(200, b"", {})
        return await wire.send(404, b"404 page not found", {"content-type": "text/plain"})

    async def _tell(self, path: str, wire: Wire) -> bool:
        match path:
            case "/":
                return await wire.send(200, b"Ollama is running", {"content-type": "text/plain; charset=utf-8"})
            case "/api/version":
                return await wire.json(200, {"version": "0.33.0"})
            case "/api/tags":
                return await wire.json(200, {"models": [_listed(name, size) for name, size in self.models.items()]})
            case "/v1/models":
                listed = [
                    {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "library"} for name in self.models
                ]
                return await wire.json(200, {"object": "list", "data": listed})
            case "/api/ps":
                running = [
                    _listed(name, self.models[name])
                    | {"expires_at": "2026-11-21T08:00:00Z", "size_vram": 1024, "context_length": 4096}
                    for name in self.loaded
                ]
                return await wire.json(200, {"models": running})
        return await wire.send(404, b"404 page not found", {"content-type": "text/plain"})

    async def _pull(self, model: str, streams: bool, wire: Wire) -> bool:
        size = self.library.get(model)
        if size is None:
            failed = {"error": "pull model manifest: file does not exist"}
            lines: list[Any] = [{"status": "pulling manifest"}, failed]
        else:
            self.models[model] = size
            layer = {"status": "pulling 000000000000", "digest": DIGEST, "total": size}
            done = [{**layer, "completed": size * quarter // 4} for quarter in range(1, 5)]
            after = [{"status": status} for status in ("verifying sha256 digest", "writing manifest", "success")]
            lines = [{"status": "pulling manifest"}, layer, *done, *after]
        if not streams:
            return await wire.json(200 if size is not None else 500, lines[-1])
        return await self.stream([msgspec.json.encode(line) + self.event_end for line in lines], Behaviour(), wire)

    async def _embed(self, body: Mapping[str, Any], wire: Wire) -> bool:
        if "prompt" in body:
            return await wire.json(200, {"embedding": self._vectors([body["prompt"]], None)[0]})
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        found = self._vectors(texts, body.get("dimensions"))
        counted = {"total_duration": 14_143_917, "load_duration": 1_019_500, "prompt_eval_count": 2 * len(texts)}
        return await wire.json(200, {"model": body["model"], "embeddings": found, **counted})

    def _vectors(self, texts: list[str], size: int | None) -> list[list[float]]:
        return [item["embedding"] for item in vectors(texts, "", size or self.dimensions)["data"]]

    async def _answer_to(self, request: Recorded, model: str, behaviour: Behaviour, wire: Wire) -> bool:
        body, is_chat = request.json, request.path == "/api/chat"
        if not (body.get("messages") or body.get("prompt")):
            return await self._load(body, model, is_chat, wire)
        self.completions += 1
        answer = altered(answer_for(_as_chat(body)), is_empty=behaviour.is_empty, finish_reason=behaviour.finish_reason)
        frame = {"model": body["model"], "created_at": CREATED_AT}
        end = frame | _said(is_chat, "") | _end(answer)
        if body.get("stream") is False or behaviour.ignores_stream:
            said = [("content", answer.text), ("thinking", answer.reasoning), ("tool_calls", _calls(answer))]
            whole = end | _said(is_chat, "", {name: value for name, value in said if value})
            return await self.whole(self._as_written(whole), behaviour, wire)
        pieces: list[dict[str, Any]] = [{"thinking": answer.reasoning}] if answer.reasoning else []
        pieces += [{"content": piece} for piece in answer.pieces]
        pieces += [{"tool_calls": [call]} for call in _calls(answer)]
        lines: list[dict[str, Any]] = [{**frame, **_said(is_chat, "", piece), "done": False} for piece in pieces]
        bare = {**frame, **_said(is_chat, ""), "done": True, "done_reason": end["done_reason"]}
        lines += [bare, end] if self.ends_twice else [end]
        return await self.stream([self._written(line) + self.event_end for line in lines], behaviour, wire)

    async def _load(self, body: Mapping[str, Any], model: str, is_chat: bool, wire: Wire) -> bool:
        """A request without a prompt loads the model, or unloads it."""
        stays = body.get("keep_alive", "5m")
        is_over = stays in (0, "0", "0s")
        if is_over:
            self.loaded.pop(model, None)
        else:
            self.loaded[model] = stays
        reason = "unload" if is_over else "load"
        frame = {"model": body["model"], "created_at": CREATED_AT, **_said(is_chat, "")}
        return await wire.json(200, {**frame, "done": True, "done_reason": reason})

    def _as_written(self, value: dict[str, Any]) -> Any:
        return msgspec.Raw(self._written(value))

    def _written(self, value: dict[str, Any]) -> bytes:
        """The JSON, with the next of `call_arguments` where a call's arguments stand."""
        data = msgspec.json.encode(value)
        if b'"arguments":' not in data or not self.call_arguments:
            return data
        marked = msgspec.json.decode(data)
        calls = marked.get("message", marked)["tool_calls"]
        calls[0]["function"]["arguments"] = _PLACE.decode().strip('"')
        return msgspec.json.encode(marked).replace(_PLACE, self.call_arguments.popleft(), 1)


def _full(model: str) -> str:
    return model if ":" in model else f"{model}:latest"


def _listed(name: str, size: int) -> dict[str, Any]:
    modified = "2026-03-01T10:00:00.123456789-07:00"
    return {"name": name, "model": name, "modified_at": modified, "size": size, "digest": DIGEST, "details": _DETAILS}


def _shown(model: str) -> dict[str, Any]:
    can = ["embedding"] if "minilm" in model else ["completion", "tools", "vision", "thinking"]
    return {
        "modelfile": f"FROM {model}",
        "parameters": 'stop "<|eot_id|>"',
        "template": "{{ .Prompt }}",
        "details": _DETAILS,
        "model_info": {"general.architecture": "llama", "llama.context_length": 131_072, "llama.embedding_length": 3072},
        "capabilities": can,
        "modified_at": "2026-03-01T10:00:00.123456789-07:00",
    }


def _said(is_chat: bool, text: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    said = {"content": text, **(more or {})}
    if is_chat:
        return {"message": {"role": "assistant", **said}}
    return {"response": said.pop("content"), **said}


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"function": {"index": index, "name": name, "arguments": msgspec.json.decode(arguments)}}
        for index, (name, arguments) in enumerate(answer.tool_calls)
    ]


def _end(answer: Answer) -> dict[str, Any]:
    # Ollama says "stop" where a tool is called, too.
    reason = "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason
    return {
        "done": True,
        "done_reason": reason,
        "total_duration": 174_560_334,
        "load_duration": 101_397_084,
        "prompt_eval_count": answer.prompt_tokens,
        "prompt_eval_duration": 13_074_791,
        "eval_count": answer.usage["completion_tokens"],
        "eval_duration": 52_479_709,
    }


def _as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request in the words that testing/answers.py reads."""
    messages = body.get("messages") or [{"role": "user", "content": body.get("prompt"), "images": body.get("images")}]
    chat: dict[str, Any] = {
        "messages": [_chat_message(message) for message in messages],
        "tools": body.get("tools") or [],
        "max_tokens": (body.get("options") or {}).get("num_predict"),
        "reasoning_effort": "low" if body.get("think") else None,
    }
    if body.get("format"):
        chat["response_format"] = {"type": "json_object"}
    return chat


def _chat_message(message: Mapping[str, Any]) -> dict[str, Any]:
    text = message.get("content") or ""
    if not message.get("images"):
        return {"role": message["role"], "content": text}
    return {"role": message["role"], "content": [{"type": "text", "text": text}, {"type": "image_url"}]}
