"""Sessions of clients that left without a word make room, those that are being served do not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from jackfield.app.compose import mcp_panel
from jackfield.core.errors import Overloaded
from jackfield.doors.mcp.app import KEY_NAME, McpApp, create_mcp_app
from jackfield.doors.mcp.sessions import SESSION, Sessions
from running_gateway import running_gateway

ACCEPT = {"accept": "application/json, text/event-stream"}
BEGIN: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@asynccontextmanager
async def door_with(folder: Path, most: int) -> AsyncIterator[tuple[McpApp, httpx2.AsyncClient]]:
    """The door's app with so many sessions, and a client of it that shows its key's name in the header x-name."""
    async with running_gateway(folder) as gateway:
        app = create_mcp_app(mcp_panel(gateway.house), asyncio.Event(), max_body_bytes=10_000, sessions_max=most)

        async def keyed(scope: Any, receive: Any, send: Any) -> None:
            name = dict(scope["headers"]).get(b"x-name", b"").decode()
            await app({**scope, KEY_NAME: name}, receive, send)

        try:
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(keyed), base_url="http://door") as client:
                yield app, client
        finally:
            await app.aclose()


async def begin(client: httpx2.AsyncClient, name: str = "") -> str:
    said = await client.post("/mcp", headers={**ACCEPT, "x-name": name}, json=BEGIN)
    assert said.status_code == 200
    session: str = said.headers["mcp-session-id"]
    return session


async def ping(client: httpx2.AsyncClient, session: str, name: str = "") -> int:
    headers = {**ACCEPT, "x-name": name, "mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
    said = await client.post("/mcp", headers=headers, json=PING)
    return said.status_code


async def test_a_new_session_takes_the_place_of_the_longest_silent(tmp_path: Path) -> None:
    async with door_with(tmp_path, 2) as (_, client):
        first, second = await begin(client, "a"), await begin(client, "b")
        assert await ping(client, first, "a") == 200
        third = await begin(client, "c")
        found = {await ping(client, first, "a"), await ping(client, third, "c")}
        assert (found, await ping(client, second, "b")) == ({200}, 404)


async def test_however_many_leave_without_a_word_nothing_grows(tmp_path: Path) -> None:
    async with door_with(tmp_path, 4) as (_, client):
        for _ in range(4):
            await begin(client)
        full = len(asyncio.all_tasks())
        sessions = [await begin(client) for _ in range(20)]
        assert [await ping(client, session) for session in sessions[-4:]] == [200] * 4
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) > full:
                await asyncio.sleep(0.01)


async def test_a_session_that_is_ended_makes_room_by_itself(tmp_path: Path) -> None:
    async with door_with(tmp_path, 2) as (_, client):
        first, second = await begin(client), await begin(client)
        ended = await client.delete("/mcp", headers={"mcp-session-id": second, "mcp-protocol-version": "2025-11-25"})
        assert ended.status_code == 200
        third = await begin(client)
        assert [await ping(client, session) for session in (first, second, third)] == [200, 404, 200]


async def test_a_session_that_is_being_served_is_not_given_up() -> None:
    served, enough = asyncio.Event(), asyncio.Event()
    asked: list[tuple[str, bytes | None]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        name = dict(scope["headers"]).get(SESSION)
        asked.append((scope["method"], name))
        if scope["method"] == "GET":
            served.set()
            await enough.wait()
        begun = [(SESSION, b"%d" % len(asked))] if name is None else []
        await send({"type": "http.response.start", "status": 200, "headers": begun})

    async def call(method: str, name: bytes | None = None) -> None:
        scope = {"method": method, "headers": [] if name is None else [(SESSION, name)]}
        await sessions.serve(scope, unused, unused)

    async def unused(*_: Any) -> Any:
        pass

    sessions = Sessions(app, 1)
    await call("POST")
    listening = asyncio.create_task(call("GET", b"1"))
    async with asyncio.timeout(5):
        await served.wait()
        await call("POST")
        assert ("DELETE", b"1") not in asked
        enough.set()
        await listening
    await call("POST")
    assert [name for method, name in asked if method == "DELETE"] == [b"3", b"1"]


async def test_requests_of_the_newest_revision_end_nobodys_session(tmp_path: Path) -> None:
    async with door_with(tmp_path, 1) as (_, client):
        session = await begin(client)
        await client.post("/mcp", headers={**ACCEPT, "mcp-protocol-version": "2026-07-28"}, json=PING)
        assert await ping(client, session) == 200
        await client.post("/mcp", headers=ACCEPT, json=PING)  # opens nothing, but might have
        assert await ping(client, await begin(client)) == 200


async def test_streams_of_the_older_transport_are_counted_too(tmp_path: Path) -> None:
    """All are listened to, so none makes room."""
    async with door_with(tmp_path, 1) as (app, _):
        opened, ended = asyncio.Event(), asyncio.Event()

        async def receive() -> Any:
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            opened.set()

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/mcp/sse",
            "raw_path": b"/mcp/sse",
            "query_string": b"",
            "headers": [],
        }
        first = asyncio.create_task(app({**scope}, receive, send))
        async with asyncio.timeout(10):
            await opened.wait()
            with pytest.raises(Overloaded, match="1 sessions are open"):
                await app({**scope}, receive, send)
            ended.set()
            await first
