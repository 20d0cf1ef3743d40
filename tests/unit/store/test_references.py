import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.store.references import (
    is_reference,
    is_secret_key,
    literal_secrets,
    parse_reference,
    refuse_literals,
    schemed_reference,
)

LITERAL = "q7Xk29LmPz81vBn4"


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("env:HF_TOKEN", ("env", "HF_TOKEN")),
        ("keyring:jackfield/slot-3", ("keyring", "jackfield/slot-3")),
        ("file:groq.key", ("file", "groq.key")),
        ("env:", None),
        ("env: X", None),
        ("vault:x", None),
        ("sk-abc", None),
        ("", None),
        ("file:../../etc/passwd", None),
    ],
)
def test_a_reference_is_a_place_and_a_name(text: str, parsed: tuple[str, str] | None) -> None:
    assert parse_reference(text) == parsed
    assert is_reference(text) == (parsed is not None)


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "apiKey",
        "API-KEY",
        "x-api-key",
        "Authorization",
        "proxy-authorization",
        "token",
        "hf_token",
        "access_token",
        "secret",
        "client_secret",
        "aws_secret_access_key",
        "password",
        "db_password",
        "private_key",
        "credentials",
        "cookie",
    ],
)
def test_keys_that_hold_secrets_are_known(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    ["max_tokens", "tokens", "token_type", "eos_token", "model", "price_key", "key_env", "api_key_env", "keys", "stop_token"],
)
def test_keys_that_only_sound_like_secrets_are_not(key: str) -> None:
    assert not is_secret_key(key)


@pytest.mark.behaviour("SEC-04", "SLOT-04")
@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"api_key": LITERAL}, "api_key"),
        ({"token": 12345678}, "token"),
        ({"headers": {"Authorization": f"Bearer {LITERAL}"}}, "headers.Authorization"),
        ({"headers": {"X-Custom": f"Bearer {LITERAL}"}}, "headers.X-Custom"),
        ({"secret": {"inner": LITERAL}}, "secret.inner"),
        ({"hosts": [{"password": LITERAL}]}, "hosts.0.password"),
        ({"proxy": f"http://me:{LITERAL}@proxy:3128"}, "proxy"),
        ({"base_url": f"https://x.example/v1?api_key={LITERAL}"}, "base_url"),
        ({"extra_body": {"note": f"sk-{LITERAL}"}}, "extra_body.note"),
    ],
)
def test_a_literal_is_refused_by_the_name_of_its_key_and_never_shown(config: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequest, match="jackfield secrets set") as refused:
        refuse_literals(config, "slot-1 (groq)")
    assert refused.value.param == named
    assert named in str(refused.value)
    assert LITERAL not in str(refused.value)
    assert "12345678" not in str(refused.value)


@pytest.mark.behaviour("SLOT-04")
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"api_key": "env:GROQ_API_KEY"},
        {"api_key": None, "token": "", "verify_tls": True},
        {"headers": {"Authorization": "Bearer keyring:jackfield/slot-3"}},
        {"base_url": "http://127.0.0.1:11434/v1", "model": "hf-internal-testing/tiny-random-gpt2", "timeout": 30},
        {"max_tokens": 4096, "stop_token": "</s>", "extra_body": {"n_probs": 1}},
    ],
)
def test_references_and_plain_settings_pass(config: dict[str, Any]) -> None:
    assert list(literal_secrets(config)) == []
    refuse_literals(config, "slot-1")


@given(
    where=st.lists(st.sampled_from(["a", "headers", "extra_body", 0]), max_size=4),
    key=st.sampled_from(["api_key", "Authorization", "x-api-key", "client_secret", "password"]),
)
@settings(max_examples=60)
def test_a_literal_is_found_however_deep_it_lies(where: list[str | int], key: str) -> None:
    config: Any = {key: LITERAL}
    for step in where:
        config = [config] if isinstance(step, int) else {step: config}
    found = list(literal_secrets({"top": config}))
    assert found == [("top", *reversed(where), key)]
    assert LITERAL in json.dumps(config)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("env:NAME", ("", "env:NAME")),
        ("Bearer env:NAME", ("Bearer ", "env:NAME")),
        ("token  file:a/b.c ", ("token  ", "file:a/b.c")),
        ("Bearer eyJhbGciOi", None),
        ("see env:NAME", None),
        ("", None),
    ],
)
def test_a_header_may_say_how_it_authorises_before_its_reference(text: str, parts: tuple[str, str] | None) -> None:
    assert schemed_reference(text) == parts
