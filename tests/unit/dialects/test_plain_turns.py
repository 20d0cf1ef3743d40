"""The plain reading gives what the whole reading gives: a field that means nothing makes a turn go the whole way."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.core.messages import Message, TextPart, text_message
from jackfield.core.requests import ChatRequest
from jackfield.dialects import anthropic_messages, gemini, ollama, openai_responses
from jackfield.dialects.plain_turns import field_values, plain_turn, said_fields

_words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_odd = st.one_of(st.none(), st.integers(), st.booleans(), st.just([]), st.just({}), st.just(["user"]))
_turns = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), _words), min_size=1, max_size=4)
_odd_turns = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.one_of(_words, _odd, st.just("user")), "content": st.one_of(_words, _odd)}),
        st.fixed_dictionaries({"role": st.just("user"), "parts": st.one_of(_odd, st.just([{"text": 1}]), st.just([{}]))}),
        _odd,
    ),
    min_size=1,
    max_size=3,
)


def _fields(**values: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


def _read(dialect: str, turns: list[Any]) -> ChatRequest:
    match dialect:
        case "anthropic":
            return anthropic_messages.decode_request(_fields(model="m", max_tokens=1, messages=turns))
        case "gemini":
            return gemini.decode_request(_fields(contents=turns))
        case "ollama":
            return ollama.decode_request(_fields(model="m", messages=turns))
        case _:
            return openai_responses.decode_request(_fields(model="m", input=turns))


def _turn(dialect: str, role: str, text: str) -> dict[str, Any]:
    if dialect == "gemini":
        return {"role": "model" if role == "assistant" else role, "parts": [{"text": text}]}
    return {"role": role, "content": text}


def _roundabout(dialect: str, turn: Any) -> Any:
    """The same turn with something beside it that says nothing, or in the longer of two ways."""
    match dialect, turn:
        case "gemini", {"parts": [{"text": str()} as part]}:
            return {**turn, "parts": [{**part, "thought": False}]}
        case "ollama", dict():
            return {**turn, "images": None}
        case "anthropic", {"content": str(text)}:
            return {**turn, "content": [{"type": "text", "text": text}]}
        case "responses", {"content": _, "role": _}:
            return {**turn, "type": "message"}
    return turn


@pytest.mark.parametrize("dialect", ["anthropic", "gemini", "ollama", "responses"])
@settings(max_examples=50)
@given(turns=_turns)
def test_plain_turns_are_read_as_all_others(dialect: str, turns: list[tuple[str, str]]) -> None:
    plain = [_turn(dialect, role, text) for role, text in turns]
    read = _read(dialect, plain)
    assert read == _read(dialect, [_roundabout(dialect, turn) for turn in plain])
    assert "".join(message.text for message in read.messages) == "".join(text for _, text in turns)


@pytest.mark.parametrize("dialect", ["anthropic", "gemini", "ollama", "responses"])
@settings(max_examples=50)
@given(turns=_odd_turns)
def test_what_is_not_plain_is_judged_as_ever(dialect: str, turns: list[Any]) -> None:
    def told(given: list[Any]) -> ChatRequest | tuple[str, str | None]:
        try:
            return _read(dialect, given)
        except JackfieldError as error:
            return error.message.replace("[0].text", "").replace(".content[0]", ".content"), error.param

    assert told(turns) == told([_roundabout(dialect, turn) for turn in turns])


@pytest.mark.parametrize(
    "turn",
    [
        None,
        "user",
        {"role": "user"},
        {"role": "user", "content": None},
        {"role": "tool", "content": "a"},
        {"role": ["user"], "content": "a"},
        {"role": "user", "content": "a", "name": "b"},
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
    ],
)
def test_other_turns_are_left_to_the_dialect(turn: object) -> None:
    assert plain_turn(turn, ("user", "assistant")) is None


def test_a_plain_turn() -> None:
    assert plain_turn({"role": "user", "content": ""}, ("user",)) == text_message("user", "")


def test_several_plain_parts_stay_apart() -> None:
    turn = {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}
    assert _read("gemini", [turn]).messages == (Message("user", (TextPart("a"), TextPart("b"))),)


def test_null_is_not_said() -> None:
    fields = _fields(a=None, b=0, c="x")
    assert field_values(fields) == {"a": None, "b": 0, "c": "x"}
    assert said_fields(fields) == {"b": 0, "c": "x"}


@pytest.mark.parametrize(
    ("raw", "said"), [(b"[1,", "is not valid JSON"), (b'"\xff"', "is not valid JSON"), (b"[" * 5000, "deeply")]
)
def test_the_field_that_is_no_json_is_named(raw: bytes, said: str) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        said_fields({"a": msgspec.Raw(b"1"), "b": msgspec.Raw(raw)})
    assert caught.value.param == "b"
