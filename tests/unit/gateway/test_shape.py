"""A field of a wrong kind is told by its first byte, at the top and in each turn."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.gateway.shape import FLAG, NUMBER, OBJECT, TEXT, TEXT_OR_LIST, Shape

SHAPE = Shape(
    {"temperature": NUMBER, "user": TEXT, "n": NUMBER, "flag": FLAG, "options": OBJECT, "stop": TEXT_OR_LIST},
    "messages",
)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
RIGHT = {"temperature": -0.5, "user": "u", "n": 3, "flag": False, "options": {}, "stop": ["x"]}
ANY: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.lists(st.integers(), max_size=2) | st.just({})
)


def check(**fields: object) -> None:
    SHAPE.check(_fields(msgspec.json.encode(fields)))


def test_what_is_right_unknown_or_null_is_let_through() -> None:
    check(**RIGHT, unknown={"a": [1]}, messages=[{"role": "user", "content": "x"}, {"role": "tool", "content": [{}], "x": 1}])
    check(**dict.fromkeys(RIGHT), messages=None)
    check(messages=[{"role": None, "content": None}, {}])
    check()


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"temperature": "hot"}, "temperature", 'temperature must be a number, got "hot"'),
        ({"user": 5}, "user", "must be a string"),
        ({"flag": 1}, "flag", "must be true or false"),
        ({"options": []}, "options", "must be an object"),
        ({"stop": 5}, "stop", "must be a string or an array"),
        ({"messages": {}}, "messages", "must be an array"),
        ({"messages": ["hi"]}, "messages[0]", "must be an object, got a string"),
        ({"messages": [{"role": 1}]}, "messages[0].role", "must be a string"),
        ({"messages": [{}, {"content": 5}]}, "messages[1].content", "must be a string or an array"),
        ({"messages": [{"content": [{"text": "x"}, {"text": 5}]}]}, "messages[0].content[1].text", "must be a string"),
        ({"messages": [{"content": ["x"]}]}, "messages[0].content[0]", "must be an object"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, object], param: str, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check(**fields)
    assert caught.value.param == param
    assert said in caught.value.message


def test_a_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(BadRequest) as caught:
        check(temperature="secret " * 1000)
    assert len(caught.value.message) < 100


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*RIGHT, "messages", "other"]), ANY))
def test_any_fields_are_let_through_or_named(fields: dict[str, object]) -> None:
    wrong = [name for name, value in fields.items() if not fits(name, value)]
    if not wrong:
        check(**fields)
        return
    with pytest.raises(BadRequest) as caught:
        check(**fields)
    assert str(caught.value.param).partition("[")[0] in wrong


def fits(name: str, value: object) -> bool:
    if value is None or name == "other":
        return True
    if name == "messages":
        return value == []
    kinds = {"temperature": (int,), "n": (int,), "user": (str,), "flag": (bool,), "options": (dict,), "stop": (str, list)}
    return type(value) in kinds[name]
