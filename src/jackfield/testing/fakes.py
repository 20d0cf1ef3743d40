"""A fake OpenAI-compatible upstream on loopback: fixed answers in OpenAI's format, and any misbehaviour asked of it.

Knows OpenAI's calls; how a fake serves is testing/fake_server.py's, what it says is in testing/answers.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from jackfield.testing.answers import Answer, altered, answer_for, chunk_bodies, model_list, vectors, whole_body
from jackfield.testing.continuations import text_chunks, text_completion
from jackfield.testing.fake_server import Behaviour, FakeServer, Recorded, Wire

__all__ = ["REASONING_MODELS", "Behaviour", "FakeOpenAI", "Recorded"]

REASONING_MODELS = ("o1", "o3", "o4", "gpt-5")


class FakeOpenAI(FakeServer):
    """`async with FakeOpenAI() as fake:` serves until the block is left. Any path that ends in a known call is served.

    `require_key` refuses other keys with 401; `strict_reasoning` refuses what OpenAI's reasoning models refuse; `prefill` is
    what it makes of a last message by the assistant: goes on after it, refuses it, or answers as if it were a question. `says`,
    where it is set, is its answer to everything.
    """

    def __init__(
        self,
        models: Sequence[str | Mapping[str, Any]] = ("fake-model",),
        *,
        require_key: str | None = None,
        behaviour: Behaviour | None = None,
        dimensions: int = 8,
        strict_reasoning: bool = False,
        prefill: Literal["goes on", "refuses", "ignores"] = "ignores",
    ) -> None:
        super().__init__(require_key=require_key, behaviour=behaviour)
        self.models = list(models)
        self.dimensions = dimensions
        self.strict_reasoning = strict_reasoning
        self.prefill = prefill
        self.says: str | None = None

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        return _error(message, code)

    def is_look(self, request: Recorded) -> bool:
        return request.method == "GET" and _path(request).endswith("/models")

    def raw_question(self, text: str) -> tuple[str, dict[str, Any]]:
        return "chat/completions", {"messages": [{"role": "user", "content": text}]}

    def raw_answer(self, body: bytes) -> str:
        return str(msgspec.json.decode(body)["choices"][0]["message"]["content"])

    def ends_stream(self, data: bytes) -> bool:
        return data.endswith(b"data: [DONE]\n\n")

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        path = _path(request)
        if self.is_look(request):
            return await wire.json(200, model_list(self.models))
        if request.method != "POST":
            return await wire.json(405, _error("Method not allowed", None))
        if path.endswith("/chat/completions"):
            return await self._complete(request, behaviour, wire)
        if path.endswith("/completions"):
            return await self._continue(request, behaviour, wire)
        if path.endswith("/embeddings"):
            given = request.json
            inputs = given["input"] if isinstance(given["input"], list) else [given["input"]]
            return await wire.json(200, vectors(inputs, given["model"], given.get("dimensions") or self.dimensions))
        return await wire.json(404, _error(f"Not found: {path}", None))

    async def _complete(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        self.completions += 1
        body = request.json
        refusal = self._refusal(body)
        if refusal is not None:
            return await wire.json(*refusal)
        answer = altered(self._continued(body), is_empty=behaviour.is_empty, finish_reason=behaviour.finish_reason)
        if not body.get("stream") or behaviour.ignores_stream:
            return await self.whole(whole_body(answer, body["model"], self.completions), behaviour, wire)
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        chunks = chunk_bodies(answer, body["model"], self.completions, include_usage=include_usage)
        events = [b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks]
        if behaviour.sends_done:
            events.append(b"data: [DONE]\n\n")
        return await self.stream(events, behaviour, wire)

    async def _continue(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        """The older call, with all that only it has: several prompts, or tokens, each answered `n` times."""
        self.completions += 1
        body = request.json
        refusal = self._refusal(body)
        if refusal is not None:
            return await wire.json(*refusal)
        options = body.get("stream_options") or {}
        if not body.get("stream") or behaviour.ignores_stream:
            return await self.whole(text_completion(body, self.completions, self.says), behaviour, wire)
        chunks = text_chunks(body, self.completions, self.says, include_usage=bool(options.get("include_usage")))
        events = [b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks]
        return await self.stream([*events, b"data: [DONE]\n\n"], behaviour, wire)

    def _continued(self, body: Mapping[str, Any]) -> Answer:
        """The answer, or what is left of it after the beginning that the request holds."""
        if self.says is not None:
            return Answer(self.says)
        last = body["messages"][-1] if body.get("messages") else {}
        if self.prefill != "goes on" or last.get("role") != "assistant" or not isinstance(last.get("content"), str):
            return answer_for(body)
        whole = answer_for({**body, "messages": body["messages"][:-1]})
        return msgspec.structs.replace(whole, text=whole.text.removeprefix(last["content"]))

    def _refusal(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]] | None:
        names = [model if isinstance(model, str) else model["id"] for model in self.models]
        if body.get("model") not in names:
            return 404, _error(f"The model `{body.get('model')}` does not exist", "model_not_found")
        if self.strict_reasoning and str(body["model"]).startswith(REASONING_MODELS):
            for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "max_tokens"):
                if name in body:
                    return 400, _error(f"Unsupported parameter: '{name}'", "unsupported_parameter")
        last = body["messages"][-1] if body.get("messages") else {}
        if self.prefill == "refuses" and last.get("role") == "assistant":
            return 400, _error("This model does not take a last message by the assistant", "invalid_request_error")
        return None


def _path(request: Recorded) -> str:
    return request.path.partition("?")[0]


def _error(message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "fake_error", "param": None, "code": code}}
