"""Heavy doors: built by the first request for them, once, tried anew after a failure, and closed at the end."""

import asyncio
from typing import Any

import pytest

from jackfield.app.mounts import KEY_NAME, Mount
from jackfield.core.errors import MissingExtra


class App:
    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.closed = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)

    async def aclose(self) -> None:
        self.closed += 1


async def nothing(*_: Any) -> Any:
    """Neither receives nor sends."""


def test_it_takes_its_path_and_what_is_under_it() -> None:
    mount = Mount("/mcp", App)
    assert [mount.takes(path) for path in ("/mcp", "/mcp/", "/mcp/sse", "/mcpx", "/", "/v1/mcp")] == [True] * 3 + [False] * 3


async def test_it_is_built_once_for_many_and_closed() -> None:
    made: list[App] = []

    def build() -> App:
        made.append(App())
        return made[-1]

    mount = Mount("/mcp", build)
    await mount.aclose()
    assert made == []
    await asyncio.gather(*(mount.serve({"path": "/mcp"}, nothing, nothing, "me") for _ in range(5)))
    assert len(made) == 1
    assert made[0].scopes == [{"path": "/mcp", KEY_NAME: "me"}] * 5
    await mount.aclose()
    await mount.aclose()
    assert made[0].closed == 1


async def test_a_build_that_fails_is_tried_anew() -> None:
    app = App()
    results: list[Any] = [MissingExtra("not installed"), app]

    def build() -> App:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        made: App = result
        return made

    mount = Mount("/mcp", build)
    with pytest.raises(MissingExtra):
        await mount.serve({}, nothing, nothing, "")
    await mount.serve({}, nothing, nothing, "")
    assert len(app.scopes) == 1
