"""What the fake upstream says: fixed answers to known prompts, as the tiny demo model gives them, in OpenAI's JSON.

Pure: request objects in, answer objects out. The fake that sends them is testing/fakes.py.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_COUNT = re.compile(r"count to (\d{1,3})", re.IGNORECASE)
_PIECES = re.compile(r"\S+\s*|\s+")
CREATED = 1_700_000_000
DEFAULT = "I am a fake. The quick brown fox jumps over the lazy dog."


class Answer(msgspec.Struct, frozen=True):
    """A model's turn: `text`, or `tool_calls` as (name, arguments) pairs."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    finish_reason: str = "stop"
    prompt_tokens: int = 0

    @property
    def pieces(self) -> list[str]:
        return _PIECES.findall(self.text)

    @property
    def usage(self) -> dict[str, int]:
        written = len(self.pieces) + len(_PIECES.findall(self.reasoning)) + 5 * len(self.tool_calls)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": self.prompt_tokens + written,
        }


def answer_for(body: Mapping[str, Any]) -> Answer:
    """What the fake model says to a chat request: the same for the same request."""
    messages = body.get("messages") or []
    asked = sum(len(_PIECES.findall(_text_of(message))) for message in messages if isinstance(message, dict))
    last = messages[-1] if messages else {}
    reasoning = "Let me think." if body.get("reasoning_effort") else ""
    tools = body.get("tools") or []
    if tools and last.get("role") == "user" and "weather" in _text_of(last).lower():
        name = tools[0].get("function", {}).get("name", "tool")
        return Answer("", reasoning, ((name, '{"city": "Paris"}'),), "tool_calls", asked)
    answer = Answer(_words(last, body), reasoning, prompt_tokens=asked)
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    if isinstance(limit, int) and limit < len(answer.pieces):
        cut = "".join(answer.pieces[:limit])
        return msgspec.structs.replace(answer, text=cut, finish_reason="length")
    return answer


def altered(answer: Answer, *, is_empty: bool = False, finish_reason: str | None = None) -> Answer:
    """The answer as a behaviour wants it: with no content, or with another reason for its end."""
    if is_empty:
        answer = Answer(prompt_tokens=answer.prompt_tokens)
    return answer if finish_reason is None else msgspec.structs.replace(answer, finish_reason=finish_reason)


def _words(last: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    text = _text_of(last)
    if (body.get("response_format") or {}).get("type") in ("json_object", "json_schema"):
        return '{"ok": true}'
    if last.get("role") == "tool":
        return "The weather in Paris is sunny."
    if isinstance(last.get("content"), list) and any(part.get("type") == "image_url" for part in last["content"]):
        return "I see an image."
    if text.strip().lower() == "ping":
        return "pong"
    if text.strip().lower() in ("hello", "hi"):
        return "Hello there! How can I help you today?"
    if "unicode" in text.lower():
        return "héllo – 你好 🙂 done"
    if counted := _COUNT.search(text):
        return ", ".join(str(number) for number in range(1, int(counted[1]) + 1))
    return DEFAULT


def _text_of(message: object) -> str:
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def whole_body(answer: Answer, model: str, number: int) -> dict[str, Any]:
    """A plain `chat.completion`."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [_call(index, number, *call) for index, call in enumerate(answer.tool_calls)]
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}
    return {**_frame("chat.completion", model, number), "choices": [choice], "usage": answer.usage}


def chunk_bodies(answer: Answer, model: str, number: int, *, include_usage: bool) -> list[dict[str, Any]]:
    """The same answer as `chat.completion.chunk` objects, the usage chunk last where it is asked for."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if answer.reasoning:
        deltas += [{"reasoning_content": piece} for piece in _PIECES.findall(answer.reasoning)]
    deltas += [{"content": piece} for piece in answer.pieces]
    for index, (name, arguments) in enumerate(answer.tool_calls):
        opened = {**_call(index, number, name, ""), "index": index}
        half = len(arguments) // 2
        rest = [{"index": index, "function": {"arguments": piece}} for piece in (arguments[:half], arguments[half:])]
        deltas += [{"tool_calls": [call]} for call in (opened, *rest)]
    chunks = [_chunk(model, number, delta, None) for delta in deltas]
    chunks.append(_chunk(model, number, {}, answer.finish_reason))
    if include_usage:
        chunks.append({**_frame("chat.completion.chunk", model, number), "choices": [], "usage": answer.usage})
    return chunks


def _chunk(model: str, number: int, delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {**_frame("chat.completion.chunk", model, number), "choices": [choice]}


def _frame(kind: str, model: str, number: int) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": CREATED, "model": model}


def _call(index: int, number: int, name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{number}_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}


def model_list(models: Sequence[str | Mapping[str, Any]]) -> dict[str, Any]:
    entries = [{"id": model} if isinstance(model, str) else dict(model) for model in models]
    return {
        "object": "list",
        "data": [{"object": "model", "created": CREATED, "owned_by": "fake", **entry} for entry in entries],
    }


def vectors(inputs: Sequence[Any], model: str, dimensions: int) -> dict[str, Any]:
    """Embeddings that depend on the text's length and first letters only."""
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": [((len(str(text)) + place) % 7) / 7 for place in range(dimensions)],
        }
        for index, text in enumerate(inputs)
    ]
    used = sum(len(_PIECES.findall(str(text))) for text in inputs)
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": used, "total_tokens": used}}
