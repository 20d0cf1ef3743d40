"""Counting without asking for an answer: what is estimated, and that more of a prompt never counts less."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.messages import ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from jackfield.core.requests import ChatRequest, Tool
from jackfield.core.token_estimate import IMAGE_TOKENS
from jackfield.core.token_estimate import estimate_prompt as estimate


def asked(*parts: Any, tools: tuple[Tool, ...] = ()) -> ChatRequest:
    return ChatRequest(messages=(Message("user", parts),), tools=tools)


@pytest.mark.parametrize(
    ("request_", "least", "most"),
    [
        (asked(TextPart("ping")), 1, 10),
        (asked(TextPart("word " * 1000)), 1000, 1500),
        (asked(TextPart("你好" * 100)), 100, 300),
        (asked(ImagePart("https://x/y.png")), IMAGE_TOKENS, IMAGE_TOKENS + 10),
        (asked(ToolResultPart("c", (TextPart("x" * 400), ImagePart("https://x/y.png")))), IMAGE_TOKENS + 50, 1700),
        (asked(ToolCallPart("c", "look", '{"a": "' + "b" * 400 + '"}')), 80, 120),
        (asked(TextPart("ping"), tools=(Tool("look", "d" * 400, {"type": "object"}),)), 80, 150),
        (ChatRequest(messages=()), 1, 1),
    ],
)
def test_an_estimate_is_of_the_right_size(request_: ChatRequest, least: int, most: int) -> None:
    assert least <= estimate(request_) <= most


@given(st.lists(st.text(max_size=50), max_size=6), st.text(min_size=1, max_size=50))
@settings(max_examples=100, deadline=None)
def test_more_text_never_counts_less(texts: list[str], further: str) -> None:
    messages = tuple(Message("user", (TextPart(text),)) for text in texts)
    longer = (*messages, Message("user", (TextPart(further),)))
    assert estimate(ChatRequest(messages=longer)) >= estimate(ChatRequest(messages=messages))
