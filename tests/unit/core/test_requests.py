import msgspec
import pytest

from jackfield.core.messages import text_message
from jackfield.core.modes import LifecycleMode, OperatingMode
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation, ResponseFormat, Tool, ToolChoice


def test_a_request_survives_json_unchanged() -> None:
    request = ChatRequest(
        (text_message("user", "hi"),),
        "m",
        Generation(temperature=0.5, stop=("a",)),
        (Tool("f", parameters={"type": "object"}, extra={"x": 1}),),
        ToolChoice("named", "f"),
        ResponseFormat("json_schema", {"type": "object"}, "n", True),
        stream=True,
        include_usage=True,
        user="u",
        extra={"vendor": [1, None]},
    )
    assert msgspec.json.decode(msgspec.json.encode(request), type=ChatRequest) == request


def test_what_is_not_said_is_not_written() -> None:
    assert msgspec.json.encode(Generation(seed=0)) == b'{"seed":0}'
    assert Generation() == Generation(temperature=None)


def test_an_embed_request_takes_texts_and_token_lists() -> None:
    request = EmbedRequest(("a", (1, 2)))
    assert msgspec.json.decode(msgspec.json.encode(request), type=EmbedRequest) == request


@pytest.mark.parametrize(
    ("mode", "names"),
    [(OperatingMode, {"local_only", "burst", "airgapped"}), (LifecycleMode, {"managed", "monitored", "external"})],
)
def test_the_two_mode_axes_keep_their_words(mode: type[OperatingMode | LifecycleMode], names: set[str]) -> None:
    assert {str(item) for item in mode} == names
