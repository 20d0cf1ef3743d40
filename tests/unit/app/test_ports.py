"""Taking a port, and what is said when somebody else has it."""

import os
import socket

import pytest

from jackfield.app.ports import free_port_near, listen, port_holder
from jackfield.core.errors import BadRequest, PortTaken


def test_a_taken_port_names_its_holder_and_a_free_one() -> None:
    with listen("127.0.0.1", 0) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            listen("127.0.0.1", port)
        message = str(caught.value)
        assert message.startswith(f"Port {port} already in use by ")
        assert f"(pid {os.getpid()})" in message
        free = free_port_near("127.0.0.1", port)
        assert f"jackfield up --port {free}" in message


def test_the_free_port_is_free() -> None:
    with listen("127.0.0.1", 0) as holder:
        port = free_port_near("127.0.0.1", holder.getsockname()[1])
        assert port is not None
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))


def test_nobody_holds_a_free_port() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert port_holder(port) is None


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(BadRequest, match=r"cannot listen on '192\.0\.2\.1'"):
        listen("192.0.2.1", 0)
