"""A posted message reaches the SDK whole or not at all."""

from typing import Any

import pytest

from jackfield.core.errors import BadRequest, BodyTooLarge
from jackfield.doors.mcp.messages import serve_whole

GONE = {"type": "http.disconnect"}
MESSAGE = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def served(*messages: dict[str, Any], headers: Any = (), most: int = 100, checked: bool = True) -> list[Any]:
    """What the app behind it receives: nothing where it is not asked."""
    coming, seen = list(messages), list[Any]()

    async def receive() -> Any:
        return coming.pop(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([await receive(), await receive()])

    async def send(message: Any) -> None:
        raise AssertionError(message)

    await serve_whole(app, {"headers": list(headers)}, receive, send, most=most, checked=checked)
    return seen


async def test_a_body_in_pieces_comes_as_one() -> None:
    assert await served(piece(MESSAGE[:5], more=True), piece(MESSAGE[5:]), GONE) == [piece(MESSAGE), GONE]


@pytest.mark.parametrize("before", [[], [piece(MESSAGE[:5], more=True)]])
async def test_a_client_that_leaves_in_the_middle_is_forgotten(before: list[dict[str, Any]]) -> None:
    assert await served(*before, GONE) == []


async def test_a_body_over_the_limit_is_read_no_further() -> None:
    with pytest.raises(BodyTooLarge):
        await served(piece(b"x" * 60, more=True), piece(b"x" * 60, more=True))
    with pytest.raises(BodyTooLarge):
        await served(headers=[(b"content-length", b"101")])


@pytest.mark.parametrize(
    "body", [b"", b"{canary", b"[]", b'"canary"', b"{}", b'{"jsonrpc": "2.0", "id": 1, "method": 3}', b"\xff"]
)
async def test_what_is_no_message_is_refused_only_where_it_is_checked(body: bytes) -> None:
    with pytest.raises(BadRequest, match="no JSON-RPC message") as refused:
        await served(piece(body))
    assert "canary" not in str(refused.value)
    assert await served(piece(body), GONE, checked=False) == [piece(body), GONE]
