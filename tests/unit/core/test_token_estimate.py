"""Estimates beside the counts of real tokenizers, recorded in tests/golden/token_counts.

The rates were tuned with these texts in view.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.messages import (
    FilePart,
    ImagePart,
    Message,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from jackfield.core.requests import ChatRequest, Tool
from jackfield.core.token_estimate import IMAGE_TOKENS, MAX_READ_CHARS, MESSAGE_TOKENS, estimate_prompt, estimate_text

FILES = Path(__file__).parents[2] / "golden" / "token_counts"
COUNTS: dict[str, dict[str, int]] = msgspec.json.decode((FILES / "counts.json").read_bytes())
ALIKE = ("english", "technical", "javascript", "python", "markdown", "json", "numbers", "emoji")
"""Texts that all vocabularies cut nearly alike."""
NEAR = 0.25


def read(name: str) -> str:
    return (FILES / f"{name}.txt").read_text(encoding="utf-8")


def prompt(*parts: Any, tools: tuple[Tool, ...] = ()) -> int:
    return estimate_prompt(ChatRequest((Message("user", parts),), tools=tools)) - MESSAGE_TOKENS


@pytest.mark.behaviour("PROV-25")
@pytest.mark.parametrize("name", sorted(COUNTS))
def test_an_estimate_is_within_a_quarter_of_a_tokenizer_s_count(name: str) -> None:
    assert estimate_text(read(name)) == pytest.approx(COUNTS[name]["o200k"], rel=NEAR)


@pytest.mark.behaviour("PROV-25")
@pytest.mark.parametrize("name", ALIKE)
def test_where_vocabularies_agree_it_is_near_to_each(name: str) -> None:
    for vocabulary, count in COUNTS[name].items():
        assert estimate_text(read(name)) == pytest.approx(count, rel=NEAR), vocabulary


def test_every_sample_has_its_counts() -> None:
    assert set(COUNTS) == {path.stem for path in FILES.glob("*.txt")}


def test_a_long_text_is_read_from_all_over_and_counted_whole() -> None:
    prose, figures = read("english"), read("numbers")
    half = MAX_READ_CHARS * 4
    text = (prose * (half // len(prose))) + (figures * (half // len(figures)))
    expected = estimate_text(prose) * (half // len(prose)) + estimate_text(figures) * (half // len(figures))
    assert estimate_text(text) == pytest.approx(expected, rel=0.05)


@given(st.text(max_size=300))
@settings(max_examples=200)
def test_any_text_has_an_estimate_and_never_more_than_its_bytes(text: str) -> None:
    tokens = estimate_text(text)
    assert 0 <= tokens <= 2 * len(text.encode(errors="replace"))
    assert estimate_text(text + " word") > tokens


def test_a_prompt_is_all_that_is_sent() -> None:
    english = read("english")
    assert prompt(TextPart(english)) == prompt(RefusalPart(english)) == estimate_text(english)
    assert prompt(ToolResultPart("c", (TextPart(english), ImagePart(url="https://x/y.png")))) == (
        estimate_text(english) + IMAGE_TOKENS
    )
    assert prompt(ToolCallPart("c", "look", '{"city": "Paris"}')) == estimate_text("look") + estimate_text('{"city": "Paris"}')
    assert prompt(FilePart(data="AA" * 1000)) == 0
    tool = Tool("look", english, {"type": "object", "properties": {"city": {"type": "string"}}})
    assert prompt(tools=(tool,)) > estimate_text(english) + 10
    messages = (text_message("system", "Be brief."), text_message("user", "ping"))
    assert estimate_prompt(ChatRequest(messages)) == 2 * MESSAGE_TOKENS + estimate_text("Be brief.") + estimate_text("ping")
    assert estimate_prompt(ChatRequest(())) == 1
