"""Rate limits read from the headers of answers, in each source's own way of telling them, and seen in the status."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.core.quotas import Allowance, Quota
from jackfield.providers.quotas import read_quota
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import running_gateway

NOW = 1_790_000_000.0


def read(**headers: str) -> Quota | None:
    told = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return read_quota(told, ago_s=2.0, now=NOW)


def test_openai() -> None:
    said = read(
        x_ratelimit_limit_requests="60",
        x_ratelimit_remaining_requests="59",
        x_ratelimit_reset_requests="1s",
        x_ratelimit_limit_tokens="150000",
        x_ratelimit_remaining_tokens="149984",
        x_ratelimit_reset_tokens="6m0.5s",
        x_request_id="req-1",
    )
    assert said == Quota({"requests": Allowance(60, 59, 1.0), "tokens": Allowance(150000, 149984, 360.5)}, None, 2.0)


def test_anthropic_tells_moments() -> None:
    said = read(
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="0",
        anthropic_ratelimit_requests_reset="2026-09-21T14:13:28Z",
        anthropic_ratelimit_input_tokens_remaining="1000",
        retry_after="7",
    )
    assert said is not None
    assert said.retry_after_s == 7
    assert said.allowances["requests"] == Allowance(50, 0, 10.0)
    assert said.allowances["input-tokens"] == Allowance(remaining=1000)


def test_openrouter_tells_milliseconds() -> None:
    said = read(x_ratelimit_limit="200", x_ratelimit_remaining="3", x_ratelimit_reset=f"{(NOW + 28) * 1000:.0f}")
    assert said == Quota({"requests": Allowance(200, 3, 30.0)}, None, 2.0)


@pytest.mark.parametrize("value", ["", "-1", "soon", "1e400", "9" * 40, "6m-1s", "2026-13-01T00:00:00Z", "2026-09-21T14:13:28"])
def test_what_cannot_be_read_is_left_out(value: str) -> None:
    said = read(x_ratelimit_remaining_requests=value, x_ratelimit_limit_requests="5")
    assert said is not None
    assert said.allowances["requests"].limit == 5
    assert said.allowances["requests"].remaining is None


def test_nothing_told_is_nothing() -> None:
    assert read() is None
    assert read(date="Sat, 21 Nov 2026 07:00:00 GMT") is None


@given(st.lists(st.tuples(st.sampled_from((b"x-ratelimit-reset", b"ratelimit-limit", b"retry-after")), st.binary(max_size=20))))
def test_no_header_is_too_odd(headers: list[tuple[bytes, bytes]]) -> None:
    read_quota(headers, ago_s=0.0, now=NOW)


@pytest.mark.behaviour("COST-14")
async def test_limits_and_waits_of_a_source_stand_in_the_status(tmp_path: Path) -> None:
    async with FakeOpenAI(["m"]) as fake, running_gateway(tmp_path, routing={"retries": 0}) as gateway:
        fake.answer_headers = {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "9"}
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="m")
        body: Any = {"model": "slot-0", "messages": [{"role": "user", "content": "ping"}]}
        assert (await gateway.http.post("/v1/chat/completions", json=body)).status_code == 200
        quota = gateway.house.backends.get_backend_status_report()["backends"][0]["quota"]
        assert quota["allowances"]["requests"] == {"limit": 10, "remaining": 9}
        fake.behaviour = Behaviour(status=429, retry_after="30")
        assert (await gateway.http.post("/v1/chat/completions", json=body)).status_code == 429
        shown = gateway.house.backends.get_backend_status_report()["backends"][0]
        assert shown["quota"]["retry_after_s"] == 30
        assert shown["metrics"]["failed"] == 1
