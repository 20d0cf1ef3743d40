"""One question to one slot, in each mode."""

from pathlib import Path

import pytest

from jackfield.core.errors import NotSupported
from jackfield.slots.registry import ProviderRegistry


async def test_an_embedder_embeds_by_itself(panel: ProviderRegistry, repository: Path) -> None:
    model = repository / "tests/models/tiny-embed.gguf"
    await panel.plug(0, "local", {"model": str(model), "embedding": True})
    spec = panel.slot(0).spec
    assert spec is not None
    assert spec.role == "embed", "a source that only makes vectors is no chat slot"
    answer = await panel.invoke_slot(0, "hello")
    assert (answer["mode"], answer["dim"]) == ("embed", len(answer["embedding"]))
    assert answer["dim"] > 0
    joined = await panel.invoke_slot(0, messages=[{"role": "user", "content": "hello"}])
    assert joined["embedding"] == pytest.approx(answer["embedding"])


async def test_asking_for_what_a_source_cannot_do_is_an_error_not_an_answer(panel: ProviderRegistry, fake: object) -> None:
    await panel.plug(0, "groq", {"base_url": fake.base_url, "api_key": "gsk_0123456789abcdefghij"})  # type: ignore[attr-defined]
    with pytest.raises(NotSupported):
        await panel.invoke_slot(0, "x", mode="embed")
