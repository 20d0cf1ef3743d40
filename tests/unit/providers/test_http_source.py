"""The calls of a provider over HTTP: headers in their order, refusals mapped and logged, nothing secret told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from jackfield.core.contracts import ProviderCard, RawReply
from jackfield.core.errors import JackfieldError, NotFound, Overloaded, RateLimited, Unavailable, Upstream
from jackfield.providers.http_config import HttpConfig
from jackfield.providers.http_source import HttpSource
from jackfield.providers.refusal import read_refusal
from jackfield.testing.conformance import captured_log
from jackfield.testing.fake_server import Behaviour, FakeServer, Recorded, Wire
from jackfield.testing.tools import FakeTools, provider_tools

CARD = ProviderCard("acme", "api", "Acme", default_url="https://api.acme.example/v1", docs="https://acme.example/docs")


class Echo(FakeServer):
    """Answers with what it was asked."""

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        if request.path.endswith("/nothing"):
            return await wire.json(404, self.error(404, "gone", None))
        return await wire.json(200, {"method": request.method, "path": request.path, "body": request.body.decode()})


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    async with Echo() as served:
        yield served


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools() as made:
        yield made


async def refuse(reply: RawReply) -> JackfieldError:
    return await read_refusal(reply, CARD.id)


def source(echo: Echo, tools: FakeTools, config: dict[str, Any] | None = None, **more: Any) -> HttpSource:
    given = HttpConfig(base_url=echo.root_url, **(config or {}))
    return HttpSource(CARD, given, {"X-Kind": "own", "X-Two": "own"}, tools.http, refuse, **more)


async def test_every_method_reaches_its_place(echo: Echo, tools: FakeTools) -> None:
    asked = source(echo, tools)
    for reply in (
        await asked.post("ask", b'{"a":1}', model="m"),
        await asked.get("list"),
        await asked.delete("thing", b"x"),
        await asked.post("/outside", b"{}", model=None),
    ):
        await reply.read()
    assert [(request.method, request.path) for request in echo.requests] == [
        ("POST", "/v1/ask"),
        ("GET", "/v1/list"),
        ("DELETE", "/v1/thing"),
        ("POST", "/outside"),
    ]
    assert [request.body for request in echo.requests] == [b'{"a":1}', b"", b"x", b"{}"]
    assert echo.requests[0].headers["content-type"] == "application/json"
    assert "content-type" not in echo.requests[1].headers
    assert echo.connections == 1
    assert asked.hosts == (f"127.0.0.1:{echo.port}",)


async def test_headers_go_over_each_other_in_their_order(echo: Echo, tools: FakeTools) -> None:
    config = {"headers": {"x-two": "person", "authorization": "Bearer person"}}
    asked = source(echo, tools, config, auth={"authorization": "Bearer key"})
    for headers in (None, {"X-Two": "call"}, None):
        await (await asked.post("ask", b"{}", model=None, headers=headers)).read()
    assert [request.headers["x-two"] for request in echo.requests] == ["person", "call", "person"]
    assert {request.headers["x-kind"] for request in echo.requests} == {"own"}
    assert {request.headers["authorization"] for request in echo.requests} == {"Bearer key"}
    assert {request.headers["user-agent"] for request in echo.requests} == {"jackfield"}


async def test_a_refusal_is_mapped_told_and_seen(echo: Echo, tools: FakeTools) -> None:
    seen: list[JackfieldError] = []
    asked = source(echo, tools, {"secrets": ("hush-hush-1",)}, watch=seen.append, secrets=("hush-hush-2",))
    said = "no hush-hush-1, no hush-hush-2"
    with captured_log() as lines:
        for status, kind in ((429, RateLimited), (503, Overloaded), (500, Unavailable)):
            echo.script.append(Behaviour(status=status, message=said))
            with pytest.raises(kind) as caught:
                await asked.post("ask", b"{}", model="m1")
            assert caught.value.provider == "acme"
            assert "hush" not in str(caught.value)
    assert [type(error) for error in seen] == [RateLimited, Overloaded, Unavailable]
    assert sum("m1" in line for line in lines) == 3
    assert not any("hush" in line for line in lines)


async def test_a_look_tells_any_status_and_a_missing_thing_has_a_name(echo: Echo, tools: FakeTools) -> None:
    asked = source(echo, tools)
    reply = await asked.look("nothing")
    assert reply.status == 404
    await reply.aclose()
    for call in (asked.get, asked.delete):
        with pytest.raises(Upstream, match="status 404"):
            await call("nothing")
    with pytest.raises(NotFound, match="thing 7 is not there"):
        await asked.get("nothing", missing="thing 7")


async def test_a_source_that_is_not_there_is_told_with_its_host(echo: Echo, tools: FakeTools) -> None:
    asked = source(echo, tools)
    await echo.stop()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        await asked.get("list")
    assert "acme" in repr(asked)
    await asked.aclose()
    await asked.aclose()
