"""Where a request goes and how its head is spelled: URLs, proxies and pre-encoded request heads, checked once.

Pure: no socket, no resolver, no setting. What could smuggle a second request (line breaks, our own framing headers,
credentials in a URL) is refused here, so the client below may trust every `RequestHead`.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from jackfield.core.errors import BadRequest
from jackfield.transport.host import bracketed, is_loopback, literal_address, normal_host

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,252})?\Z")
_TARGET = re.compile(r"[!$%&'()*+,./:;=?@\[\]_~0-9A-Za-z|-]*\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_BAD_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_IN_URL = re.compile(r"[\x00-\x20\x7f]")
_MAX_UNIX_PATH_BYTES = 107
OUR_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `authorization` is the finished header value; it never shows in `repr` or `str`."""

    scheme: str
    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Credentials may stand in the URL. Raises BadRequest (param="proxy"), never quoting them."""
        parts, host, port = _split(url, "proxy")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise BadRequest("proxy must be a scheme, a host and a port only, such as http://127.0.0.1:3128", param="proxy")
        return cls(parts.scheme, host, port, _basic(parts))

    def __str__(self) -> str:
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's head, encoded and checked: all that is missing is the length of the body. Shows no header in `repr`."""

    endpoint: "Endpoint"
    method: str
    data: bytes = field(repr=False)
    pool_key: str = field(repr=False)
    takes_body: bool
    is_head: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One upstream API: where it listens and the path its API begins at ("" or "/v1"). `str()` is safe to show."""

    scheme: str
    host: str
    port: int
    base_path: str = ""
    unix_path: str | None = None
    verify_tls: bool = True
    proxy: Proxy | None = None
    pool_key: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        hop = f"{self.proxy}#{self.proxy.authorization}" if self.proxy else "direct"
        where = self.unix_path or f"{self.host}:{self.port}"
        object.__setattr__(self, "pool_key", f"{self.scheme} {where} {self.verify_tls} {hop}")

    @classmethod
    def parse(cls, url: str, *, verify_tls: bool = True, proxy: str | None = None) -> Self:
        """From `http(s)://host[:port][/base]` or `unix:///path/to.sock[:/base]`. Raises BadRequest with param base_url."""
        via = Proxy.parse(proxy) if proxy else None
        if url.startswith("unix:"):
            return cls._parse_unix(url, verify_tls, via)
        parts, host, port = _split(url, "base_url")
        if parts.username is not None or parts.password is not None:
            raise BadRequest("base_url must not hold a user name or password: put the key into api_key", param="base_url")
        if "?" in url or "#" in url:
            raise BadRequest("base_url must not hold a query or a fragment ('?' or '#')", param="base_url")
        return cls(parts.scheme, host, port, _base_path(parts.path), None, verify_tls, via)

    @classmethod
    def _parse_unix(cls, url: str, verify_tls: bool, proxy: Proxy | None) -> Self:
        path, _, base = url.removeprefix("unix:").removeprefix("//").partition(":")
        if not path.startswith("/") or len(path.encode()) > _MAX_UNIX_PATH_BYTES or "\0" in path:
            raise BadRequest(
                f"base_url must name a socket by its full path ({_MAX_UNIX_PATH_BYTES} bytes at most), "
                "such as unix:///run/llama.sock or unix:///run/llama.sock:/v1",
                param="base_url",
            )
        if proxy is not None:
            raise BadRequest("a Unix socket cannot be reached through a proxy: remove one of the two", param="proxy")
        return cls("http", "localhost", 80, _base_path(base), path, verify_tls, None)

    @property
    def is_local(self) -> bool:
        return self.unix_path is not None or is_loopback(self.host)

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them: the port only where it is not the scheme's own."""
        if self.unix_path is not None:
            return "localhost"
        host = bracketed(self.host)
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"unix:{self.unix_path}" if self.unix_path else f"{self.scheme}://{bracketed(self.host)}:{self.port}"

    def head(self, method: str, path: str, headers: Mapping[str, str]) -> RequestHead:
        """The head of `method` to `path` below the base path. Raises BadRequest for what could not be sent as one head."""
        verb = method.upper()
        if not _TOKEN.match(verb) or verb == "CONNECT":
            raise BadRequest("the method of a request must be one word such as GET or POST", param="method")
        lines = [f"{verb} {self._target(path)} HTTP/1.1\r\nhost: {self.authority}\r\naccept-encoding: identity\r\n".encode()]
        if not any(name.lower() == "user-agent" for name in headers):
            lines.append(b"user-agent: jackfield\r\n")
        lines.append(encode_headers(headers))
        if self.proxy is not None and self.scheme == "http" and self.proxy.authorization:
            lines.append(f"proxy-authorization: {self.proxy.authorization}\r\n".encode())
        takes_body = verb in ("POST", "PUT", "PATCH")
        return RequestHead(self, verb, b"".join(lines), self.pool_key, takes_body, verb == "HEAD")

    def _target(self, path: str) -> str:
        relative = path.lstrip("/")
        if not _TARGET.match(relative):
            raise BadRequest("a request path must be plain URL characters: percent-encode everything else", param="path")
        whole = f"{self.base_path}/{relative}" if relative else self.base_path or "/"
        # a plain-HTTP proxy is told the whole URL; https targets go through CONNECT and see only the path
        return f"http://{self.authority}{whole}" if self.proxy is not None and self.scheme == "http" else whole


def split_target(url: str) -> tuple[Endpoint, str]:
    """A whole URL as the endpoint it is served by and the target to ask there for ("/v1/prices?page=2"). Raises BadRequest."""
    parts, _, _ = _split(url, "url")
    endpoint = Endpoint.parse(f"{parts.scheme}://{parts.netloc}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.match(target):
        raise BadRequest("url must be plain URL characters: percent-encode everything else", param="url")
    return endpoint, target


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """`name: value` lines, each ended by CRLF. Raises BadRequest naming the header, never quoting its value."""
    lines = []
    for name, value in headers.items():
        if not _TOKEN.match(name):
            raise BadRequest(f"{name!r} is not a header name", param="headers")
        if name.lower() in OUR_HEADERS:
            raise BadRequest(f"header {name!r} is set by jackfield itself: remove it", param="headers")
        if _BAD_IN_VALUE.search(value):
            raise BadRequest(
                f"the value of header {name!r} holds a line break or control character: was a key pasted with its line end?",
                param="headers",
            )
        try:
            lines.append(f"{name}: {value.strip()}\r\n".encode("latin-1"))
        except UnicodeEncodeError:
            raise BadRequest(f"the value of header {name!r} holds characters that HTTP cannot carry", param="headers") from None
    return b"".join(lines)


def _split(url: str, param: str) -> tuple[SplitResult, str, int]:
    if not url or _BAD_IN_URL.search(url):
        raise BadRequest(f"{param} must not be empty or hold spaces or control characters", param=param)
    try:
        parts = urlsplit(url)
        port = parts.port
        name = parts.hostname or ""
    except ValueError:
        raise BadRequest(f"{param} is not a URL: expected something like http://127.0.0.1:8080/v1", param=param) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise BadRequest(_scheme_problem(url, parts, param), param=param)
    host = normal_host(bracketed(name))
    if literal_address(host) is None and not _HOST_NAME.match(host):
        raise BadRequest(f"{param} names no host: expected something like http://127.0.0.1:8080/v1", param=param)
    if port == 0:
        raise BadRequest(f"{param} has port 0: ports run from 1 to 65535", param=param)
    return parts, host, port or _DEFAULT_PORTS[parts.scheme]


def _scheme_problem(url: str, parts: SplitResult, param: str) -> str:
    if "://" not in url and "@" not in url and "?" not in url:
        return f"{param} must begin with http:// or https://: did you mean http://{url}?"
    return f"{param} must begin with http:// or https://, not {parts.scheme}://"


def _base_path(path: str) -> str:
    base = path.rstrip("/")
    if not _TARGET.match(base) or "?" in base or (base and not base.startswith("/")):
        raise BadRequest("the path of base_url must be plain URL characters, such as /v1", param="base_url")
    return base


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None and parts.password is None:
        return None
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
