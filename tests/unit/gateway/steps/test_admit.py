"""Admission: keys, hosts and origins."""

import pytest

from jackfield.core.errors import AuthFailed, NotAllowed
from jackfield.core.redaction import redact
from jackfield.gateway.steps.admit import Admission

KEY = "a-key-of-ours"


@pytest.mark.parametrize("host", [b"127.0.0.1:7311", b"localhost", b"LOCALHOST:80", b"[::1]:7311"])
def test_loopback_hosts_come_in(host: bytes) -> None:
    Admission().admit({b"host": host})


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example:7311",
        b"127.0.0.1.evil.example",
        b"10.0.0.7:7311",
        b"",
        b"localhost:80@evil.example",
        b"[::1].evil.example",
        b"localhost, evil.example",
        b":80",
    ],
)
def test_a_foreign_host_is_refused(host: bytes) -> None:
    with pytest.raises(NotAllowed, match="does not answer to the host") as caught:
        Admission().admit({b"host": host})
    assert caught.value.status == 403


@pytest.mark.parametrize("origin", [b"http://evil.example", b"https://localhost.evil.example", b"null"])
def test_a_foreign_origin_is_refused(origin: bytes) -> None:
    with pytest.raises(NotAllowed, match="may not use this gateway"):
        Admission().admit({b"host": b"127.0.0.1:7311", b"origin": origin})


def test_a_local_page_comes_in() -> None:
    Admission().admit({b"host": b"127.0.0.1:7311", b"origin": b"http://localhost:5173"})


def test_an_exposed_gateway_answers_to_any_host_but_not_without_a_key() -> None:
    admission = Admission({"main": KEY}, check_hosts=False)
    with pytest.raises(AuthFailed, match="asks for a key") as caught:
        admission.admit({b"host": b"gateway.lan"})
    assert caught.value.status == 401
    admission.admit({b"host": b"gateway.lan", b"authorization": b"Bearer " + KEY.encode()})


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": b"Bearer " + KEY.encode()},
        {b"authorization": b"bearer  " + KEY.encode()},
        {b"x-api-key": KEY.encode() + b" "},
        {b"x-goog-api-key": KEY.encode(), b"authorization": b"Bearer ", b"x-api-key": b""},
    ],
)
def test_each_form_of_the_key_is_taken(headers: dict[bytes, bytes]) -> None:
    Admission({"main": KEY}).admit({b"host": b"localhost", **headers})


def test_a_wrong_key_is_403_and_never_repeated() -> None:
    with pytest.raises(AuthFailed) as caught:
        Admission({"main": KEY}).admit({b"authorization": b"Bearer wrong-key-value"})
    assert caught.value.status == 403
    assert "wrong-key-value" not in str(caught.value)


def test_an_open_path_needs_no_key() -> None:
    Admission({"main": KEY}).admit({b"host": b"localhost"}, is_open=True)


@pytest.mark.parametrize("headers", [{}, {b"x-api-key": b""}, {b"authorization": b""}, {b"authorization": b"Bearer  "}])
@pytest.mark.parametrize("query", [b"", b"key", b"key=", b"key=&key="])
def test_an_empty_key_is_none_and_opens_nothing(headers: dict[bytes, bytes], query: bytes) -> None:
    with pytest.raises(AuthFailed) as caught:
        Admission({"main": ""}).admit(headers, query)
    assert caught.value.status == 401
    assert "[redacted]" not in redact(caught.value.message)
