"""The gate in front of every call of every door: keys in each form, tricks with paths and headers, hosts, origins, sizes."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from doors_table import CALLS, ERRORS, Call, openai_error
from running_gateway import Gateway, running_gateway
from talking import address

KEY = "CanaryKeyOfTheGate7hT2"
WRONG = "CanaryKeyThatIsWrong9q"
FORMS = ("authorization", "x-api-key", "x-goog-api-key", "query")
OPEN = ("/health", "/ready")
GOOGLE = ("x-goog-api-key",)
LISTS = re.compile(r"/v1/models(/[^/]+)?")
"""Paths that several doors serve: the form of the key may say whose client it is."""
SMALL = 4096
CUT = 0
"""In place of a status: the connection was closed before all was sent."""
STRANGE = ({"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"})


@pytest.fixture
async def gated(tmp_path: Path) -> AsyncIterator[Gateway]:
    server = {"api_key": "env:GATE_KEY", "max_body_bytes": SMALL}
    async with running_gateway(tmp_path, {"GATE_KEY": KEY}, server=server) as gateway:
        yield gateway


@pytest.mark.behaviour("SEC-17")
@pytest.mark.behaviour("HTTP-10")
async def test_each_form_of_the_key_at_every_call(gated: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    told: list[str] = []
    for call in (call for call in CALLS if call.path not in OPEN):
        told.append(refusal(call, "", *await ask(gated, call), 401))
        for form in FORMS:
            told.append(refusal(call, form, *await ask(gated, call, form, WRONG), 403))
            status, body = await ask(gated, call, form, KEY)
            assert status not in (401, 403), f"{call} by {form}: {body!r}"
            told.append(body.decode())
    said = "\n".join([*told, *(record.getMessage() for record in caplog.records if not record.name.startswith("http"))])
    assert KEY not in said
    assert WRONG not in said


async def test_only_health_and_readiness_are_open(gated: Gateway) -> None:
    for path in OPEN:
        assert (await gated.http.get(path)).status_code == 200
        assert (await gated.http.get(path, headers={"x-api-key": WRONG})).status_code == 200
        assert (await gated.http.post(path)).status_code == 405


NOWHERE: list[tuple[str, dict[str, str], str]] = [
    ("/v1/nope", {}, "openai"),
    ("/nope", {}, "openai"),
    ("/v1/messages/nope", {}, "anthropic"),
    ("/nope", {"anthropic-version": "2023-06-01"}, "anthropic"),
    ("/v1beta/nope", {}, "gemini"),
    ("/v1alpha/models/a:nope/b", {}, "gemini"),
    ("/api/nope", {}, "ollama"),
    ("/control/nope", {}, "control"),
    ("/control/v1/slots/0/nope", {}, "control"),
    ("/mcp/nope", {}, "mcp"),
]
SHOWN: list[tuple[dict[str, str], tuple[int, ...]]] = [
    ({}, (401,)),
    ({"x-api-key": WRONG}, (403,)),
    ({"x-api-key": KEY}, (400, 404, 405)),
]


async def test_a_path_that_is_not_served_is_refused_in_its_doors_shape(gated: Gateway) -> None:
    for path, headers, door in NOWHERE:
        for key, statuses in SHOWN:
            said = await gated.http.post(path, headers={**headers, **key}, content=b"{}")
            assert said.status_code in statuses, f"{path}: {said.text}"
            assert ERRORS[door](said.status_code, said.content)
            assert ("www-authenticate" in said.headers) == (said.status_code == 401)


TARGETS = [
    b"//v1//models", b"/v1//models", b"/v1/models/", b"/V1/MODELS", b"/v1/models%00", b"/v1/models%2f", b"/%76%31/models",
    b"/v1/models;x", b"/health/../v1/models", b"/health/..%2fv1/models", b"/%2e%2e/v1/models", b"/./health", b"/health/",
    b"/HEALTH", b"/health%00", b"/health;x", b"/health#x", b"/health%3fx", b"/health\\", b"/ready/%2e%2e/control/v1/slots",
    b"//health", b"/control/v1/slots", b"//control/v1/slots", b"/control//v1/slots", b"/control%2fv1%2fslots",
    b"/%63ontrol/v1/slots", b"/CONTROL/v1/slots", b"/control/v1/../../health", b"/mcp", b"/mcp/../health", b"/mcp%2f",
    b"/ws/me", b"/health/control/v1/slots", b"http://localhost/v1/models", b"http://x/control/v1/slots",
    b"http://localhost:80/health/../v1/models", b"http:/health", b"*", b"/v1/models?/health", b"/v1/models?path=/health",
    b"/v1/models#/health", b"/?key", b"/v1/models?key=", b"/v1/models?key=%00", b"/v1/models?Key=" + KEY.encode(),
    b"/v1/models?key=" + KEY.encode() + b"%00", b"/v1/models?key=" + KEY.encode()[:-1],
    b"/v1/models?key=" + KEY.encode() + b"x", b"/v1/models?key[]=" + KEY.encode(), b"/v1/\xff", b"",
]  # fmt: skip
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get", "QUERY")


async def test_no_spelling_of_a_path_goes_round_the_gate(gated: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    for target in TARGETS:
        status, body = await raw(gated, "GET", target)
        assert status in (400, 401, 403), (target, status, body)
        assert KEY.encode() not in body
    assert KEY not in "\n".join(record.getMessage() for record in caplog.records)


async def test_no_method_goes_round_the_gate(gated: Gateway) -> None:
    for method in METHODS:
        for target in (
            b"/v1/models",
            b"/v1/chat/completions",
            b"/control/v1/slots",
            b"/mcp",
            b"/api/tags",
            b"/",
            b"/openapi.json",
        ):
            status, body = await raw(gated, method, target)
            assert status in (400, 401), (method, target, status, body)
            assert method != "HEAD" or body == b""


RIGHT, BAD = KEY.encode(), WRONG.encode()


ARRANGED: list[tuple[list[bytes], int]] = [
    ([b"authorization: bEaReR   " + RIGHT], 200),
    ([b"authorization: " + RIGHT], 200),
    ([b"authorization: Bearer", b"x-api-key: " + RIGHT], 200),
    ([b"authorization: ", b"x-api-key:", b"x-goog-api-key: " + RIGHT], 200),
    ([b"authorization: Bearer " + BAD, b"x-api-key: " + RIGHT], 403),
    ([b"authorization: Basic " + RIGHT], 403),
    ([b"authorization: Bearer " + BAD, b"authorization: Bearer " + RIGHT], 403),
    ([b"authorization: Bearer " + RIGHT, b"Authorization: Bearer " + BAD], 403),
    ([b"x-api-key: " + RIGHT, b"X-API-KEY: " + RIGHT], 403),
    ([b"authorization: Bearer " + RIGHT + b"\x00"], 400),
    ([b"x-api-key: \x00"], 400),
    ([b"x-api-key: " + RIGHT + b" "], 200),
    ([b"x-api-key : " + RIGHT], 400),
    ([b"x_api_key: " + RIGHT], 401),
    ([b"x-api-key: " + b"k" * 60_000], 403),
    ([b"x-api-key: " + b"k" * 400_000], CUT),
    ([b"authorization: Bearer \xff\xfe"], 403),
    ([b"authorization:", b"x-api-key:"], 401),
    ([b"cookie: key=" + RIGHT], 401),
    ([b"x-forwarded-for: 127.0.0.1", b"x-real-ip: 127.0.0.1"], 401),
]


async def test_no_arrangement_of_headers_goes_round_the_gate(gated: Gateway) -> None:
    for target in (b"/v1/models", b"/control/v1/slots/0"):
        for headers, status in ARRANGED:
            found, body = await raw(gated, "GET", target, headers)
            assert found == status or (found, status) == (431, CUT), (target, [line[:60] for line in headers], body)
            assert RIGHT not in body


@pytest.mark.behaviour("SEC-17")
async def test_a_websocket_asks_for_the_key_in_each_form(gated: Gateway) -> None:
    for form in (*FORMS, "token"):
        for key, status in (("", 401), (WRONG, 403)):
            with pytest.raises(InvalidStatus) as refused:
                await knock(gated, form, key)
            assert refused.value.response.status_code == status
            assert openai_error(status, bytes(refused.value.response.body or b""))
        await knock(gated, form, KEY)


async def test_no_page_of_others_comes_in_by_websocket(gated: Gateway) -> None:
    for strange in (*STRANGE, {"origin": "http://127.0.0.1.evil.example"}):
        with pytest.raises(InvalidStatus) as refused:
            await knock(gated, "x-api-key", KEY, **strange)
        assert refused.value.response.status_code == 403


async def test_no_page_of_others_comes_in_at_any_call(gated: Gateway) -> None:
    """A page whose name was bound anew to this machine has its own name as host; another page has its own as origin."""
    for call in CALLS:
        for strange in STRANGE:
            said = await gated.http.request(
                call.method, call.path, content=call.content, headers={**call.headers, "x-api-key": KEY, **strange}
            )
            assert said.status_code == 403, f"{call}: {strange}"
            assert ERRORS[call.door](403, said.content)


HOSTS: list[list[bytes]] = [
    [b"host: localhost", b"host: evil.example"],
    [b"host: evil.example", b"host: localhost"],
    [b"host: localhost, evil.example"],
    [b"host: localhost", b"origin: http://localhost", b"origin: http://evil.example"],
    [b"host: localhost", b"origin: http://evil.example", b"origin: http://localhost"],
    [b"host: localhost@evil.example"],
    [b"host: localhost:80@evil.example"],
    [b"host: localhost.evil.example"],
    [b"host: [::1].evil.example"],
    [b"host: 127.0.0.1%00.evil.example"],
    [b"host: evil.example", b"x-forwarded-host: localhost"],
    [b"host: localhost", b"origin: http://localhost.evil.example"],
    [b"host: localhost", b"origin: "],
]


async def test_no_arrangement_of_hosts_comes_in(gated: Gateway) -> None:
    for target in (b"/v1/models", b"/control/v1/slots", b"/health"):
        for headers in HOSTS:
            status, body = await raw(gated, "GET", target, [b"x-api-key: " + RIGHT, *headers], host=b"")
            assert status == 403, (target, headers, body)


async def test_no_page_is_told_that_it_may_read(gated: Gateway) -> None:
    """CORS is off: a preflight is refused, and no answer has a header of it."""
    asks = {
        "origin": "http://localhost:5173",
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-api-key",
    }
    for call in CALLS:
        for key, statuses in (({}, (401, 405)), ({"x-api-key": KEY}, (405, 204))):
            preflight = await gated.http.options(call.path.partition("?")[0], headers={**asks, **key})
            assert preflight.status_code in statuses, f"{call}: {preflight.text}"
            assert allowances(preflight.headers) == []
        said = await gated.http.request(
            call.method,
            call.path,
            content=call.content,
            headers={**call.headers, "origin": "http://localhost:5173", "x-api-key": KEY},
        )
        assert allowances(said.headers) == []


async def test_a_body_over_the_limit_is_refused_in_the_doors_shape(gated: Gateway) -> None:
    """Whether its size is declared or found out."""

    async def pieces(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 1000 + 1):
            yield b" " * 1000

    for call in (call for call in CALLS if call.body is not None):
        size = 1_100_000 if call.door == "control" else SMALL + 1000  # the control door has a limit of its own
        headers = {**call.headers, "x-api-key": KEY, "content-type": call.content_type}
        for content in (b" " * size, pieces(size)):
            said = await gated.http.request(call.method, call.path, content=content, headers=headers)
            assert said.status_code == 413, f"{call}: {said.text}"
            assert ERRORS[call.door](413, said.content)


async def ask(gateway: Gateway, call: Call, form: str = "", key: str = "") -> tuple[int, bytes]:
    headers = {**call.headers, "content-type": call.content_type}
    path = call.path
    match form:
        case "authorization":
            headers["authorization"] = f"Bearer {key}"
        case "query":
            path += f"{'&' if '?' in path else '?'}key={key}"
        case "":
            pass
        case _:
            headers[form] = key
    said = await gateway.http.request(call.method, path, content=call.content, headers=headers)
    if said.status_code == 401:
        assert said.headers["www-authenticate"] == "Bearer"
    return said.status_code, said.content


def refusal(call: Call, form: str, status: int, body: bytes, wanted: int) -> str:
    """The refusal's text, once it has the right status and shape."""
    assert status == wanted, f"{call} by {form}: {body!r}"
    door = "gemini" if form in GOOGLE and LISTS.fullmatch(call.path) else call.door
    assert "key" in ERRORS[door](status, body), f"{call} by {form}"
    return body.decode()


async def knock(gateway: Gateway, form: str, key: str, **headers: str) -> None:
    """Opens a WebSocket and leaves again."""
    given = dict(headers)
    query = f"?{'token' if form == 'token' else 'key'}={key}" if form in ("query", "token") and key else ""
    if form == "authorization" and key:
        given["authorization"] = f"Bearer {key}"
    elif key and not query:
        given[form] = key
    host = given.pop("host", None)
    target = address(gateway, query=query)
    if host is not None:
        target = target.replace("127.0.0.1", host)
    async with connect(target, proxy=None, additional_headers=given, host="127.0.0.1", port=gateway.port):
        pass


async def raw(
    gateway: Gateway, method: str, target: bytes, headers: Iterable[bytes] = (), host: bytes = b"host: localhost"
) -> tuple[int, bytes]:
    """One request as it is written here, and what comes until the server closes."""
    lines = [method.encode() + b" " + target + b" HTTP/1.1", host, *headers, b"connection: close"]
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"\r\n".join(line for line in lines if line) + b"\r\n\r\n")
    try:
        async with asyncio.timeout(8):
            answer = await reader.read()
    except ConnectionResetError:
        return CUT, b""
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), answer
    return int(head[9:12]), body


def allowances(headers: Iterable[str]) -> list[str]:
    return [name for name in headers if name.lower().startswith("access-control")]
