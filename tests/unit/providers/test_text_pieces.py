"""Tokens to text: whole characters only, never a stop string nor its beginning."""

from hypothesis import given
from hypothesis import strategies as st

from jackfield.providers.text_pieces import TextPieces

END = 256


def decoded(tokens: list[int]) -> str:
    """A tokenizer whose tokens are bytes."""
    return bytes(token for token in tokens if token < END).decode("utf-8", "replace")


def shown(pieces: TextPieces, tokens: list[int]) -> list[str]:
    return [*(pieces.feed(token) for token in tokens), pieces.finish()]


def test_a_character_waits_for_its_last_byte() -> None:
    pieces = TextPieces(decoded, ends=[END])
    assert shown(pieces, [*"hé🙂".encode(), END]) == ["h", "", "é", "", "", "", "🙂", "", ""]
    assert (pieces.reason, pieces.count) == ("stop", 8)


def test_a_stop_string_is_not_shown_nor_what_may_become_one() -> None:
    pieces = TextPieces(decoded, stop=["END", "\n\n"], ends=[END])
    assert shown(pieces, list(b"a\nEN, END more")) == ["a", "", "\n", "", "EN,", " ", "", "", "", "", "", "", "", "", ""]
    assert (pieces.reason, pieces.count) == ("stop", 9)


def test_what_was_held_back_comes_at_the_end() -> None:
    pieces = TextPieces(decoded, stop=["stop"], ends=[END])
    assert "".join(shown(pieces, [*b"to sto", END])) == "to sto"
    cut = TextPieces(decoded, stop=["stop"], max_tokens=4)
    assert "".join(shown(cut, list(b"a stop"))) == "a st"
    assert cut.reason == "length"
    unfinished = TextPieces(decoded)
    assert "".join(shown(unfinished, ["é".encode()[0]])) == "\ufffd"
    assert unfinished.reason == "length"


def test_a_continuation_is_written_as_inside_a_text() -> None:
    def sentence(tokens: list[int]) -> str:
        return "".join([" one", " two", " three"][token] for token in tokens).removeprefix(" ")

    assert TextPieces(sentence).feed(1) == "two"
    assert TextPieces(sentence, before=[0]).feed(1) == " two"


@given(st.text("ab\u00e9\U0001f642", max_size=30), st.lists(st.text("ab\u00e9", min_size=1, max_size=3), max_size=2))
def test_all_that_is_shown_is_the_text_up_to_the_first_stop(text: str, stop: list[str]) -> None:
    pieces = TextPieces(decoded, stop=stop, ends=[END])
    told = "".join(shown(pieces, [*text.encode(), END]))
    assert text.startswith(told)
    assert not any(each in told for each in stop)
    assert told == text or any(text[len(told) :].startswith(each) for each in stop)
