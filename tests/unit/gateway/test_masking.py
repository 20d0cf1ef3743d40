"""No secret leaves in an answer: by its field's name, by its shape, by its value."""

from typing import Any

import pytest

from jackfield.gateway.masking import masked_config, masked_text

CANARY = "sk-canary-0123456789abcdef"


@pytest.mark.behaviour("SLOT-04")
def test_references_stay_and_secrets_go() -> None:
    config: dict[str, Any] = {
        "api_key": "env:GROQ_API_KEY",
        "headers": {"Authorization": f"Bearer {CANARY}", "x-title": "hello"},
        "extra_body": {"user_token": "plainsecret"},
        "model": "m",
        "list": [CANARY, 3],
    }
    shown = masked_config(config, ())
    assert shown["api_key"] == "env:GROQ_API_KEY"
    assert shown["headers"] == {"Authorization": "[redacted]", "x-title": "hello"}
    assert shown["extra_body"] == {"user_token": "[redacted]"}
    assert shown["model"] == "m"
    assert shown["list"] == ["[redacted]", 3]
    assert config["list"][0] == CANARY


def test_known_values_go_wherever_they_stand() -> None:
    assert masked_config({"base_url": "http://h/correct-horse/v1"}, {"correct-horse"}) == {"base_url": "http://h/[redacted]/v1"}
    assert masked_text("refused correct-horse", {"correct-horse"}) == "refused [redacted]"


def test_short_values_do_not_eat_the_text() -> None:
    assert masked_config({"model": "abc"}, {"a"}) == {"model": "abc"}
