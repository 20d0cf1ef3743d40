"""Fakes of servers that complete text or make vectors, on loopback, written after their documentation: Kobold, TGI, TEI and
llama.cpp's server."""

import hashlib
from typing import Any, ClassVar

import msgspec

from jackfield.testing.answers import Answer, altered, answer_for
from jackfield.testing.fake_server import Behaviour, FakeServer, Recorded, Wire
from jackfield.testing.fakes import FakeOpenAI

_LAST_TURNS = (("### Instruction:\n", "\n\n### Response:"), ("<|im_start|>user\n", "<|im_end|>"), ("User: ", "\n\nAssistant:"))


def _answer(prompt: str, max_tokens: int | None, behaviour: Behaviour) -> Answer:
    question = prompt
    for before, after in _LAST_TURNS:
        if before in prompt:
            question = prompt.rpartition(before)[2].partition(after)[0]
            break
    answer = answer_for({"messages": [{"role": "user", "content": question}], "max_tokens": max_tokens})
    return altered(answer, is_empty=behaviour.is_empty, finish_reason=behaviour.finish_reason)


def _event(value: Any, name: bytes = b"") -> bytes:
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + msgspec.json.encode(value) + b"\n\n"


class FakeKobold(FakeServer):
    """KoboldCpp's own API. `aborted` holds the keys of runs that were ended."""

    def __init__(self, model: str = "koboldcpp/fake-model", **rest: Any) -> None:
        super().__init__(**rest)
        self.model = model
        self.aborted: list[str] = []

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        path = request.path.removeprefix("/api/")
        if request.method == "GET":
            told = {"v1/model": {"result": self.model}, "extra/true_max_context_length": {"value": 4096}}.get(path)
            return await wire.json(200 if told else 404, told or {"detail": "Not Found"})
        if path == "extra/abort":
            self.aborted.append(request.json["genkey"])
            return await wire.json(200, {"success": True})
        if path == "extra/tokencount":
            return await wire.json(200, {"value": len(request.json["prompt"].split())})
        body = request.json
        self.completions += 1
        answer = _answer(body["prompt"], body.get("max_length"), behaviour)
        if path == "v1/generate":
            result = {
                "text": "".join(answer.pieces),
                "finish_reason": answer.finish_reason,
                "prompt_tokens": answer.prompt_tokens,
            }
            return await self.whole({"results": [{**result, "completion_tokens": len(answer.pieces)}]}, behaviour, wire)
        if path != "extra/generate/stream":
            return await wire.json(404, {"detail": "Not Found"})
        events = [_event({"token": piece, "finish_reason": None}, b"message") for piece in answer.pieces]
        return await self.stream(
            [*events, _event({"token": "", "finish_reason": answer.finish_reason}, b"message")], behaviour, wire
        )

    def ends_stream(self, data: bytes) -> bool:
        return b'"finish_reason":"' in data

    def is_look(self, request: Recorded) -> bool:
        return request.method == "GET" or request.path.endswith(("/abort", "/tokencount"))


class FakeTgi(FakeServer):
    """Text Generation Inference's own API."""

    def __init__(self, model: str = "acme/fake-model", **rest: Any) -> None:
        super().__init__(**rest)
        self.model = model

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        return {"error": message, "error_type": code or "generation"}

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        if request.path == "/info":
            return await wire.json(200, {"model_id": self.model, "max_total_tokens": 4096, "version": "3.0.0"})
        if request.path not in ("/generate", "/generate_stream"):
            return await wire.json(404, self.error(404, "Not Found", None))
        self.completions += 1
        asked = request.json
        answer = _answer(asked["inputs"], asked["parameters"].get("max_new_tokens"), behaviour)
        text = "".join(answer.pieces)
        reason = {"stop": "eos_token"}.get(answer.finish_reason, answer.finish_reason)
        counts = {"finish_reason": reason, "generated_tokens": len(answer.pieces), "input_length": answer.prompt_tokens}
        if request.path == "/generate":
            details = {**counts, "prefill": [{}] * answer.prompt_tokens}
            return await self.whole({"generated_text": text, "details": details}, behaviour, wire)
        events = [{"token": {"id": 1, "text": piece, "special": False}, "generated_text": None} for piece in answer.pieces]
        last = {"token": {"id": 2, "text": "</s>", "special": True}, "generated_text": text, "details": counts}
        return await self.stream([_event(event) for event in [*events, last]], behaviour, wire)

    def ends_stream(self, data: bytes) -> bool:
        return b'"details":{' in data

    def is_look(self, request: Recorded) -> bool:
        return request.method == "GET"


class FakeLlamaServer(FakeOpenAI):
    """llama.cpp's server: its own calls beside OpenAI's. `is_loading`: all is answered by 503, as until its model is there."""

    base_path: ClassVar[str] = ""

    def __init__(self, model: str = "fake-model", **rest: Any) -> None:
        super().__init__([model], **rest)
        self.is_loading = False

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        if self.is_loading:
            loading = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
            return await wire.json(503, {"error": loading})
        match request.path:
            case "/health":
                return await wire.json(200, {"status": "ok"})
            case "/props":
                told = {"default_generation_settings": {"n_ctx": 4096}, "total_slots": 1, "model_path": "models/fake.gguf"}
                return await wire.json(200, {**told, "model_alias": self.models[0]})
            case "/tokenize":
                return await wire.json(200, {"tokens": list(range(len(request.json["content"].split())))})
            case "/completion":
                return await self._words(request, behaviour, wire)
        return await super().serve(request, behaviour, wire)

    async def _words(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        self.completions += 1
        asked = request.json
        answer = _answer(asked["prompt"], asked.get("n_predict"), behaviour)
        reason = {"stop": "eos", "length": "limit"}.get(answer.finish_reason, answer.finish_reason)
        counts = {"tokens_evaluated": answer.prompt_tokens, "tokens_predicted": len(answer.pieces)}
        last = {"stop": True, "stop_type": reason, "model": self.models[0], **counts}
        if not asked.get("stream"):
            return await self.whole({"content": "".join(answer.pieces), **last}, behaviour, wire)
        events = [_event({"content": piece, "stop": False}) for piece in answer.pieces]
        return await self.stream([*events, _event({"content": "", **last})], behaviour, wire)

    def ends_stream(self, data: bytes) -> bool:
        return b'"stop":true' in data or super().ends_stream(data)

    def is_look(self, request: Recorded) -> bool:
        return request.method == "GET" or request.path == "/tokenize"


class FakeTei(FakeServer):
    """Text Embeddings Inference: vectors that depend on the text alone, by either call, and rankings by shared words."""

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        return {"error": message, "error_type": code or "backend"}

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        if request.path == "/info":
            return await wire.json(200, {"model_id": "acme/vectors", "max_input_length": 512, "version": "1.8.0"})
        body = request.json
        if request.path == "/embed":
            self.completions += 1
            return await wire.json(200, [_vector(text) for text in body["inputs"]])
        if request.path == "/v1/embeddings":
            self.completions += 1
            data = [{"object": "embedding", "index": at, "embedding": _vector(text)} for at, text in enumerate(body["input"])]
            usage = {"prompt_tokens": len(data), "total_tokens": len(data)}
            return await wire.json(200, {"object": "list", "data": data, "model": "acme/vectors", "usage": usage})
        if request.path == "/rerank":
            self.completions += 1
            wanted = set(body["query"].split())
            scores = [len(wanted & set(text.split())) / max(1, len(wanted)) for text in body["texts"]]
            return await wire.json(200, [{"index": at, "score": score} for at, score in enumerate(scores)])
        return await wire.json(404, self.error(404, "Not Found", None))

    def is_look(self, request: Recorded) -> bool:
        return request.method == "GET"


def _vector(text: str) -> list[float]:
    return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:8]]
