"""The table: what can go wrong with a socket -> the core error that says what happened, where, and what to do next.

Knows exceptions and wording, opens nothing. Texts name the endpoint (never its path, headers or credentials).
"""

import errno
import socket
import ssl
from typing import TYPE_CHECKING

import httptools

from jackfield.core.errors import JackfieldError, Malformed, ServiceFailed, StreamBroken, TimedOut, Unavailable
from jackfield.core.redaction import redact

if TYPE_CHECKING:
    from jackfield.transport.endpoint import Endpoint

_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EHOSTDOWN})
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})


def from_transport(exc: BaseException, endpoint: "Endpoint") -> JackfieldError:
    """`exc`, met while talking to `endpoint`, as the core error that it means. Core errors come back as they are."""
    match exc:
        case JackfieldError():
            return exc
        case TimeoutError():
            return TimedOut(f"{endpoint} did not answer in time: is it overloaded, or a firewall in between?")
        case ssl.SSLError():
            return Unavailable(_tls_text(exc, endpoint))
        case socket.gaierror():
            return name_unknown(endpoint.host)
        case httptools.HttpParserError() | httptools.HttpParserUpgrade():
            return Malformed(f"{endpoint} broke HTTP: {_reason(exc)}; is another kind of server listening there?")
        case OSError():
            return _from_os(exc, endpoint)
        case _:
            return Unavailable(f"talking to {endpoint} failed ({type(exc).__name__}): {_reason(exc)}")


def _from_os(exc: OSError, endpoint: "Endpoint") -> JackfieldError:
    if endpoint.unix_path is not None and isinstance(exc, FileNotFoundError | PermissionError | ConnectionRefusedError):
        return Unavailable(f"{endpoint} cannot be opened ({_reason(exc)}): is the server running, and may you use its socket?")
    match exc:
        case ConnectionRefusedError():
            return Unavailable(_refused_text(endpoint))
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            return Unavailable(f"{endpoint} closed the connection without an answer: look into its log, it may have crashed")
    if exc.errno in _NO_ROUTE:
        return Unavailable(f"there is no route to {_hop(endpoint)} ({_reason(exc)}): check the network connection")
    if exc.errno in _OUT_OF_FILES:
        return ServiceFailed("this process has run out of file descriptors: raise the limit (ulimit -n) or lower concurrency")
    return Unavailable(f"connecting to {_hop(endpoint)} failed: {_reason(exc)}")


def name_unknown(host: str) -> Unavailable:
    return Unavailable(f"the host name {host!r} could not be resolved: check its spelling, and the network's DNS")


def connect_timed_out(endpoint: "Endpoint", limit_s: float) -> TimedOut:
    return TimedOut(
        f"no connection to {_hop(endpoint)} within {limit_s:g} s (connect timeout): "
        "is the host up and reachable, or a firewall in between?"
    )


def first_byte_timed_out(endpoint: "Endpoint", limit_s: float) -> TimedOut:
    return TimedOut(
        f"{endpoint} sent no first byte within {limit_s:g} s (first-byte timeout): "
        "the model may still be loading or its queue be long; raise first_byte_timeout if that is normal"
    )


def head_timed_out(endpoint: "Endpoint", limit_s: float) -> TimedOut:
    return TimedOut(
        f"{endpoint} began to answer and sent no whole head within {limit_s:g} s (first-byte timeout): "
        "look into its log, or at what stands between"
    )


def idle_timed_out(endpoint: "Endpoint", limit_s: float) -> TimedOut:
    return TimedOut(
        f"{endpoint} fell silent for {limit_s:g} s in the middle of its answer (idle timeout): "
        "the answer is incomplete; raise idle_timeout if such pauses are normal"
    )


def total_timed_out(endpoint: "Endpoint", limit_s: float) -> TimedOut:
    return TimedOut(
        f"{endpoint} did not finish within {limit_s:g} s (total timeout): ask for fewer tokens, or raise the provider's timeout"
    )


def cut(endpoint: "Endpoint", exc: BaseException | None) -> StreamBroken:
    """The connection ended after the answer began and before it was whole."""
    how = "reset" if isinstance(exc, OSError) else "closed"
    return StreamBroken(f"{endpoint} {how} the connection in the middle of its answer: what came is incomplete")


def not_http(endpoint: "Endpoint", first: bytes) -> Malformed:
    if first[:1] in (b"\x15", b"\x16") and endpoint.scheme == "http":
        return Malformed(f"{endpoint} answers with TLS: write https:// in base_url")
    return Malformed(f"{endpoint} does not answer with HTTP/1: is another kind of server listening there?")


def malformed(endpoint: "Endpoint", what: str) -> Malformed:
    return Malformed(f"{endpoint} broke HTTP: {what}")


def _hop(endpoint: "Endpoint") -> str:
    return f"{endpoint} (through proxy {endpoint.proxy})" if endpoint.proxy is not None else str(endpoint)


def _refused_text(endpoint: "Endpoint") -> str:
    if endpoint.proxy is not None:
        return f"the proxy {endpoint.proxy} refused the connection: is it running, and is its port right?"
    if endpoint.is_local:
        where = str(endpoint).partition("://")[2]
        return f"{endpoint} refused the connection: is the server running on {where}?"
    return f"{endpoint} refused the connection: check the port in base_url and whether the service is up"


def _tls_text(exc: ssl.SSLError, endpoint: "Endpoint") -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return (
            f"the TLS certificate of {_hop(endpoint)} is not trusted ({exc.verify_message}): "
            "install its issuer on this machine, or set verify_tls = false for this one provider if you know the server"
        )
    if exc.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return f"{endpoint} does not speak TLS: write http:// in base_url if the server is meant to be plain"
    return (
        f"the TLS handshake with {_hop(endpoint)} failed ({exc.reason or 'connection closed'}): check the port and the server"
    )


def _reason(exc: BaseException) -> str:
    if isinstance(exc, OSError) and exc.errno is not None:
        return (exc.strerror or errno.errorcode.get(exc.errno, "unknown")).lower()
    return redact(str(exc)[:200]) or type(exc).__name__
