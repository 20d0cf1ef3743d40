"""What clients get wrong: each has a status, an OpenAI error object, and a message that says what to do."""

import socket
from pathlib import Path
from typing import Any

import pytest

from jackfield.testing.fakes import FakeOpenAI
from running_gateway import Gateway, running_gateway

CHAT = "/v1/chat/completions"
PING: Any = [{"role": "user", "content": "ping"}]


def error_of(body: Any) -> dict[str, Any]:
    assert set(body) == {"error"}
    error = body["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert error["message"]
    return dict(error)


@pytest.mark.behaviour("HTTP-02")
@pytest.mark.parametrize(
    ("body", "status", "param", "said"),
    [
        (b"{not json", 400, None, "JSON"),
        (b"", 400, None, "JSON"),
        (b"[1, 2]", 400, None, "object"),
        (b'{"model": "slot-0"}', 400, "messages", "list"),
        (b'{"messages": []}', 400, "model", "slot"),
        (b'{"model": 7, "messages": []}', 400, "model", "string"),
        (b'{"model": "", "messages": []}', 400, "model", "empty"),
        (b'{"model": "slot-0", "messages": "hi"}', 400, "messages", "list"),
        (b'{"model": "slot-0", "messages": [], "stream": "yes"}', 400, "stream", "true or false"),
        (b'{"model": "slot-0", "messages": [], "stream": true, "stream_options": 3}', 400, "stream_options", "object"),
        (b'{"model": "slot-5", "messages": []}', 404, "model", "slot 5 is empty"),
        (b'{"model": "slot--1", "messages": []}', 400, "model", "out of range"),
        (b'{"model": "slot-99", "messages": []}', 400, "model", "out of range"),
        (b'{"model": "slot-99999999999999999999", "messages": []}', 400, "model", "out of range"),
        (b'{"model": "gpt-nine", "messages": []}', 404, "model", "gpt-nine"),
        (b'{"model": "slot_O", "messages": []}', 404, "model", "did you mean"),
    ],
)
async def test_a_wrong_body_is_named(
    gateway: Gateway, fake: FakeOpenAI, body: bytes, status: int, param: str | None, said: str
) -> None:
    reply = await gateway.http.post(CHAT, content=body)
    error = error_of(reply.json())
    assert reply.status_code == status, error
    assert said in error["message"]
    if param:
        assert error["param"] in (param, "slot")
    assert fake.completions == 0


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"content": "no role"}]}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"messages": PING, "temperature": "hot"}, "temperature"),
        ({"messages": PING, "tools": "none"}, "tools"),
    ],
)
async def test_a_field_that_the_source_refuses_is_named_by_us(
    gateway: Gateway, fake: FakeOpenAI, fields: dict[str, Any], param: str
) -> None:
    from jackfield.testing.fakes import Behaviour

    fake.behaviour = Behaviour(status=500, message="TypeError in the engine")
    reply = await gateway.http.post(CHAT, json={"model": "slot-0", **fields})
    assert reply.status_code == 400, reply.text
    assert error_of(reply.json())["param"].startswith(param)


async def test_an_oversized_body_is_refused(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, server={"max_body_bytes": 2048}) as gateway:
        reply = await gateway.http.post(CHAT, content=b"x" * 4096)
        assert reply.status_code == 413
        assert "2048 bytes" in error_of(reply.json())["message"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", CHAT, 405), ("POST", "/v1/models", 405), ("GET", "/nope", 404)])
async def test_unknown_paths_and_methods(gateway: Gateway, method: str, path: str, status: int) -> None:
    reply = await gateway.http.request(method, path)
    assert reply.status_code == status
    error_of(reply.json())


async def test_pages_from_elsewhere_are_refused(gateway: Gateway, fake: FakeOpenAI) -> None:
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        reply = await gateway.http.post(CHAT, json={"model": "slot-0", "messages": PING}, headers=headers)
        assert reply.status_code == 403
        error_of(reply.json())
    assert fake.completions == 0


@pytest.mark.behaviour("HTTP-10")
async def test_a_key_is_asked_for_everywhere_but_on_health(tmp_path: Path) -> None:
    environ = {"GATE_KEY": "a-long-gateway-key"}
    async with running_gateway(tmp_path, environ, server={"api_key": "env:GATE_KEY"}) as gateway:
        assert (await gateway.http.get("/health")).status_code == 200
        for path in ("/v1/models", "/status", "/control/v1/slots"):
            assert (await gateway.http.get(path)).status_code == 401, path
            wrong = await gateway.http.get(path, headers={"authorization": "Bearer wrong"})
            assert wrong.status_code == 403
            right = await gateway.http.get(path, headers={"authorization": "Bearer a-long-gateway-key"})
            assert right.status_code == 200, right.text


async def test_a_half_closed_client_still_gets_its_answer(gateway: Gateway) -> None:
    body = b'{"model":"slot-0","messages":[{"role":"user","content":"ping"}]}'
    request = b"POST %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (
        CHAT.encode(),
        len(body),
        body,
    )
    import asyncio

    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(request)
    writer.write_eof()
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    # A server may take a half-close for a good-bye, but must then close, not hang.
    assert answer == b"" or b"pong" in answer


async def test_a_request_that_is_no_http_closes(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as sock:
        sock.setblocking(False)
        import asyncio

        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, b"\x16\x03\x01\x02\x00 not http\r\n\r\n")
        async with asyncio.timeout(5):
            data = await loop.sock_recv(sock, 1000)
    assert data == b"" or data.startswith(b"HTTP/1.1 400")
