import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, RateLimited
from jackfield.core.redaction import MASK, redact, redact_error

S = "q7Xk29LmPz81vBn4"  # the secret part; must be in no output
CREDENTIALS = {
    "bearer header": f"Authorization: Bearer {S}",
    "bearer in a sentence": f"the server said: bearer {S} was refused",
    "basic header": "Authorization: Basic cTdYazI5TG1Qejgx",
    "basic alone": "sent Basic cTdYazI5TG1Qejgx to the proxy",
    "header of an unknown scheme": f"authorization: Custom{S}",
    "header with scheme token": f"Authorization: Token {S}",
    "openai": f"Incorrect API key provided: sk-{S}. You can find",
    "openai project": f"sk-proj-{S}_ab-cd",
    "anthropic": f"key sk-ant-api03-{S}-AA was rejected",
    "openrouter": f"(sk-or-v1-{S})",
    "hugging face": f"HF_TOKEN=hf_{S}{S}",
    "hugging face alone": f"used hf_{S}{S} for the pull",
    "groq": f"gsk_{S}{S}",
    "google": f"AIzaSy{S}{S}",
    "google in a query": f"POST https://generativelanguage.googleapis.com/v1beta/models/m:generate?key=AIzaSy{S}&alt=sse",
    "query": f"GET /v1/models?limit=5&api_key={S}&page=2",
    "signed query": f"https://bucket.example/o?X-Amz-Signature={S}&X-Amz-Date=1",
    "userinfo": f"could not reach https://admin:{S}@proxy.example:8080/",
    "userinfo with at sign": f"postgres://user:p@{S}@db/main",
    "userinfo token alone": f"https://ghp_{S}{S}@github.example/x.git",
    "json": json.dumps({"model": "m", "api_key": S, "n": 1}),
    "json with spaces in the value": json.dumps({"password": f"correct horse {S}"}),
    "json with an escaped quote": json.dumps({"password": f'cor"rect {S}'}),
    "json in json": json.dumps({"body": json.dumps({"api_key": S})}),
    "json in json in json": json.dumps({"a": json.dumps({"b": json.dumps({"client_secret": f"x {S}"})})}),
    "json list": json.dumps({"Authorization": [f"{S}"]}),
    "json cut short": f'{{"api_key": "{S}',
    "nested json": json.dumps({"outer": {"inner": {"refresh_token": S}}}),
    "header dump": f"host: x\r\nx-api-key: {S}\r\naccept: */*",
    "cookie": f"Cookie: theme=dark; session={S}; lang=en",
    "oauth token": f"oauth_token={S}",
    "oauth token in json": json.dumps({"oauth_token": S}),
    "python dict": repr({"api_key": S, "timeout": 3}),
    "python dict of bytes": repr({b"authorization": S.encode()}),
    "python header pairs": repr([(b"x-api-key", S.encode()), (b"accept", b"*/*")]),
    "environment": f"OPENAI_API_KEY={S}",
    "yaml": f"  token: {S}\n  model: m",
    "several lines": f"request failed\n  api_key:\n    {S}\nend",
    "aws": f"aws_secret_access_key = {S}",
    "aws id": "AKIAQ7XK29LMPZ81VBN4",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJxN1hrMjkifQ.q7Xk29LmPz81vBn4",
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{S}\n{S}\n-----END RSA PRIVATE KEY-----",
    "vendor keys": f"xai-{S}{S} nvapi-{S} pplx-{S}{S} r8_{S}{S} csk-{S} fw_{S} cpk_{S}",
    "github": f"github_pat_{S}",
}
FRAGMENTS = (S, S.upper(), "cTdYazI5", "eyJzdWIi")

HARMLESS = [
    "tokens: 42",
    '{"max_tokens": 4096, "model": "m"}',
    '{"token_type": "bearer", "expires_in": 3600}',
    '{"completion_tokens":12,"prompt_tokens":3}',
    "task-1234567890 was queued",
    "the key word is password",
    "api_key: env:GROQ_API_KEY",
    '{"api_key": "keyring:jackfield/slot-3"}',
    "{'api_key': None, 'token': True}",
    "export GROQ_API_KEY=... before jackfield starts",
    '{"authorization": "Bearer env:HF_TOKEN"}',
    "hf-internal-testing/tiny-random-gpt2",
    "from huggingface_hub import hf_hub_download",
    "the key_performance_indicators of risk-management",
    "a basic understanding of bearer authentication",
    "disk-1234567890 and mask-abcdefghijkl",
    "http://127.0.0.1:11434/v1/models?limit=20",
    "ssh://git@example.org/repo.git",
    "secret: [redacted]",
    'api_key = "${OPENAI_API_KEY}"',
    "grok-4-fast-reasoning, gpt-oss-120b, fw-embedding",
    "eos_token: </s>",
]


@pytest.mark.behaviour("SEC-15")
@pytest.mark.parametrize("text", CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_a_credential_is_masked_wherever_it_stands(text: str) -> None:
    shown = redact(text)
    assert MASK in shown
    assert not any(fragment in shown for fragment in FRAGMENTS), shown


@pytest.mark.behaviour("SEC-15")
@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_text_stays_untouched(text: str) -> None:
    assert redact(text) == text


def test_what_surrounds_a_credential_stays_readable() -> None:
    assert redact(f"GET /v1/models?limit=5&api_key={S}&page=2") == f"GET /v1/models?limit=5&api_key={MASK}&page=2"
    assert redact(f"host: x\r\nx-api-key: {S}\r\naccept: */*") == f"host: x\r\nx-api-key: {MASK}\r\naccept: */*"
    assert json.loads(redact(json.dumps({"api_key": 'a"b\\', "model": "m"}))) == {"api_key": MASK, "model": "m"}


def test_known_values_are_masked_by_value_the_longest_first() -> None:
    assert redact("one abcd two abcdefgh", {"abcd", "abcdefgh"}) == f"one {MASK} two {MASK}"


def test_a_known_value_too_short_to_be_a_secret_does_not_shred_the_text() -> None:
    assert redact("a cab", {"a", ""}) == "a cab"


@pytest.mark.parametrize("text", CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@given(
    key=st.sampled_from(["api_key", "Authorization", "oauth_token", "password", "x-api-key", "client_secret"]),
    secret=st.from_regex(r"[A-Za-z]{4}[A-Za-z0-9]{8,30}", fullmatch=True),
    depth=st.integers(0, 3),
)
@settings(max_examples=150)
def test_json_of_any_depth_is_masked_and_stays_json(key: str, secret: str, depth: int) -> None:
    body: object = {key: secret, "model": "m"}
    text = json.dumps(body)
    for _ in range(depth):
        text = json.dumps({"wrapped": text})
    shown = redact(text)
    assert secret not in shown
    for _ in range(depth):
        shown = json.loads(shown)["wrapped"]
    assert json.loads(shown) == {key: MASK, "model": "m"}


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "token",
        "sk-",
        '"api_key": "',
        '"api_key": \\"',
        "\\",
        "://",
        "eyJ",
        "?key_",
        "Basic ",
        "gsk_",
        "key-",
        "hf_",
        "://a:",
        " ",
    ],
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        began = time.process_time()
        redact(text)
        return time.process_time() - began

    seconds(1000)
    assert seconds(60_000) < 30 * max(seconds(10_000), 0.005)


def test_an_error_loses_a_secret_wherever_the_source_put_it() -> None:
    error = RateLimited("the key swordfish9 is slow", provider="p", code="swordfish9", param="swordfish9", retry_after_s=1)
    redact_error(error, ["swordfish9"])
    assert "swordfish9" not in repr(error) + str(error) + repr(vars(error))
    assert (error.code, error.param, error.retry_after_s) == ("rate_limit_exceeded", None, 1)


def test_an_error_without_a_secret_stays_as_it_is() -> None:
    error = BadRequest("no such field", code="odd", param="messages[0].content")
    redact_error(error, ["swordfish9"])
    assert (str(error), error.code, error.param) == ("no such field", "odd", "messages[0].content")
