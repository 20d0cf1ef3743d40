"""Talks to a running gateway over HTTP/1.1 from the standard library: its control API and its chat completions.

Knows paths and error objects, not what commands do with answers. Errors come back as the classes they were in the gateway.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from jackfield.app.cli.failures import GatewayUnreachable, UsedWrongly
from jackfield.core.errors import JackfieldError, Malformed, StreamBroken, TimedOut

CONTROL = "/control/v1/"
READ_MAX = 64 * 1024 * 1024
CONNECT_S = 5.0


class Reply:
    """An answer that has begun. Close it, or use it as a context manager."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.getheaders()}

    def __enter__(self) -> "Reply":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def body(self) -> bytes:
        """All of it, 64 MiB at most."""
        return self._read(lambda: self._response.read(READ_MAX))

    def chunks(self) -> Iterator[bytes]:
        """What has arrived, as it arrives."""
        while chunk := self._read(lambda: self._response.read1(65536)):
            yield chunk

    def _read(self, read: Any) -> bytes:
        try:
            return bytes(read())
        except TimeoutError:
            raise TimedOut("the gateway fell silent in the middle of its answer") from None
        except (OSError, http.client.HTTPException) as error:
            raise StreamBroken(f"the gateway's answer was cut off ({type(error).__name__})") from None


class Gateway:
    """`url` is the gateway's root, with or without /v1; `key` is sent as a bearer key. `is_ours` false softens the advice."""

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            raise UsedWrongly(f"{url!r} has no valid port", param="--url") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise UsedWrongly(f"{url!r} is not a gateway's address: write http://HOST:PORT", param="--url")
        self._is_tls = parts.scheme == "https"
        self.host = parts.hostname
        self._port = port
        self._root = parts.path.rstrip("/").removesuffix("/v1")
        self.key = key
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"{parts.scheme}://{host}{f':{port}' if port else ''}{self._root}"

    def websocket(self, client_id: str) -> tuple[str, str | None]:
        """The address of the gateway's WebSocket for a client, and the key to show there."""
        return f"ws{self.url.removeprefix('http')}/ws/{quote(client_id, safe='')}", self.key

    def is_up(self) -> bool:
        """Does anything that answers GET /health with 200 stand there?"""
        try:
            with self.open("GET", "/health", timeout_s=2.0) as reply:
                return reply.status == 200
        except JackfieldError:
            return False

    def get(self, path: str, **query: Any) -> Any:
        """A control answer. `path` is relative to /control/v1/. Raises what the gateway answered with."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.control("GET", f"{path}?{urlencode(given)}" if given else path)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = 660.0) -> Any:
        """As `get`. Plugging a model into this process may take minutes."""
        return self.control("POST", path, body or {}, timeout_s=timeout_s)

    def delete(self, path: str) -> Any:
        return self.control("DELETE", path)

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = 60.0) -> Any:
        with self.open(method, CONTROL + path, body, timeout_s=timeout_s) as reply:
            data = reply.body()
            if reply.status >= 400:
                raise error_from(reply.status, data)
            try:
                return json.loads(data)
            except ValueError:
                raise Malformed(
                    f"{self.url} does not speak jackfield's control API: is another program on that port?"
                ) from None

    def open(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = 60.0, accept: str = "*/*"
    ) -> Reply:
        """Sends one request. `timeout_s` bounds each silence, not the whole. Raises GatewayUnreachable."""
        connection = self._connection()
        headers = {"accept": accept, "user-agent": "jackfield-cli"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["content-type"] = "application/json"
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        try:
            connection.connect()
            if connection.sock is not None:
                connection.sock.settimeout(timeout_s)
            connection.request(method, self._root + path, body=data, headers=headers)
            return Reply(connection, connection.getresponse())
        except TimeoutError:
            connection.close()
            raise GatewayUnreachable(f"{self.url} did not answer within {timeout_s:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            why = getattr(error, "strerror", None) or type(error).__name__
            raise GatewayUnreachable(f"no gateway answers at {self.url} ({why}): start it with  jackfield up") from None

    def _connection(self) -> http.client.HTTPConnection:
        if self._is_tls:
            return http.client.HTTPSConnection(self.host, self._port, timeout=CONNECT_S, context=ssl.create_default_context())
        return http.client.HTTPConnection(self.host, self._port, timeout=CONNECT_S)


def segment(text: str) -> str:
    """A person's text as one segment of a path."""
    return quote(text, safe="")


def error_from(status: int, body: bytes) -> JackfieldError:
    """The gateway's error object as the error it was: classes are told by their code, then by status."""
    try:
        said = json.loads(body)["error"]
        message, code = str(said["message"]), said.get("code")
    except (ValueError, KeyError, TypeError):
        message, code, said = f"the gateway answered {status} without saying why", None, {}
    return error_of({"message": message, "code": code, "status": status, "param": said.get("param")})


def error_of(said: Mapping[str, Any]) -> JackfieldError:
    """`message`, `code`, `status` and maybe `param`, as the error they tell of."""
    code = said["code"]
    kind = _by_code().get(str(code), JackfieldError)
    return kind(said["message"], status=said["status"], code=str(code) if code else None, param=said.get("param"))


def _by_code() -> dict[str, type[JackfieldError]]:
    found: dict[str, type[JackfieldError]] = {}
    pending: list[type[JackfieldError]] = [JackfieldError]
    while pending:
        kind = pending.pop()
        found.setdefault(kind.default_code, kind)
        pending.extend(kind.__subclasses__())
    return found
