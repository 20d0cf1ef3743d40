"""Published figures: each with its day and its source, completed by what a source lists, and unknown where nobody says."""

import re
from collections.abc import AsyncIterator
from datetime import date

import msgspec
import pytest

from jackfield.core.profiles import ModelProfile
from jackfield.providers.llama_direct import LlamaDirect
from jackfield.providers.local_llama import LocalLlama
from jackfield.providers.model_facts import completed, documented, sheets
from jackfield.providers.registry import load_registrar
from jackfield.testing.tools import FakeTools, provider_tools

PUBLISHED = [
    ("openai", "gpt-4o", 128_000),
    ("openai", "gpt-4-turbo-2024-04-09", 128_000),
    ("openai", "gpt-4.1-mini", 1_047_576),
    ("openai", "gpt-5.1", 400_000),
    ("openai", "gpt-5-chat-latest", 128_000),
    ("openai", "o3-mini", 200_000),
    ("anthropic", "claude-3-5-sonnet-20241022", 200_000),
    ("anthropic", "claude-sonnet-4-5-20250929", 200_000),
    ("gemini", "gemini-2.5-pro", 1_048_576),
    ("vertex", "gemini-2.5-flash", 1_048_576),
    ("bedrock", "us.anthropic.claude-3-haiku-20240307-v1:0", 200_000),
    ("bedrock", "meta.llama3-1-8b-instruct-v1:0", 128_000),
    ("perplexity", "sonar", 128_000),
]


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:KEY": "a-key"}) as made:
        yield made


@pytest.mark.behaviour("PERF-10")
def test_every_row_has_its_day_and_its_source() -> None:
    ids = set(load_registrar(plugins=False).ids())
    for provider, sheet in sheets().items():
        assert provider in ids
        assert sheet.source.startswith("https://")
        assert date(2025, 1, 1) < sheet.as_of <= date(2027, 1, 1)
        assert len({row.match for row in sheet.models}) == len(sheet.models)
        for row in sheet.models:
            found = documented(provider, re.sub(r"\[(.).*?\]", r"\1", row.match))
            assert found is not None
            assert found.source == f"{sheet.source}, {sheet.as_of}"
            assert (row.context_length or 1) > 0
            assert (row.max_output_tokens or 1) <= (row.context_length or 10_000_000)


@pytest.mark.behaviour("PERF-10")
@pytest.mark.parametrize(("provider", "model", "tokens"), PUBLISHED)
def test_a_plugged_model_has_its_window_before_anything_is_asked(
    provider: str, model: str, tokens: int, tools: FakeTools
) -> None:
    config = {"model": model, "base_url": "http://127.0.0.1:9", "api_key": "env:KEY"}
    if provider == "vertex":
        config["project"] = "a-project"
    made = load_registrar(plugins=False).get(provider).create(config, tools)
    assert made.capabilities.max_context == tokens  # type: ignore[attr-defined]
    own = load_registrar(plugins=False).get(provider).create({**config, "max_context": 4096}, tools)
    assert own.capabilities.max_context == 4096  # type: ignore[attr-defined]


@pytest.mark.behaviour("PERF-10")
@pytest.mark.parametrize("kind", [LocalLlama, LlamaDirect])
def test_llama_cpp_takes_256k(kind: type[LocalLlama] | type[LlamaDirect], tools: FakeTools) -> None:
    provider = kind.create({"model": "some.gguf", "context_length": 262_144}, tools)
    assert provider.capabilities.max_context == 262_144


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "gpt-99"), ("openai", "gpt-4o-mini-tts"), ("gemini", "gemini-2.5-flash-image"), ("nobody", "gpt-4o")],
)
def test_what_nobody_says_stays_unknown(provider: str, model: str) -> None:
    found = documented(provider, model)
    assert found is None or found.context_length is None


def test_what_a_source_tells_counts_before_what_is_published() -> None:
    told = ModelProfile("gpt-4o", context_length=64_000, vision=False, source="its list")
    known = completed(told, None, documented("openai", "gpt-4o"))
    assert (known.context_length, known.vision, known.source) == (64_000, False, "its list")
    assert known.max_output_tokens == 16_384
    assert completed(told) == told == completed(told, None)
    assert msgspec.structs.replace(known, max_output_tokens=None, tools=None) == told
