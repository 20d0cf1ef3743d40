"""What OpenRouter tells beside chat, asked by a person at a terminal; the source is a fake on this machine."""

from collections.abc import Iterator

import pytest

from command_line import Live, Run
from jackfield.testing.fake_openrouter import FakeOpenRouter

KEY = "sk-or-v1-0123456789"


@pytest.fixture
def at(live: Live, environ: dict[str, str]) -> Iterator[list[str]]:
    """Options that lead to a fake OpenRouter of this machine."""
    environ["FAKE_KEY"] = KEY
    opened: list[FakeOpenRouter] = []

    async def open_fake() -> FakeOpenRouter:
        return await FakeOpenRouter(require_key=KEY).__aenter__()

    async def close_fake() -> None:
        await opened[0].__aexit__(None, None, None)

    opened.append(live.run(open_fake()))
    yield ["--base-url", opened[0].base_url, "--api-key-env", "FAKE_KEY", "--yes"]
    live.run(close_fake())


@pytest.mark.behaviour("PROV-14")
def test_credits(jf: Run, at: list[str]) -> None:
    told = jf("providers", "credits", "openrouter", *at, "--json").json
    assert (told["limit"], told["usage"], told["remaining"], told["currency"]) == (10, 2.5, 7.5, "USD")
    shown = jf("providers", "credits", "openrouter", *at).out
    assert all(word in shown for word in ("limit", "10", "usage", "2.5", "remaining", "7.5"))
    assert KEY not in shown


@pytest.mark.behaviour("PROV-12", "PROV-15")
def test_models_are_searched_and_described(jf: Run, at: list[str]) -> None:
    options = ["--provider", "openrouter", *at]
    found = jf("models", "search", "llama", "--limit", "200", *options, "--json").json
    assert len(found) == 40
    assert all("llama" in model["id"] for model in found)
    assert jf("models", "search", "llama", "--modality", "image", *options, "--json").json == []
    seeing = jf("models", "search", "model", "--modality", "image", "--limit", "200", *options, "--json").json
    assert len(seeing) == 80
    told = jf("models", "info", "openai/model-2", *options, "--json").json
    assert told["pricing"] == {"input": "1.25", "output": "10", "cached_input": "0.125"}
