"""Batches of the Claude API on the wire: states, and lines of results cut anywhere."""

import pytest
from anthropic.types.messages import MessageBatch

from jackfield.core.errors import Malformed, NotAllowed, Overloaded
from jackfield.providers import anthropic_batches
from jackfield.providers.anthropic_batches import OutcomeReader, decode_state, encode_batch

STATE = (
    b'{"id":"b1","type":"message_batch","processing_status":"canceling","created_at":"2026-01-01T00:00:00Z",'
    b'"expires_at":"2026-01-02T00:00:00.5+00:00","ended_at":null,"cancel_initiated_at":null,"archived_at":null,'
    b'"results_url":null,"request_counts":{"processing":1,"succeeded":2,"errored":0,"canceled":0,"expired":0}}'
)
LINES = (
    b'{"custom_id":"a","result":{"type":"succeeded","message":{"content":[{"type":"text","text":"x"}],"stop_reason":"end_turn"}}}\n'
    b'\n{"custom_id":"b","result":{"type":"errored","error":{"type":"error","error":{"type":"overloaded_error","message":"no"}}}}\n'
    b'{"custom_id":"c","result":{"type":"expired"}}'
)


def test_a_state_is_read() -> None:
    MessageBatch.model_validate_json(STATE)
    state = decode_state(STATE)
    assert (state.id, state.state, state.counts["succeeded"]) == ("b1", "cancelling", 2)
    assert state.expires - state.created == 86_400
    assert decode_state(STATE.replace(b"2026-01-01T00:00:00Z", b"soon")).created == 0


@pytest.mark.parametrize("body", [b"", b"{}", STATE.replace(b"canceling", b"odd")])
def test_what_is_no_batch_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_state(body)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_results_are_read_however_they_are_cut(size: int) -> None:
    reader = OutcomeReader("acme")
    outcomes = [found for at in range(0, len(LINES), size) for found in reader.feed(LINES[at : at + size])] + reader.finish()
    assert [outcome.id for outcome in outcomes] == ["a", "b", "c"]
    assert outcomes[0].reply is not None
    assert outcomes[0].reply.text == "x"
    assert isinstance(outcomes[1].error, Overloaded)
    assert isinstance(outcomes[2].error, NotAllowed)


def test_a_line_that_is_none_or_never_ends_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Malformed):
        OutcomeReader("acme").feed(b"{}\n")
    monkeypatch.setattr(anthropic_batches, "MAX_LINE_BYTES", 9)
    with pytest.raises(Malformed, match="larger"):
        OutcomeReader("acme").feed(b"x" * 20)


def test_a_batch_holds_each_body_as_it_is() -> None:
    assert encode_batch([("a", b'{"max_tokens":1.0}')]) == b'{"requests":[{"custom_id":"a","params":{"max_tokens":1.0}}]}'
