"""Errors: one class for each cause, whoever reports it, and an object that OpenAI's client understands."""

import httpx2
import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core import errors
from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    BodyTooLarge,
    BudgetSpent,
    ContentRefused,
    ContextOverflow,
    JackfieldError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    RateLimited,
    StreamBroken,
    TimedOut,
    Unavailable,
    Upstream,
)
from jackfield.dialects.openai_chat import decode_error, encode_error, encode_stream_error
from jackfield.dialects.openai_errors import in_band_error


def body(message: str = "", code: object = None, kind: str = "", param: str | None = None) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": kind, "code": code, "param": param}})


@pytest.mark.behaviour("DIAL-06")
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, Upstream),
        (400, BadRequest),
        (401, AuthFailed),
        (402, BudgetSpent),
        (403, AuthFailed),
        (404, Upstream),
        (405, Upstream),
        (408, TimedOut),
        (409, Overloaded),
        (413, BodyTooLarge),
        (418, BadRequest),
        (422, BadRequest),
        (429, RateLimited),
        (451, ContentRefused),
        (500, Unavailable),
        (501, NotSupported),
        (502, Unavailable),
        (503, Overloaded),
        (504, TimedOut),
        (520, Unavailable),
        (524, TimedOut),
        (529, Overloaded),
    ],
)
@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"[]", b"\xff\xfe", body("something"), b"oops"])
def test_the_status_decides(status: int, expected: type[JackfieldError], content: bytes) -> None:
    error = decode_error(status, content, provider="p", retry_after_s=2.5)
    assert type(error) is expected
    assert error.retry_after_s == 2.5
    assert error.message


@pytest.mark.behaviour("DIAL-06")
@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (400, body("x", "context_length_exceeded"), ContextOverflow),
        (400, body("x", 400, "exceed_context_size_error"), ContextOverflow),
        (413, body("the input exceeds the context window"), ContextOverflow),
        (422, body("prompt is too long: 9 tokens"), ContextOverflow),
        (500, body("Failed to parse tools: type must be string, but is null; tools = []"), BadRequest),
        (500, body("Failed to parse input at pos 3"), Unavailable),
        (400, body("API key not valid. Please pass a valid API key."), AuthFailed),
        (400, body("x", "insufficient_quota"), BudgetSpent),
        (403, body("Insufficient balance"), BudgetSpent),
        (429, body("x", "insufficient_quota"), BudgetSpent),
        (429, body("Your credit balance is too low"), BudgetSpent),
        (429, body("Rate limit reached. Add a payment method at https://x.test/account/billing to raise it."), RateLimited),
        (429, body("You exceeded your current quota, check your plan and billing details. Please retry in 35s."), RateLimited),
        (403, body("Your input was flagged by moderation"), ContentRefused),
        (400, body("x", "content_policy_violation"), ContentRefused),
        (
            400,
            msgspec.json.encode({"error": {"message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
            ContentRefused,
        ),
        (400, body("model 'nope' not found"), ModelNotFound),
        (404, body("The model `x` does not exist"), ModelNotFound),
        (404, body('model "x" not found, try pulling it first'), ModelNotFound),
        (404, body("x", "model_not_found"), ModelNotFound),
        (404, body("File Not Found"), Upstream),
        (400, body("Only tiny allowed now, your model nope", 40301), BadRequest),
        (
            400,
            body("Unsupported value: 'temperature' does not support 0.5 with this model.", "unsupported_value"),
            NotSupported,
        ),
        (400, body("this model does not support images"), NotSupported),
        (400, body("Unknown parameter: 'moderation'.", "unknown_parameter"), NotSupported),
    ],
)
def test_words_tell_causes_apart_where_the_status_does_not(status: int, content: bytes, expected: type[JackfieldError]) -> None:
    assert type(decode_error(status, content, provider="p")) is expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (body("it broke"), "it broke"),
        (b'{"error":"Unauthorized"}', "Unauthorized"),
        (b'{"object":"error","message":"it broke","code":400}', "it broke"),
        (b'{"message":"it broke"}', "it broke"),
        (b'{"detail":"it broke"}', "it broke"),
        (b'{"detail":{"message":"it broke"}}', "it broke"),
        (b'{"detail":[{"loc":["body","messages",0,"content"],"msg":"Field required"}]}', "messages[0].content: Field required"),
        (b'{"detail":[{"loc":"odd","msg":"Field required"}]}', "Field required"),
        (b'{"detail":5}', "status 418"),
        (b'[{"error":{"message":"it broke"}}]', "it broke"),
        (b'"it broke"', "it broke"),
        (b"it broke\n", "it broke"),
        (b"<html><head><title>413 Too &amp; Large</title></head><body>x</body></html>", "413 Too & Large"),
        (b"<p>it <b>broke</b></p><script>alert(1)</script>", "it broke"),
        (b"", "status 418"),
    ],
)
def test_what_upstream_said_is_found_in_any_shape(content: bytes, said: str) -> None:
    message = decode_error(418, content, provider="p").message
    assert said in message
    assert "alert" not in message


def test_the_place_of_a_fastapi_complaint_is_the_param() -> None:
    content = b'{"detail":[{"loc":["body","messages",0,"content"],"msg":"Field required"}]}'
    error = decode_error(422, content, provider="p")
    assert (error.param, error.status) == ("messages[0].content", 422)


def test_code_and_param_of_upstream_are_kept_where_they_say_more() -> None:
    error = decode_error(400, body("no", "invalid_type", param="temperature"), provider="p")
    assert (error.code, error.param, error.status, error.provider) == ("invalid_type", "temperature", 400, "p")
    assert decode_error(400, body("no", "string_above_max_length"), provider="p").code == "context_length_exceeded"
    assert decode_error(403, b"", provider="p").status == 403
    assert decode_error(400, body("Incorrect API key"), provider="p").status == 401


@pytest.mark.behaviour("SEC-15")
@settings(deadline=None)
@given(key=st.from_regex(r"[A-Za-z0-9]{24}", fullmatch=True))
def test_keys_never_survive_in_a_message(key: str) -> None:
    contents = [
        body(f"Incorrect API key provided: sk-proj-{key}."),
        f"denied: Bearer sk-{key}".encode(),
        f"https://u:p{key}@h/ failed".encode(),
    ]
    for content in contents:
        error = decode_error(401, content, provider="p")
        assert key not in error.message
        assert key not in str(error)
        assert key not in encode_error(error).decode()


def test_long_messages_are_cut() -> None:
    assert len(decode_error(500, body("x" * 100_000), provider="p").message) < 1200
    assert len(decode_error(500, b"y" * 100_000, provider="p").message) < 400


@settings(deadline=None)
@given(
    status=st.integers(300, 599),
    content=st.binary(max_size=200) | st.from_regex(r'\{"(error|detail|message)":.{0,60}\}').map(str.encode),
)
def test_any_answer_gives_some_error(status: int, content: bytes) -> None:
    error = decode_error(status, content, provider="p")
    assert 400 <= error.status < 600
    msgspec.json.decode(encode_error(error))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"error": {"message": "x", "code": 429}}, RateLimited),
        ({"error": {"message": "x", "code": "503"}}, Overloaded),
        ({"error": {"message": "x", "status": 401}}, AuthFailed),
        ({"error": {"message": "x", "type": "rate_limit_error"}}, RateLimited),
        ({"error": {"message": "x", "type": "overloaded_error"}}, Overloaded),
        ({"error": {"message": "x", "type": "invalid_request_error"}}, BadRequest),
        ({"error": {"message": "too many tokens: exceeds the context length"}}, ContextOverflow),
        ({"error": {"message": "x", "code": 1}}, Unavailable),
        ({"error": "x"}, Unavailable),
        ({"object": "error", "message": "x", "code": 404}, Upstream),
    ],
)
def test_an_error_inside_an_answer(value: object, expected: type[JackfieldError]) -> None:
    assert type(in_band_error(value, provider="p")) is expected


@pytest.mark.parametrize("value", [{}, {"error": None}, {"error": ""}, {"error": {}}, {"choices": []}, [], None, "error"])
def test_no_error_inside_an_answer(value: object) -> None:
    assert in_band_error(value, provider="p") is None


CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, JackfieldError)]


@pytest.mark.parametrize("class_", CLASSES, ids=lambda class_: class_.__name__)
def test_every_error_has_its_wire_form(class_: type[JackfieldError]) -> None:
    error = class_("it broke", slot=3, provider="p", param="x", request_id="q")
    told = msgspec.json.decode(encode_error(error))["error"]
    assert told == {
        "message": "p: it broke",
        "type": told["type"],
        "param": "x",
        "code": class_.default_code,
        "slot": 3,
        "provider": "p",
        "request_id": "q",
    }
    assert told["type"]


def test_what_is_not_known_is_not_written() -> None:
    assert msgspec.json.decode(encode_error(BadRequest("no")))["error"] == {
        "message": "no",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_request",
    }


@pytest.mark.parametrize(
    "class_",
    [
        BadRequest,
        AuthFailed,
        BudgetSpent,
        ModelNotFound,
        RateLimited,
        Overloaded,
        TimedOut,
        Unavailable,
        BodyTooLarge,
        NotSupported,
        ContextOverflow,
        ContentRefused,
    ],
)
def test_one_panel_behind_another_reports_the_same_error(class_: type[JackfieldError]) -> None:
    error = class_("it broke")
    assert type(decode_error(error.status, encode_error(error), provider="inner")) is class_


def test_the_official_client_raises_our_in_stream_error() -> None:
    stream = b'data: {"id":"r","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'
    stream += encode_stream_error(StreamBroken("the source went away", provider="p"))
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    )
    client = openai.OpenAI(api_key="none", base_url="http://127.0.0.1:1/v1", http_client=httpx2.Client(transport=transport))
    with pytest.raises(openai.APIError, match="the source went away"), client:
        list(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True))


def test_a_code_that_is_no_code_is_not_taken_over() -> None:
    for code in ("a sentence of the source", "x" * 65, "line\nbreak"):
        assert (
            decode_error(400, msgspec.json.encode({"error": {"message": "no", "code": code}}), provider="p").code
            == "invalid_request"
        )
    assert decode_error(400, b'{"error": {"message": "no", "code": "bad_image"}}', provider="p").code == "bad_image"
