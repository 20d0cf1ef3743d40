"""Retry-After, in all the ways it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.core.errors import Malformed, RateLimited
from jackfield.providers.refusal import MAX_WAIT_S, read_refusal, retry_after_s
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from jackfield.testing.tools import provider_tools
from jackfield.transport.http1 import Endpoint

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({b"retry-after": b"7"}, 7.0),
        ({b"retry-after": b" 1.5 "}, 1.5),
        ({b"retry-after-ms": b"250", b"retry-after": b"7"}, 0.25),
        ({b"retry-after": b"Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({b"retry-after": b"Tue, 14 Nov 2022 22:13:50 GMT"}, 0.0),
        ({b"retry-after": b"999999999"}, MAX_WAIT_S),
        ({b"retry-after": b"-3"}, 0.0),
        ({b"retry-after": b"soon"}, None),
        ({b"retry-after": b"nan"}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read(headers: dict[bytes, bytes], wait: float | None) -> None:
    assert retry_after_s(headers, NOW) == wait


@given(st.binary(max_size=40))
def test_no_header_breaks_it(value: bytes) -> None:
    wait = retry_after_s({b"retry-after": value}, NOW)
    assert wait is None or 0 <= wait <= MAX_WAIT_S


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (Behaviour(status=429, retry_after="3"), RateLimited),
        (Behaviour(status=302, location="https://elsewhere.example/v1?token=secretsecret"), Malformed),
    ],
)
async def test_an_answer_that_says_no_becomes_an_error_and_frees_its_connection(
    behaviour: Behaviour, kind: type[Exception]
) -> None:
    async with FakeOpenAI(behaviour=behaviour) as fake, provider_tools() as tools:
        reply = await tools.http.send(Endpoint.parse(fake.base_url).head("POST", "chat/completions", {}), b"{}")
        error = await read_refusal(reply, "acme")
        assert isinstance(error, kind)
        assert "secretsecret" not in str(error)
        assert str(error).startswith("acme: ")
        assert tools.http.idle_count == tools.http.open_count == 1
