"""Taking a port, and saying something useful when somebody else has it. Reads /proc; starts nothing."""

import contextlib
import errno
import os
import socket
from pathlib import Path

from jackfield.core.errors import BadRequest, PortTaken

NEARBY = 50
LISTENING = "0A"


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening-ready TCP socket. Port 0 takes any free one.

    Raises PortTaken ("Port 7311 already in use", who holds it, a free one) or BadRequest for a host that is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, every loop sees a TCP socket and sends small writes at once.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(_taken(host, port)) from None
        if error.errno == errno.EACCES:
            raise PortTaken(f"Port {port} needs rights that this user does not have; use one above 1023") from None
        raise BadRequest(f"cannot listen on {host!r}: {error.strerror or error}", param="server.host") from None
    sock.listen(2048)
    sock.setblocking(False)
    return sock


def _taken(host: str, port: int) -> str:
    holder = port_holder(port)
    free = free_port_near(host, port)
    who = f" by {holder}" if holder else ""
    way_out = f"; port {free} is free: jackfield up --port {free}" if free else ""
    return f"Port {port} already in use{who}{way_out}"


def free_port_near(host: str, port: int) -> int | None:
    """The first free port after `port`, within 50, or None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port + 1, min(port + NEARBY, 65536)):
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            try:
                sock.bind((host, candidate))
            except OSError:
                continue
            return candidate
    return None


def port_holder(port: int) -> str | None:
    """ "name (pid N)" of the process that listens on a TCP port, where this user may see it; else None."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        if _open_files(process) & inodes:
            with contextlib.suppress(OSError):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None


def _open_files(process: Path) -> set[str]:
    """What a process's descriptors point to; empty where it is gone or not ours to see."""
    links = set()
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                links.add(os.readlink(descriptor))
    return links


def _listening_inodes(port: int) -> set[str]:
    wanted = f":{port:04X}"
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == LISTENING:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes
