"""Refusals before any socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.core.errors import ContextOverflow, NotSupported
from jackfield.core.messages import ImagePart, Message, TextPart, ToolResultPart, text_message
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.fit import BYTES_PER_TOKEN, check_fit, estimate_tokens, sees_images

SEES = Capabilities(images=True)


def _asked(text: str, max_tokens: int | None = None) -> ChatRequest:
    return ChatRequest((text_message("user", text),), generation=Generation(max_tokens=max_tokens))


@pytest.mark.behaviour("ADPT-06")
def test_a_prompt_and_answer_that_cannot_fit_are_refused() -> None:
    facts = ModelProfile("m", context_length=100)
    check_fit(_asked("word " * 20, 79), "m", "p", SEES, facts)
    with pytest.raises(ContextOverflow) as caught:
        check_fit(_asked("word " * 20, 81), "m", "p", SEES, facts)
    assert (caught.value.provider, caught.value.param) == ("p", "max_tokens")
    with pytest.raises(ContextOverflow) as caught:
        check_fit(_asked("word " * 101), "m", "p", SEES, facts)
    assert caught.value.param == "messages"
    assert "100 tokens" in caught.value.message


def test_the_models_own_window_counts_before_the_providers() -> None:
    record = Capabilities(max_context=10)
    check_fit(_asked("word " * 20), "m", "p", record, ModelProfile("m", context_length=100))
    with pytest.raises(ContextOverflow):
        check_fit(_asked("word " * 20), "m", "p", record, None)


def test_an_unknown_window_refuses_nothing() -> None:
    check_fit(_asked("word " * 10_000, 10**6), "m", "p", SEES, ModelProfile("m"))


@pytest.mark.behaviour("ADPT-05")
@pytest.mark.parametrize(
    ("record", "facts", "sees"),
    [
        (Capabilities(images=True), None, True),
        (Capabilities(images=False), None, False),
        (Capabilities(images=True, vision=False), None, False),
        (Capabilities(images=True), ModelProfile("m", vision=False), False),
        (Capabilities(images=False), ModelProfile("m", vision=True), True),
    ],
)
def test_images_are_refused_only_where_a_no_is_known(record: Capabilities, facts: ModelProfile | None, sees: bool) -> None:
    assert sees_images(record, facts) is sees
    picture = Message("user", (ToolResultPart("1", (ImagePart(url="https://x/y.png"),)),))
    if sees:
        check_fit(ChatRequest((picture,)), "m", "p", record, facts)
    else:
        with pytest.raises(NotSupported, match="m takes no images"):
            check_fit(ChatRequest((picture,)), "m", "p", record, facts)


@given(st.lists(st.text(max_size=50), max_size=5))
def test_the_estimate_never_exceeds_one_token_for_so_many_bytes(texts: list[str]) -> None:
    request = ChatRequest(tuple(Message("user", (TextPart(text),)) for text in texts))
    size = sum(len(text.encode(errors="replace")) for text in texts)
    assert estimate_tokens(request) == size // BYTES_PER_TOKEN
