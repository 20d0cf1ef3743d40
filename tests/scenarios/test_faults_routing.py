"""Two sources of one model, one of them at fault before any content: what the caller gets, and what each upstream gets.

Every answer is bounded in time and has its rows in the ledger, and afterwards nothing is in use.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jackfield.testing.fakes import Behaviour
from jackfield.testing.faults import BEFORE_CONTENT, UNRESOLVABLE, hanging_port, refusing_port, tls_port
from two_sources import LIMIT_S, RETRIES, STREAMS, USAGE, House, assert_from_b, assert_told, is_right, two_sources

FIRST_TOKEN: dict[str, Any] = {"routing": {"first_token_s": LIMIT_S}}
LOOKS = 4
"""Looks at a source's health and models: they come on top, but only few."""

# These are not settled by any sibling: they have tests of their own below.
SPECIAL = {"context too long", "content refused", "slow first token, heartbeats"}


@STREAMS
@pytest.mark.parametrize("name", [name for name in BEFORE_CONTENT if name not in SPECIAL])
async def test_a_fault_before_any_content_is_never_seen(house: House, name: str, stream: bool) -> None:
    house.a.behaviour = BEFORE_CONTENT[name]
    heard = await house.ask(stream=stream)
    assert_from_b(house, heard, stream=stream, lost=USAGE[0] if name == "empty" else 0)
    assert heard.seconds < 3
    await house.settled()


@STREAMS
async def test_heartbeats_are_no_first_token(tmp_path: Path, stream: bool) -> None:
    async with two_sources(tmp_path, **FIRST_TOKEN) as house:
        house.a.behaviour = BEFORE_CONTENT["slow first token, heartbeats"]
        heard = await house.ask(stream=stream)
        assert_from_b(house, heard, stream=stream)
        await house.settled()


@STREAMS
async def test_a_refused_key_gives_way_to_another_key(tmp_path: Path, stream: bool) -> None:
    environ = {"KEY_A": "fake-key-a", "KEY_B": "fake-key-b"}
    async with two_sources(tmp_path, environ=environ) as house:
        house.b = house.a  # one service, two accounts
        await house.plug_a(api_key="env:KEY_A")
        await house.plug_b(api_key="env:KEY_B")
        house.a.require_key = environ["KEY_B"]
        asked_with: Callable[[str], int] = lambda key: sum(  # noqa: E731
            request.method == "POST" and request.headers["authorization"].endswith(key) for request in house.a.requests
        )
        for number in range(1, 4):
            heard = await house.ask(stream=stream)
            assert is_right(heard, stream=stream), heard
            assert asked_with(environ["KEY_A"]) == 1, "a key that was refused is not sent again"
            assert asked_with(environ["KEY_B"]) == number
        await house.settled()


UNREACHABLE = ("refused", "connect hangs", "untrusted certificate", "no TLS there", "TLS never answers", "no such host")


@contextlib.asynccontextmanager
async def unreachable(house: House, kind: str) -> AsyncIterator[None]:
    """Slot 0 while it cannot be reached: down since it was plugged, or plugged all the same."""
    async with contextlib.AsyncExitStack() as stack:
        match kind:
            case "refused":
                await house.a.stop()
                stack.enter_context(refusing_port(house.a.port))
            case "connect hangs":
                await house.a.stop()
                stack.enter_context(hanging_port(house.a.port))
            case "no such host":
                await house.plug_a(UNRESOLVABLE, consent=True)
            case _:
                kinds: dict[str, Any] = {
                    "untrusted certificate": "untrusted", "no TLS there": "plain", "TLS never answers": "mute"
                }  # fmt: skip
                port = await stack.enter_async_context(tls_port(kinds[kind]))
                await house.plug_a(port.base_url)
                tried = port.connections
                stack.callback(lambda: _assert_few(port.connections - tried, port.requests))
        house.before |= asyncio.all_tasks()
        yield


def _assert_few(connections: int, requests: int) -> None:
    assert connections <= 1 + RETRIES + LOOKS
    assert requests == 0


@STREAMS
@pytest.mark.parametrize("kind", UNREACHABLE)
async def test_a_source_that_cannot_be_reached_gives_way(tmp_path: Path, kind: str, stream: bool) -> None:
    async with two_sources(tmp_path, mode="burst") as house, unreachable(house, kind):
        heard = await house.ask(stream=stream)
        assert_from_b(house, heard, stream=stream, tried=False)
        assert heard.seconds < 3
        await house.settled()


@STREAMS
@pytest.mark.parametrize("room", [100_000, 1_000])
async def test_a_prompt_that_is_too_long_goes_only_where_there_is_more_room(house: House, room: int, stream: bool) -> None:
    await house.plug_a(max_context=2_000)
    await house.plug_b(max_context=room)
    house.a.behaviour = BEFORE_CONTENT["context too long"]
    heard = await house.ask(stream=stream)
    if room > 2_000:
        assert_from_b(house, heard, stream=stream)
    else:
        assert_told(house, heard, 400, "context_length_exceeded")
        assert (house.a.asked, house.b.asked) == (1, 0)
    await house.settled()


@STREAMS
@pytest.mark.parametrize("is_allowed", [False, True])
async def test_a_refused_prompt_goes_elsewhere_only_where_the_client_allows_it(
    house: House, is_allowed: bool, stream: bool
) -> None:
    house.a.behaviour = BEFORE_CONTENT["content refused"]
    wishes = {"order": ["slot-0"], "allow_fallbacks": True} if is_allowed else {"order": ["slot-0"]}
    heard = await house.ask(stream=stream, provider=wishes)
    if is_allowed:
        assert_from_b(house, heard, stream=stream)
    else:
        assert_told(house, heard, 400, "content_filter")
        assert (house.a.asked, house.b.asked) == (1, 0)
    await house.settled()


@STREAMS
async def test_a_bad_request_is_bad_everywhere(house: House, stream: bool) -> None:
    house.a.behaviour = Behaviour(status=400, message="messages[0].role is wrong", code="invalid_request_error")
    heard = await house.ask(stream=stream)
    assert heard.status == 400
    assert (house.a.asked, house.b.asked) == (1, 0)
    await house.settled()


# ---- nothing else is at hand

ALONE = {
    "429": (429, "rate_limit_exceeded", 1 + RETRIES),
    "500": (502, "unavailable", 1 + RETRIES),
    "502": (502, "unavailable", 1 + RETRIES),
    "503": (503, "overloaded", 1 + RETRIES),
    "529": (503, "overloaded", 1 + RETRIES),
    "key refused": (401, "invalid_api_key", 1),
    "payment required": (402, "insufficient_quota", 1),
    "quota spent": (402, "insufficient_quota", 1),
    "model gone": (404, "model_not_found", 1),
    "context too long": (400, "context_length_exceeded", 1),
    "content refused": (400, "content_filter", 1),
    "no answer": (504, "timeout", 1 + RETRIES),
    "slow first token": (504, "timeout", 1 + RETRIES),
    "stalled": (504, "timeout", 1 + RETRIES),
    "cut": (502, None, 1 + RETRIES),
    "malformed": (502, "malformed_answer", 1),
    "no JSON": (502, "malformed_answer", 1),
    "error with status 200": (502, "unavailable", 1 + RETRIES),
}


@STREAMS
@pytest.mark.parametrize("name", ALONE)
async def test_with_nothing_else_at_hand_the_truth_is_told(lonely: House, name: str, stream: bool) -> None:
    status, code, most = ALONE[name]
    lonely.a.behaviour = BEFORE_CONTENT[name]
    heard = await lonely.ask(stream=stream)
    assert_told(lonely, heard, status, code)
    assert 1 <= lonely.a.asked <= most
    await lonely.settled()


@STREAMS
async def test_an_empty_answer_is_passed_on_or_told_when_all_are_empty(house: House, stream: bool) -> None:
    house.a.behaviour = house.b.behaviour = BEFORE_CONTENT["empty"]
    heard = await house.ask(stream=stream)
    assert heard.text == ""
    assert heard.status == 200 or heard.status >= 500, heard
    assert (heard.error is None) is (heard.status == 200)
    assert house.a.asked + house.b.asked <= 1 + RETRIES
    await house.settled()


@STREAMS
@pytest.mark.parametrize(("name", "is_passing"), [("503", True), ("429", True), ("no answer", True), ("key refused", False)])
async def test_a_fault_that_passes_is_waited_out(lonely: House, name: str, is_passing: bool, stream: bool) -> None:
    lonely.a.script.append(BEFORE_CONTENT[name])
    heard = await lonely.ask(stream=stream)
    assert is_right(heard, stream=stream) is is_passing, heard
    assert lonely.a.asked == 1 + is_passing
    await lonely.settled()


@pytest.mark.future1
@pytest.mark.behaviour("MGR-34")
@STREAMS
async def test_retry_after_is_waited_for(lonely: House, stream: bool) -> None:
    lonely.a.script.append(BEFORE_CONTENT["429 with retry-after"])
    heard = await lonely.ask(stream=stream)
    assert is_right(heard, stream=stream), heard
    assert heard.seconds >= 1
    assert lonely.a.asked == 2
    await lonely.settled()


@STREAMS
async def test_a_retry_after_beyond_all_patience_is_told(lonely: House, stream: bool) -> None:
    lonely.a.behaviour = msgspec.structs.replace(BEFORE_CONTENT["429"], retry_after="3600")
    heard = await lonely.ask(stream=stream)
    assert_told(lonely, heard, 429, "rate_limit_exceeded")
    assert int(heard.headers["retry-after"]) > 3000
    assert heard.seconds < 1
    assert lonely.a.asked == 1
    await lonely.settled()


@STREAMS
@pytest.mark.parametrize("kind", UNREACHABLE)
async def test_a_source_that_cannot_be_reached_is_told(tmp_path: Path, kind: str, stream: bool) -> None:
    async with two_sources(tmp_path, alone=True, mode="burst") as house, unreachable(house, kind):
        heard = await house.ask(stream=stream)
        assert_told(house, heard, heard.status, None)
        assert heard.status in (502, 503, 504)
        assert len(house.rows(heard)) <= 1 + RETRIES
        await house.settled()
