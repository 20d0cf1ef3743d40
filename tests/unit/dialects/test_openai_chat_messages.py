"""Messages on the wire: what each part becomes, and what cannot go."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.core.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from jackfield.dialects import openai_chat_messages
from jackfield.dialects.openai_chat import ChatQuirks
from jackfield.dialects.openai_chat_messages import decode_messages, encode_messages


def encode(*messages: Message, quirks: ChatQuirks | None = None) -> tuple[list[dict[str, Any]], list[str]]:
    warnings: list[str] = []
    return encode_messages(messages, quirks or ChatQuirks(), warnings), warnings


@pytest.mark.parametrize(
    "wire",
    [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": "", "name": "ann"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a", "detail": "low", "y": 1}, "z": 2}],
        },
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:;base64,AAAA"}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:text/plain,hello"}}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]},
        {
            "role": "user",
            "content": [{"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}}],
        },
        {"role": "system", "content": "be brief", "odd": None},
        {"role": "assistant", "content": "hi", "annotations": [{"type": "url_citation"}]},
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}, {"type": "refusal", "refusal": "never"}]},
        {"role": "assistant", "content": None, "audio": {"id": "a1"}},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{", "x": 1}, "extra_content": {"y": 2}},
                {"id": "d", "type": "function", "function": {"name": "g", "arguments": ""}},
            ],
        },
        {"role": "assistant", "content": "hi", "reasoning_content": "hm", "reasoning_signature": "c2ln"},
        {"role": "assistant", "content": "hi", "reasoning_content": "hm", "reasoning": {"odd": True}},
        {"role": "tool", "tool_call_id": "c", "content": "done", "odd": 1},
        {
            "role": "tool",
            "tool_call_id": "c",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "name": "f",
        },
    ],
)
def test_a_message_passes_both_ways_unchanged(wire: dict[str, Any]) -> None:
    quirks = ChatQuirks(reasoning_field="reasoning_content")
    assert encode(*decode_messages([wire]), quirks=quirks) == ([wire], [])


def test_parts_are_read_into_their_types() -> None:
    (message,) = decode_messages(
        [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": "https://x.test/a"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "input_audio", "input_audio": {"data": "AA=="}},
                    {"type": "file", "file": {"file_id": "f"}},
                ],
            }
        ]
    )
    assert message.parts == (
        ImagePart("https://x.test/a"),
        ImagePart(data="AAAA", media_type="image/png"),
        AudioPart("AA=="),
        FilePart("f"),
    )


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_read_from_either_name(field: str) -> None:
    (message,) = decode_messages([{"role": "assistant", "content": "4", field: "2+2"}])
    assert message.parts == (ReasoningPart("2+2"), TextPart("4"))
    assert message.extra == {}


def test_reasoning_goes_back_only_to_a_source_that_names_a_field_for_it() -> None:
    message = Message("assistant", (ReasoningPart("2+2", "c2ln"), TextPart("4")))
    items, warnings = encode(message)
    assert items == [{"role": "assistant", "content": "4"}]
    assert len(warnings) == 1
    items, warnings = encode(message, quirks=ChatQuirks(reasoning_field="reasoning"))
    assert items == [{"role": "assistant", "content": "4", "reasoning": "2+2", "reasoning_signature": "c2ln"}]
    assert warnings == []


def test_a_signature_never_rides_on_a_text_that_it_does_not_sign() -> None:
    message = Message("assistant", (ReasoningPart("a", "s1"), ReasoningPart("b", "s2"), ReasoningPart("zzz", redacted=True)))
    items, _ = encode(message, quirks=ChatQuirks(reasoning_field="reasoning"))
    assert items == [{"role": "assistant", "content": None, "reasoning": "ab"}]


def test_tool_results_of_one_message_become_messages_of_their_own() -> None:
    results = (ToolResultPart("a", (TextPart("1"),)), ToolResultPart("b", (), is_error=True))
    items, warnings = encode(Message("user", (*results, TextPart("go on"))))
    assert items == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "go on"},
    ]
    assert warnings == ["messages[0]: is_error is not carried"]


@pytest.mark.parametrize("parts", [(), (TextPart("x"),), (ToolResultPart("a", ()), TextPart("x"))])
def test_a_tool_message_holds_results_only(parts: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        encode(Message("user", (TextPart("x"),)), Message("tool", parts))
    assert caught.value.param == "messages[1]"


def test_what_a_role_cannot_hold_is_reported() -> None:
    items, warnings = encode(Message("user", (TextPart("x"), ToolCallPart("a", "f", "{}"))))
    assert items == [{"role": "user", "content": "x"}]
    assert len(warnings) == 1


@pytest.mark.parametrize(("role", "expected"), [(None, "system"), ("system", "system"), ("developer", "developer")])
def test_instructions_take_the_sources_role(role: Any, expected: str) -> None:
    messages = [Message("system", (TextPart("a"),)), Message("developer", (TextPart("b"),))]
    items, _ = encode(*messages, quirks=ChatQuirks(system_role=role))
    assert [item["role"] for item in items] == [expected, expected]


def test_content_is_flattened_where_it_is_text_only() -> None:
    texts, image = (TextPart("a"), TextPart("b")), ImagePart("u")
    items, _ = encode(Message("user", texts), Message("user", (*texts, image)), quirks=ChatQuirks(flatten_content=True))
    assert items[0]["content"] == "a\nb"
    assert len(items[1]["content"]) == 3


def test_inline_files_and_sounds_of_other_dialects_find_their_form() -> None:
    items, _ = encode(Message("user", (FilePart(data="AA==", media_type="application/pdf"), AudioPart("AA=="))))
    assert items[0]["content"] == [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]


def test_empty_turns_have_a_form() -> None:
    items, _ = encode(Message("user"), Message("assistant"), Message("assistant", (RefusalPart("no", {"x": 1}),)))
    assert items == [
        {"role": "user", "content": ""},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no", "x": 1}]},
    ]


TURNS = st.builds(
    Message,
    st.sampled_from(["system", "developer", "user", "assistant"]),
    st.lists(
        st.one_of(
            st.builds(TextPart, st.sampled_from(["", "a"])), st.just(TextPart("a", {"own": 1})), st.just(RefusalPart("n"))
        ),
        max_size=2,
    ).map(tuple),
    st.sampled_from([None, None, "n"]),
    st.sampled_from([{}, {}, {"own": 1}]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(TURNS, max_size=4), st.sampled_from([ChatQuirks(), ChatQuirks(system_role="developer", flatten_content=True)]))
def test_a_turn_of_one_text_is_written_as_every_turn_is(turns: list[Message], quirks: ChatQuirks) -> None:
    quick = encode(*turns, quirks=quirks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_chat_messages, "_only_text", lambda message: None)
        assert encode(*turns, quirks=quirks) == quick
