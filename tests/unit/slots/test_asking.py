"""Keyword arguments of a call become a request; nothing is dropped silently."""

from typing import Any

import pytest

from jackfield.core.errors import BadRequest
from jackfield.core.messages import ImagePart, TextPart, text_message
from jackfield.core.requests import Generation, Tool
from jackfield.slots.asking import asked

WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


def test_parameters_go_where_they_belong() -> None:
    wish = asked("hi", {"temp": 0.2, "max_length": 5, "system": "be brief", "model": "m", "timeout": 3, "user": "u"})
    assert wish.request.generation == Generation(temperature=0.2, max_tokens=5)
    assert [(message.role, message.text) for message in wish.request.messages] == [("system", "be brief"), ("user", "hi")]
    assert (wish.request.model, wish.request.user, wish.timeout_s, wish.format) == ("m", "u", 3.0, "text")


def test_an_unknown_parameter_is_passed_on_with_a_warning() -> None:
    wish = asked("hi", {"temprature": 1})
    assert wish.request.extra == {"temprature": 1}
    assert wish.warnings == ["temprature is no parameter known here (did you mean 'temperature'?): passed on as it is"]
    with pytest.raises(BadRequest, match="did you mean 'temperature'"):
        asked("hi", {"temprature": 1, "strict": True})


def test_images_messages_and_tools_in_either_shape() -> None:
    parts = asked("see", {"images": ["http://x/i.png", "data:image/png;base64,AAAA"]}).request.messages[-1].parts
    assert parts == (TextPart("see"), ImagePart(url="http://x/i.png"), ImagePart(data="AAAA", media_type="image/png"))
    wire = asked("", {"messages": [{"role": "user", "content": "hello"}], "system_prompt": "s"}).request
    assert [message.text for message in wire.messages] == ["s", "hello"]
    core = asked("", {"messages": [text_message("user", "hello")]}).request
    assert core.messages == (text_message("user", "hello"),)
    for tools in ([WEATHER], [Tool("get_weather", parameters={"type": "object"})]):
        assert asked("x", {"tools": tools}).request.tools[0].name == "get_weather"


@pytest.mark.parametrize(
    ("prompt", "given", "param"),
    [
        (3, {}, "prompt"),
        ("x", {"model": 3}, "model"),
        ("x", {"timeout": 0}, "timeout"),
        ("x", {"timeout": True}, "timeout"),
        ("x", {"images": [3]}, "images"),
        ("x", {"images": 3}, "images"),
        ("x", {"tools": True}, "tools"),
        ("x", {"tools": "x"}, "tools"),
        ("x", {"messages": True}, "messages"),
        ("x", {"temperature": 9}, "temperature"),
        ("x", {"messages": [object()]}, "messages"),
    ],
)
def test_wrong_types_name_the_parameter(prompt: Any, given: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        asked(prompt, given)
    assert caught.value.param == param
