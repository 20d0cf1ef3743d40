"""The ledger: one row for every call, whoever asked and however it ended."""

from typing import Any

import pytest

from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway

CHAT = "/v1/chat/completions"
PING: Any = [{"role": "user", "content": "ping"}]


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}])
async def test_tokens_are_counted_whether_the_client_asks_or_not(
    gateway: Gateway, fake: FakeOpenAI, fields: dict[str, Any]
) -> None:
    reply = await gateway.http.post(CHAT, json={"model": "slot-0", "messages": PING, **fields})
    row = gateway.rows()[0]
    assert row.prompt_tokens > 0
    assert row.completion_tokens > 0
    assert (row.slot, row.provider, row.model, row.outcome, row.status) == (0, "openai-compat", "fake-model", "ok", 200)
    assert row.streamed is bool(fields)
    assert row.request_id == reply.headers["x-request-id"]
    assert row.latency_s > 0
    assert (row.first_token_s is not None) is bool(fields)
    if fields:
        assert ('"usage":{' in reply.text.replace(" ", "")) is ("stream_options" in fields)
        assert fake.requests[-1].json["stream_options"] == {"include_usage": True}


async def test_a_request_that_found_no_slot_is_on_the_books_too(gateway: Gateway) -> None:
    await gateway.http.post(CHAT, json={"model": "slot-9", "messages": PING})
    row = gateway.rows()[0]
    assert (row.outcome, row.status, row.provider) == ("slot_empty", 404, "")


async def test_the_panel_metrics_agree_with_the_ledger(gateway: Gateway) -> None:
    for _ in range(3):
        await gateway.http.post(CHAT, json={"model": "slot-0", "messages": PING})
    binding = gateway.house.registry.slot(0).binding
    assert binding is not None
    rows = gateway.rows()
    assert binding.metrics.requests == len(rows) == 3
    assert binding.metrics.tokens_used == sum(row.prompt_tokens + row.completion_tokens for row in rows)


async def test_rows_survive_a_restart_and_are_not_doubled(gateway: Gateway) -> None:
    await gateway.http.post(CHAT, json={"model": "slot-0", "messages": PING})
    before = gateway.rows()
    assert gateway.rows() == before
    assert len(before) == 1
