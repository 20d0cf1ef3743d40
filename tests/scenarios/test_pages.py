"""Pages of other origins: those that the owner named may use every door from a browser with the key, and no others may."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from doors_table import CALLS
from running_gateway import Gateway, running_gateway

KEY = "CanaryKeyOfThePages4kW1"
PAGE = "http://studio.example:5173"
STRANGER = "http://studio.example:5174"
ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}


@pytest.fixture
async def open_to_a_page(tmp_path: Path) -> AsyncIterator[Gateway]:
    server = {"api_key": "env:PAGE_KEY", "cors_origins": [PAGE]}
    slots = {0: {"provider": "scripted"}}
    async with running_gateway(tmp_path, {"PAGE_KEY": KEY}, server=server, slots=slots) as gateway:
        yield gateway


def allowances(answer: httpx2.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.behaviour("DOOR-40")
async def test_a_named_page_may_ask_at_every_call(open_to_a_page: Gateway) -> None:
    for call in CALLS:
        path = call.path.partition("?")[0]
        before = await open_to_a_page.http.options(path, headers={**ASKS, "origin": PAGE})
        assert (before.status_code, before.headers["access-control-allow-origin"]) == (204, PAGE), call
        assert before.headers["access-control-allow-methods"] == "POST"
        assert "content-length" not in before.headers
        assert before.headers["access-control-allow-headers"] == ASKS["access-control-request-headers"]
        assert before.headers.get_list("access-control-allow-origin") == [PAGE]
        without_key = await open_to_a_page.http.request(
            call.method, call.path, content=call.content, headers={**call.headers, "origin": PAGE}
        )
        assert without_key.status_code == (200 if path in ("/health", "/ready") else 401), call
        assert without_key.headers["access-control-allow-origin"] == PAGE  # so the page can tell its user why


@pytest.mark.behaviour("DOOR-40")
@pytest.mark.parametrize("stream", [False, True])
async def test_it_reads_answers_whole_and_streamed(open_to_a_page: Gateway, stream: bool) -> None:
    body = {"model": "slot-0", "messages": [{"role": "user", "content": "ping"}], "stream": stream}
    headers = {"origin": PAGE, "authorization": f"Bearer {KEY}"}
    said = await open_to_a_page.http.post("/v1/chat/completions", json=body, headers=headers)
    assert said.status_code == 200
    assert said.headers["access-control-allow-origin"] == PAGE
    assert said.headers["vary"] == "origin"
    shown = {name.strip() for name in said.headers["access-control-expose-headers"].split(",")}
    assert {name for name in said.headers if name.startswith("x-jackfield")} <= shown
    control = await open_to_a_page.http.get("/control/v1/slots", headers=headers)
    assert (control.status_code, control.headers["access-control-allow-origin"]) == (200, PAGE)


@pytest.mark.behaviour("DOOR-40")
async def test_no_other_page_may(open_to_a_page: Gateway) -> None:
    for origin in (STRANGER, PAGE + ".evil.example", "https://studio.example:5173", "null", ""):
        before = await open_to_a_page.http.options("/v1/chat/completions", headers={**ASKS, "origin": origin})
        assert before.status_code in (401, 403, 405)
        said = await open_to_a_page.http.get("/v1/models", headers={"origin": origin, "x-api-key": KEY})
        assert said.status_code == 403
        assert allowances(before) == allowances(said) == []


async def test_who_is_no_page_is_told_nothing_of_pages(open_to_a_page: Gateway) -> None:
    said = await open_to_a_page.http.get("/v1/models", headers={"x-api-key": KEY})
    assert said.status_code == 200
    assert allowances(said) == []
    assert said.headers["vary"] == "origin"  # else a cache could give this answer to a page, which may not read it then


async def test_its_websockets_are_let_in_too(open_to_a_page: Gateway) -> None:
    address = f"{open_to_a_page.url.replace('http', 'ws', 1)}/ws/page?key={KEY}"
    async with connect(address, origin=PAGE) as socket:  # type: ignore[arg-type]
        assert "connected" in str(await socket.recv())
    with pytest.raises(InvalidStatus):
        async with connect(address, origin=STRANGER):  # type: ignore[arg-type]
            pass
