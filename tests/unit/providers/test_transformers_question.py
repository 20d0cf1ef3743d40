"""Chat requests as chat templates take them."""

import pytest

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import Message, ReasoningPart, RefusalPart, TextPart, ToolResultPart, text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.transformers_question import not_passed_on, question_of


def test_turns_are_plain_text_and_a_developer_is_the_system() -> None:
    thought = Message("assistant", (ReasoningPart("hm"), TextPart("yes "), RefusalPart("and no")))
    messages = (text_message("developer", "be brief"), text_message("user", "well?"), thought, text_message("user", "why?"))
    asked = question_of(ChatRequest(messages), Generation(), "x")
    assert [turn["role"] for turn in asked.turns] == ["system", "user", "assistant", "user"]
    assert [turn["content"] for turn in asked.turns] == ["be brief", "well?", "yes and no", "why?"]
    assert asked.plain == "be brief\n\nUser: well?\n\nAssistant: yes \n\nUser: why?\n\nAssistant:"
    assert not asked.goes_on


def test_a_last_message_by_the_assistant_is_gone_on_with() -> None:
    messages = (text_message("user", "count"), text_message("assistant", "1, 2,"))
    assert question_of(ChatRequest(messages), Generation(), "x").goes_on


@pytest.mark.parametrize(
    "message",
    [Message("user", ()), Message("user", (TextPart(""),)), Message("tool", (ToolResultPart("1", (TextPart("x"),)),))],
)
def test_what_holds_no_text_is_refused(message: Message) -> None:
    with pytest.raises((BadRequest, NotSupported)) as caught:
        question_of(ChatRequest((message,)), Generation(), "x")
    assert caught.value.provider == "x"


def test_what_cannot_be_set_is_told() -> None:
    assert not_passed_on(Generation(seed=1, stop=("x",), frequency_penalty=1.0)) == []
    assert not_passed_on(Generation(top_logprobs=2)) == ["top_logprobs is left out: it cannot be set for this engine"]
