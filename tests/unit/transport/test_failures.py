import errno
import socket
import ssl

import httptools
import pytest

from jackfield.core.errors import JackfieldError, Malformed, ServiceFailed, SlotEmpty, StreamBroken, TimedOut, Unavailable
from jackfield.transport import failures
from jackfield.transport.endpoint import Endpoint

LOCAL = Endpoint.parse("http://127.0.0.1:11434/v1")
REMOTE = Endpoint.parse("https://api.example.com/v1")
PROXIED = Endpoint.parse("https://api.example.com/v1", proxy="http://ann:hunter22@proxy.example:3128")
SOCKET = Endpoint.parse("unix:///run/llama.sock")


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] something")
    error.reason = reason
    return error


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("exc", "endpoint", "kind", "words"),
    [
        (ConnectionRefusedError(111, "refused"), LOCAL, Unavailable, "is the server running on 127.0.0.1:11434?"),
        (ConnectionRefusedError(111, "refused"), REMOTE, Unavailable, "check the port in base_url"),
        (ConnectionRefusedError(111, "refused"), PROXIED, Unavailable, "the proxy http://proxy.example:3128 refused"),
        (ConnectionResetError(104, "reset"), LOCAL, Unavailable, "closed the connection without an answer"),
        (BrokenPipeError(), LOCAL, Unavailable, "closed the connection without an answer"),
        (FileNotFoundError(2, "No such file or directory"), SOCKET, Unavailable, "unix:/run/llama.sock cannot be opened"),
        (PermissionError(13, "Permission denied"), SOCKET, Unavailable, "may you use its socket"),
        (ConnectionRefusedError(111, "refused"), SOCKET, Unavailable, "is the server running"),
        (socket.gaierror(-2, "Name or service not known"), REMOTE, Unavailable, "'api.example.com' could not be resolved"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), REMOTE, Unavailable, "no route to https://api.example.com:443"),
        (OSError(errno.EMFILE, "Too many open files"), REMOTE, ServiceFailed, "ulimit -n"),
        (OSError(errno.EIO, "Input/output error"), REMOTE, Unavailable, "input/output error"),
        (TimeoutError(), REMOTE, TimedOut, "did not answer in time"),
        (untrusted(), REMOTE, Unavailable, "verify_tls = false"),
        (untrusted(), PROXIED, Unavailable, "through proxy http://proxy.example:3128"),
        (tls_error("WRONG_VERSION_NUMBER"), REMOTE, Unavailable, "write http:// in base_url"),
        (tls_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), REMOTE, Unavailable, "TLS handshake"),
        (httptools.HttpParserError("Invalid header token"), LOCAL, Malformed, "Invalid header token"),
        (KeyError("sk-12345678901234567890"), LOCAL, Unavailable, "KeyError"),
    ],
)
def test_every_fault_has_its_core_error_and_its_remedy(
    exc: BaseException, endpoint: Endpoint, kind: type[JackfieldError], words: str
) -> None:
    error = failures.from_transport(exc, endpoint)
    assert type(error) is kind
    assert words in str(error)
    assert "hunter22" not in str(error)
    assert "sk-1234" not in str(error)


def test_core_errors_come_back_as_they_are() -> None:
    error = SlotEmpty("slot 3 is empty")
    assert failures.from_transport(error, LOCAL) is error


def test_each_limit_has_its_own_words() -> None:
    texts = [
        str(failures.connect_timed_out(LOCAL, 5)),
        str(failures.first_byte_timed_out(LOCAL, 120)),
        str(failures.idle_timed_out(LOCAL, 60)),
        str(failures.total_timed_out(LOCAL, 300)),
    ]
    names = ["5 s (connect timeout)", "120 s (first-byte timeout)", "(idle timeout)", "300 s (total timeout)"]
    for text, words in zip(texts, names, strict=True):
        assert words in text
        assert "127.0.0.1:11434" in text


def test_an_answer_in_tls_is_recognised() -> None:
    assert "https://" in str(failures.not_http(LOCAL, b"\x15\x03\x01"))
    assert "another kind of server" in str(failures.not_http(LOCAL, b"SSH-2.0"))


def test_a_cut_says_how() -> None:
    assert isinstance(failures.cut(LOCAL, None), StreamBroken)
    assert "closed" in str(failures.cut(LOCAL, None))
    assert "reset" in str(failures.cut(LOCAL, ConnectionResetError()))
