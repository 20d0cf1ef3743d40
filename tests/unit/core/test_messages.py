from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    format_messages,
    text_message,
)

TEXT = st.text(max_size=20)
MAYBE = st.none() | TEXT
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
EXTRA = st.dictionaries(TEXT, JSON, max_size=3)
CONTENT = (
    st.builds(TextPart, TEXT, EXTRA)
    | st.builds(RefusalPart, TEXT, EXTRA)
    | st.builds(ReasoningPart, TEXT, MAYBE, st.booleans(), EXTRA)
    | st.builds(ImagePart, MAYBE, MAYBE, MAYBE, MAYBE, EXTRA)
    | st.builds(AudioPart, MAYBE, MAYBE, MAYBE, EXTRA)
    | st.builds(FilePart, MAYBE, MAYBE, MAYBE, MAYBE, EXTRA)
)
PARTS: st.SearchStrategy[Part] = (
    CONTENT
    | st.builds(ToolCallPart, TEXT, TEXT, TEXT, EXTRA)
    | st.builds(ToolResultPart, TEXT, st.lists(CONTENT, max_size=2).map(tuple), MAYBE, st.booleans(), EXTRA)
)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])


@given(st.builds(Message, ROLES, st.lists(PARTS, max_size=4).map(tuple), MAYBE, EXTRA))
@settings(max_examples=150)
def test_a_message_survives_json_unchanged(message: Message) -> None:
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message


def test_the_text_of_a_message_is_its_text_parts_only() -> None:
    call = ToolCallPart("1", "f", "{}")
    message = Message("assistant", (ReasoningPart("hm"), TextPart("a"), call, RefusalPart("no"), TextPart("b")))
    assert message.text == "ab"
    assert message.tool_calls == (call,)


def test_equal_content_is_an_equal_message() -> None:
    assert text_message("user", "hi") == Message("user", (TextPart("hi"),))


@pytest.mark.behaviour("ADPT-32")
def test_a_prompt_and_a_system_prompt_become_messages() -> None:
    assert format_messages("hi", "be brief") == (text_message("system", "be brief"), text_message("user", "hi"))
    assert format_messages("hi") == format_messages("hi", "") == (text_message("user", "hi"),)


def test_a_message_cannot_be_changed() -> None:
    message = text_message("user", "hi")
    with pytest.raises(AttributeError):
        message.role = "system"  # type: ignore[misc]
