"""The switch that keeps tests off the network: only loopback and Unix sockets can be reached, only local names resolved.

An audit hook, so it holds for every Python socket in this process whatever library opens it, and cannot be patched away. What
it refuses is also noted, so that code which swallows the refusal still fails its test. Sockets that uvloop opens in C and
those of child processes are out of its reach; jackfield's own gate resolves names in Python, before any loop connects.
"""

import ipaddress
import socket
import sys
from typing import Any


class NetworkForbidden(PermissionError):
    """A test tried to leave this machine. An OSError, so that whoever opened the socket closes it."""


refused: list[str] = []
"""What was refused since the list was last emptied."""


def install() -> None:
    """Switches it on for the rest of this process."""
    sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        _check_address(event, arguments[0], arguments[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        _check_name(event, arguments[0])


def _check_address(event: str, opened: socket.socket, address: Any) -> None:
    if opened.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple) and not is_local(address[0]):
        _refuse(f"{event} to {address!r}")


def _check_name(event: str, name: Any) -> None:
    if is_local(name):
        return
    text = _text(name)
    if text.endswith(".invalid"):  # RFC 6761: no resolver ever finds these, so say so without asking one
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if not _is_address(text):  # an address is not looked up, only spelled out
        _refuse(f"{event} of {text!r}")


def is_local(host: Any) -> bool:
    """Whether a host means this machine: None, a loopback address, localhost or a name below it."""
    if host is None:
        return True
    text = _text(host)
    if _is_address(text):
        return ipaddress.ip_address(text).is_loopback
    return text in ("", "localhost") or text.endswith(".localhost")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _text(host: Any) -> str:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    return text.lower().rstrip(".").partition("%")[0]


def _refuse(what: str) -> None:
    refused.append(what)
    raise NetworkForbidden(f"tests stay on this machine: {what}")
