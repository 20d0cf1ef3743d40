"""The relay: the very bytes, at once, less one chunk; and what it learns on the way."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import JackfieldError, Malformed, Overloaded, StreamBroken, Unavailable
from jackfield.core.usage import Usage
from jackfield.dialects import sse
from jackfield.dialects.openai_chat import StreamRelay

ROLE = b'data: {"id":"r","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
TEXT = b'data: {"id":"r","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
QUOTED = TEXT.replace(b"hi", rb"\"usage\":{\n[DONE] \"error\":")
NULLS = b'data: {"id":"r","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":null,"error":null}\n\n'
FINISH = b'data: {"id":"r","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
FINISH_USAGE = FINISH.replace(b"}]}", b'}],"usage":{"prompt_tokens":3,"completion_tokens":2}}')
USAGE = b'data: {"id":"r","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
SPACED = b'data: {"id": "r", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n'
LATE_CHOICES = b'data: {"usage":{"prompt_tokens":3,"completion_tokens":2},"id":"r","choices":[]}\n\n'
COMMENT = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
EVENTS = [ROLE, TEXT, QUOTED, NULLS, FINISH, FINISH_USAGE, USAGE, SPACED, LATE_CHOICES, COMMENT, DONE]
HIDDEN = {USAGE, SPACED, LATE_CHOICES}


def relayed(pieces: list[bytes], *, show_usage: bool = False) -> tuple[bytes, StreamRelay]:
    relay = StreamRelay(show_usage=show_usage, provider="p")
    sent = b"".join(map(relay.feed, pieces))
    return sent + relay.finish(), relay


@pytest.mark.behaviour("DIAL-02")
@settings(deadline=None)
@given(
    events=st.lists(st.sampled_from(EVENTS), max_size=10),
    cuts=st.lists(st.integers(0, 1500), max_size=12),
    show_usage=st.booleans(),
    crlf=st.booleans(),
    unterminated=st.booleans(),
)
def test_any_split_gives_the_same_bytes_and_knowledge(
    events: list[bytes], cuts: list[int], show_usage: bool, crlf: bool, unterminated: bool
) -> None:
    def joined(parts: list[bytes]) -> bytes:
        return b"".join(parts).replace(b"\n\n", b"\r\n\r\n") if crlf else b"".join(parts)

    body = joined(events)
    kept = joined([event for event in events if show_usage or event not in HIDDEN])
    if unterminated and events:
        body = body.removesuffix(b"\n")
        kept = kept.removesuffix(b"\n") if show_usage or events[-1] not in HIDDEN else kept
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    sent, relay = relayed([body[start:end] for start, end in pairwise(places)], show_usage=show_usage)
    assert sent == kept
    assert relay.done is (DONE in events)
    assert relay.finished is bool({FINISH, FINISH_USAGE} & {*events})
    assert relay.has_content is bool({TEXT, QUOTED, NULLS} & {*events})
    assert relay.pieces == sum(event in (TEXT, QUOTED, NULLS) for event in events)
    assert relay.usage == (Usage(3, 2) if {*events} & {*HIDDEN, FINISH_USAGE} else None)
    assert relay.error is None


def test_whole_events_go_on_at_once_and_the_beginning_of_one_is_held() -> None:
    relay = StreamRelay(show_usage=False, provider="p")
    assert relay.feed(ROLE) == ROLE
    assert relay.feed(TEXT[:-20]) == b""
    assert relay.feed(TEXT[-20:] + USAGE[:30]) == TEXT
    assert relay.feed(USAGE[30:] + DONE) == DONE
    assert relay.finish() == b""


def test_of_an_event_that_is_cut_nothing_is_sent() -> None:
    """What follows a half event on the same line could not be read."""
    relay = StreamRelay(show_usage=True, provider="p")
    assert relay.feed(ROLE + TEXT + TEXT[:-2]) == ROLE + TEXT
    assert relay.feed(b"") == b""
    assert relay.pieces == 1


@pytest.mark.parametrize(
    ("delta", "is_content"),
    [
        ({}, False),
        ({"role": "assistant", "content": ""}, False),
        ({"content": None, "tool_calls": []}, False),
        ({"content": "x"}, True),
        ({"content": [{"type": "text", "text": "x"}]}, True),
        ({"refusal": "x"}, True),
        ({"reasoning": "x"}, True),
        ({"reasoning_content": "x"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        ({"function_call": {"name": "f"}}, True),
        ({"audio": {"id": "a"}}, True),
    ],
)
def test_content_is_what_a_client_would_notice(delta: dict[str, Any], is_content: bool) -> None:
    event = sse.encode(msgspec.json.encode({"choices": [{"delta": delta}]}))
    _, relay = relayed([event])
    assert relay.has_content is is_content
    _, relay = relayed([TEXT, event, event + event, b": still there\n\n"])
    assert relay.pieces == 1 + 3 * is_content


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (b'data: {"error":{"message":"boom","code":503}}\n\n', Overloaded),
        (b'data: {"choices":[{"delta":{"content":"x"},"error":{"message":"boom"}}]}\n\n', Unavailable),
        (b'data: {"object":"error","message":"boom"}\n\n', Unavailable),
        (b'event: error\ndata: {"message":"boom"}\n\n', Unavailable),
        (b'data: {"choices":[{"delta":{},"finish_reason":"abort"}]}\n\n', StreamBroken),
        (b'data: {"choices":[{"delta":{},"finish_reason":"error"}],"error":{"message":"boom"}}\n\n', Unavailable),
        (b"data: {oops}\n\n", Malformed),
        (b"data: [1]\n\n", Malformed),
        (b'data: {"choices":5}\n\n', Malformed),
    ],
)
@pytest.mark.parametrize("before", [b"", TEXT])
def test_a_fault_is_noticed_and_passed_on(fault: bytes, expected: type[JackfieldError], before: bytes) -> None:
    sent, relay = relayed([before, fault, DONE])
    assert sent == before + fault + DONE
    assert type(relay.error) is expected
    assert relay.error.provider == "p"


def test_the_first_fault_counts() -> None:
    _, relay = relayed([b'data: {"error":"one"}\n\n', b'data: {"error":{"message":"two","code":503}}\n\n'])
    assert relay.error is not None
    assert relay.error.message == "one"


def test_a_cut_stream_is_passed_on_and_not_called_finished() -> None:
    body = TEXT + FINISH[:40]
    sent, relay = relayed([body])
    assert sent == body
    assert not relay.finished
    assert not relay.done
    assert relay.error is None


def test_an_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jackfield.dialects.openai_chat_relay.MAX_EVENT_BYTES", 50)
    relay = StreamRelay(show_usage=False, provider="p")
    relay.feed(b"data: " + b"x" * 40)
    with pytest.raises(Malformed, match="larger than 50 bytes"):
        relay.feed(b"x" * 10)


def test_a_recorded_stream_is_watched_to_its_end() -> None:
    body = (Path(__file__).parents[2] / "golden/openai_chat/llama_server/count.sse").read_bytes()
    sent, relay = relayed([body])
    assert b'"usage"' not in sent
    assert len(body) - len(sent) == len(body.split(b"\n\n")[-3]) + 2
    assert relay.usage is not None
    assert (relay.usage.total_tokens, relay.done, relay.finished, relay.has_content) == (21, True, True, True)
