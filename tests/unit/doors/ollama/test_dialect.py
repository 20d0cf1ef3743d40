"""The Ollama dialect as the gateway asks it: what a body needs, what a slot's settings add, what others are not sent."""

from typing import Any

import msgspec
import pytest

from jackfield.core.errors import JackfieldError, Malformed
from jackfield.doors.ollama.dialect import OllamaChat

CHAT, GENERATE = OllamaChat("chat"), OllamaChat("generate")
PING: Any = [{"role": "user", "content": "ping"}]


def fields(**given: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in given.items()}


@pytest.mark.parametrize(
    ("dialect", "given", "needed"),
    [
        (CHAT, {"messages": PING}, (False, False, False)),
        (CHAT, {"messages": PING, "tools": [{}]}, (True, False, False)),
        (CHAT, {"messages": PING, "format": "json"}, (False, True, False)),
        (CHAT, {"messages": PING, "format": {"type": "object"}}, (False, True, False)),
        (CHAT, {"messages": PING, "format": ""}, (False, False, False)),
        (CHAT, {"messages": PING, "format": None}, (False, False, False)),
        (CHAT, {"messages": [{"role": "user", "content": "x", "images": ["QQ=="]}]}, (False, False, True)),
        (CHAT, {"messages": [{"role": "user", "content": "x", "images": []}]}, (False, False, False)),
        (CHAT, {"messages": PING, "images": ["QQ=="]}, (False, False, False)),
        (GENERATE, {"prompt": "x", "images": ["QQ=="]}, (False, False, True)),
        (GENERATE, {"prompt": "x", "images": []}, (False, False, False)),
    ],
)
def test_what_a_body_needs(dialect: OllamaChat, given: dict[str, Any], needed: tuple[bool, bool, bool]) -> None:
    needs = dialect.needs(fields(**given))
    assert (needs.tools, needs.json_mode, needs.vision) == needed


def test_the_settings_of_a_slot_stand_where_this_dialect_has_them() -> None:
    body = fields(messages=PING, options={"temperature": 1.5})
    CHAT.fill_in(body, fields(temperature=0.1, max_tokens=5, reasoning_effort="none"))
    assert msgspec.json.decode(body["options"]) == {"temperature": 1.5, "num_predict": 5}
    assert bytes(body["think"]) == b"false"


def test_what_others_do_not_take_is_left_out_and_named() -> None:
    request = GENERATE.decode_request(fields(model="x", prompt="ping", raw=True, keep_alive="5m", options={"num_gpu": 2}), "m")
    assert (request.model, request.messages[0].text) == ("m", "ping")
    assert not {"raw", "keep_alive", "options"} & set(request.extra)
    assert {warning.partition(":")[0] for warning in request.warnings} == {"raw", "keep_alive", "options.num_gpu"}


def test_a_whole_answer_that_is_none_is_noticed() -> None:
    usage = CHAT.reply_usage(b'{"message":{"role":"assistant","content":"x"},"done":true,"prompt_eval_count":3,"eval_count":2}')
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (3, 2)
    assert CHAT.reply_usage(b'{"message":{"role":"assistant","content":"x"},"done":true,"done_reason":"stop"}') is None
    with pytest.raises(JackfieldError, match="out of memory"):
        CHAT.reply_usage(b'{"error":"out of memory"}')
    with pytest.raises(Malformed):
        CHAT.reply_usage(b'{"message":{"role":"assi')


@pytest.mark.parametrize(("dialect", "said"), [(CHAT, "message"), (GENERATE, "response")])
def test_a_sign_of_life_is_a_line_without_a_word(dialect: OllamaChat, said: str) -> None:
    assert dialect.keep_alive.endswith(b"\n")
    line = msgspec.json.decode(dialect.keep_alive)
    assert set(line) == {said, "done"}
    assert line["done"] is False
    assert line[said] in ("", {"role": "assistant", "content": ""})
