"""A fake OpenRouter on loopback: a catalogue of 120 models with prices and modalities, credit, and past answers.

Built from openrouter.ai/docs/api-reference (October 2026). What is chat is the fake of OpenAI's.
"""

from collections.abc import Sequence
from typing import Any

from jackfield.testing.fake_server import Behaviour, Recorded, Wire
from jackfield.testing.fakes import FakeOpenAI

_ARCHITECTURES: tuple[dict[str, Any], ...] = (
    {"input_modalities": ["text"], "output_modalities": ["text"]},
    {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    {"input_modalities": ["text"], "output_modalities": ["text", "image"]},
)
_MAKERS = ("meta-llama", "anthropic", "openai")


def _entry(number: int) -> dict[str, Any]:
    name = f"llama-{number}" if number % 3 == 0 else f"model-{number}"
    return {
        "id": f"{_MAKERS[number % 3]}/{name}",
        "name": f"Model {number}",
        "context_length": 8192,
        "architecture": _ARCHITECTURES[number % 3],
        "pricing": {"prompt": "0.00000125", "completion": "0.00001", "input_cache_read": "0.000000125", "request": "0"},
    }


CATALOGUE = [_entry(number) for number in range(120)]


class FakeOpenRouter(FakeOpenAI):
    """OpenAI's chat, and OpenRouter's calls beside it. `may_manage` lets the key see the account."""

    may_manage = True

    def __init__(self, models: Sequence[str | dict[str, Any]] = CATALOGUE, **rest: Any) -> None:
        super().__init__(models, **rest)

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        path = request.path.partition("/v1/")[2]
        if path == "key":
            limits = {"label": "sk-or-...", "limit": 10, "limit_remaining": 7.5, "usage": 2.5, "is_free_tier": False}
            return await wire.json(200, {"data": limits})
        if path == "credits":
            account = {"data": {"total_credits": 100.5, "total_usage": 25.75}}
            refusal = self.error(403, "Only management keys can perform this operation", None)
            return await (wire.json(200, account) if self.may_manage else wire.json(403, refusal))
        if path == "generation?id=gen-1":
            stats = {"id": "gen-1", "total_cost": 0.0015, "tokens_prompt": 10, "tokens_completion": 25, "provider_name": "Acme"}
            return await wire.json(200, {"data": stats})
        if path.startswith("generation"):
            return await wire.json(404, self.error(404, "Generation not found", None))
        return await super().serve(request, behaviour, wire)
