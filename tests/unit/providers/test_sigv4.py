from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.providers.sigv4 import AwsKeys, canonical_request, signed_headers

AT = datetime(2026, 3, 1, 10, 20, 30, tzinfo=UTC)
KEYS = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
HOST = "bedrock-runtime.us-east-1.amazonaws.com"


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "get_current_datetime", lambda: AT.replace(tzinfo=None))


def _judged(method: str, target: str, body: bytes, keys: AwsKeys) -> Any:
    request = AWSRequest(method=method, url=f"https://{HOST}{target}", data=body)
    signer: Any = auth.SigV4Auth(Credentials(keys.access_key, keys.secret_key, keys.session_token), "bedrock", "us-east-1")
    signer.add_auth(request)
    return request.headers


def _signed(method: str, target: str, body: bytes, keys: AwsKeys) -> dict[str, str]:
    return signed_headers(method, HOST, target, body, keys=keys, region="us-east-1", service="bedrock", at=AT)


@pytest.mark.behaviour("BEDR-05")
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", "/model/us.amazon.nova-lite-v1%3A0/converse", b'{"messages":[]}'),
        ("POST", "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A111122223333%3Ainference-profile%2Fus.x/converse-stream", b""),
        ("GET", "/foundation-models?byOutputModality=TEXT", b""),
        ("GET", "/inference-profiles?maxResults=1000&nextToken=a%2Fb%2B%3D%3D", b""),
    ],
)
@pytest.mark.parametrize("session_token", [None, "FwoGZXIvYXdzEXAMPLE//=="])
@pytest.mark.usefixtures("frozen")
def test_signatures_are_botocore_s(method: str, target: str, body: bytes, session_token: str | None) -> None:
    keys = AwsKeys(KEYS.access_key, KEYS.secret_key, session_token)
    ours, judged = _signed(method, target, body, keys), _judged(method, target, body, keys)
    assert ours["authorization"] == judged["Authorization"]
    assert ours["x-amz-date"] == judged["X-Amz-Date"]
    assert ours.get("x-amz-security-token") == judged["X-Amz-Security-Token"]


@pytest.mark.behaviour("BEDR-05")
@given(st.text("abz09.:/~_-% +é", max_size=20), st.binary(max_size=40))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("frozen")
def test_any_model_id_signs_as_botocore_does(model: str, body: bytes) -> None:
    target = f"/model/{quote(model, safe='')}/converse"
    if not model.strip(".") or "//" in target:
        return
    assert _signed("POST", target, body, KEYS)["authorization"] == _judged("POST", target, body, KEYS)["Authorization"]


def test_a_canonical_request_is_as_aws_writes_it() -> None:
    """AWS's published "get-vanilla-query-order-key" case, with its own path and headers."""
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert canonical_request("GET", "/?Param2=value2&Param1=value1", headers, empty) == (
        "GET\n/\nParam1=value1&Param2=value2\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\n"
        f"host;x-amz-date\n{empty}"
    )
    keys = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    at = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    signed = signed_headers(
        "GET", "example.amazonaws.com", "/?Param2=value2&Param1=value1", b"", keys=keys, region="us-east-1",
        service="service", at=at,
    )  # fmt: skip
    assert signed["authorization"].endswith("b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")


def test_keys_are_never_shown() -> None:
    assert "wJalr" not in repr(KEYS)
    assert "AKID" not in f"{KEYS}"
