"""The root: methods, hosts, and a limit on what apps behind it wait for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jackfield.app.asgi import in_time
from jackfield.core.errors import TimedOut
from running_gateway import running_gateway


async def test_a_wrong_method_is_told_which_ones_there_are(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        said = await gateway.http.get("/v1/chat/completions")
        assert (said.status_code, said.headers["allow"]) == (405, "POST")
        assert said.json()["error"]["type"] == "invalid_request_error"
        assert said.json()["error"]["code"] == "method_not_allowed"
        listed = await gateway.http.delete("/v1/models")
        assert (listed.status_code, listed.headers["allow"]) == (405, "GET")


async def test_head_is_get_without_a_body(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        for path in ("/health", "/v1/models"):
            said = await gateway.http.head(path)
            assert (said.status_code, said.content) == (200, b"")
            assert int(said.headers["content-length"]) > 0


async def test_a_gateway_on_another_loopback_address_answers_to_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, server={"host": "127.0.0.2"}) as gateway:
        for host, status in (("127.0.0.2:7311", 200), ("127.0.0.1", 200), ("127.0.0.3", 403), ("evil.example", 403)):
            assert (await gateway.http.get("/health", headers={"host": host})).status_code == status


async def test_a_body_that_does_not_come_ends_the_wait_for_it() -> None:
    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(TimedOut) as caught:
        await in_time(never, 0.01)()
    assert caught.value.status == 408


async def test_after_the_body_a_wait_may_be_long() -> None:
    async def receive() -> dict[str, Any]:
        if not given:
            given.append(True)
            return {"type": "http.request", "body": b"{}", "more_body": False}
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    given: list[bool] = []
    bounded = in_time(receive, 0.01)
    await bounded()
    assert (await bounded())["type"] == "http.disconnect"
