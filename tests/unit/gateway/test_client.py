"""The client's side of an exchange: bodies, limits, and noticing that nobody is there any more."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jackfield.core.errors import BodyTooLarge
from jackfield.gateway import client as module
from jackfield.gateway.client import AsgiClient, Receive


def receiver(*messages: dict[str, Any]) -> Receive:
    """Gives the messages, then waits for ever, as a server does while its client stays."""
    queue = list(messages)

    async def receive() -> dict[str, Any]:
        if queue:
            return queue.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    return receive


async def nowhere(message: Any) -> None:
    """A send that succeeds."""


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": "/x", "headers": list(headers)}


def body(data: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


@pytest.fixture(autouse=True)
def quick_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCH_AFTER_S", 0.001)


@pytest.fixture
async def no_leak() -> AsyncIterator[None]:
    yield
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in left if "Client" in repr(task)]


async def test_a_body_in_pieces_is_joined(no_leak: None) -> None:
    client = AsgiClient(scope(), receiver(body(b"ab", True), body(b"cd", True), body(b"e")), nowhere, 100)
    assert await client.body() == b"abcde"
    client.close()


@pytest.mark.parametrize(
    ("headers", "messages"),
    [
        ([(b"content-length", b"101")], [body(b"never read")]),
        ([], [body(b"x" * 101)]),
        ([], [body(b"x" * 60, True), body(b"x" * 60, True), body(b"")]),
    ],
)
async def test_a_body_over_the_limit_is_refused(headers: list[tuple[bytes, bytes]], messages: list[dict[str, Any]]) -> None:
    client = AsgiClient(scope(*headers), receiver(*messages), nowhere, 100)
    with pytest.raises(BodyTooLarge, match="100 bytes") as caught:
        await client.body()
    client.close()
    assert caught.value.status == 413


async def test_a_client_that_leaves_cancels_the_handler(no_leak: None) -> None:
    started = asyncio.Event()
    gone: list[bool] = []

    async def handler() -> None:
        client = AsgiClient(scope(), receiver(body(b"{}"), {"type": "http.disconnect"}), nowhere, 100)
        try:
            await client.body()
            started.set()
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            gone.append(client.is_gone)
            assert client.why_cancelled() is None
        finally:
            client.close()

    async with asyncio.timeout(5):
        await handler()
    assert gone == [True]


async def test_a_handler_that_never_ends_is_given_up(no_leak: None) -> None:
    async def handler() -> str:
        client = AsgiClient(scope(), receiver(body(b"{}")), nowhere, 100, patience_s=0.01)
        try:
            await client.body()
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            error = client.why_cancelled()
            assert error is not None
            return str(error.status)
        finally:
            client.close()
        return "never"

    async with asyncio.timeout(5):
        assert await handler() == "408"


async def test_a_body_that_trickles_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch, no_leak: None) -> None:
    monkeypatch.setattr(module, "BODY_WITHIN_S", 0.01)
    client = AsgiClient(scope(), receiver(body(b"{", True)), nowhere, 100)
    with pytest.raises(asyncio.CancelledError):
        await client.body()
    assert client.is_late
    assert client.why_cancelled() is not None
    client.close()


async def test_cancellation_from_outside_is_not_ours() -> None:
    async def handler() -> None:
        client = AsgiClient(scope(), receiver(body(b"{}")), nowhere, 100)
        try:
            await client.body()
            await asyncio.sleep(30)
        finally:
            assert not client.is_gone
            assert not client.is_late
            client.close()

    task = asyncio.create_task(handler())
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_client_that_leaves_after_a_slow_body_is_noticed_soon(no_leak: None) -> None:
    """Not only when the time that a body may take is over."""

    async def receive() -> dict[str, Any]:
        calls.append(1)
        if len(calls) == 1:
            await asyncio.sleep(0.02)
            return body(b"{}")
        return {"type": "http.disconnect"}

    calls: list[int] = []

    async def handler() -> bool:
        client = AsgiClient(scope(), receive, nowhere, 100)
        try:
            await client.body()
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return client.why_cancelled() is None and client.is_gone
        finally:
            client.close()
        return False

    async with asyncio.timeout(5):
        assert await handler()
