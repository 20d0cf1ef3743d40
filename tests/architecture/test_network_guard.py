"""The switch that keeps tests off the network works, and a test cannot hide from it by swallowing what it raises."""

import asyncio
import contextlib
import socket

import httpx2
import pytest

import network_guard
from network_guard import NetworkForbidden, is_local

pytestmark = pytest.mark.behaviour("HOUSE-04")


@pytest.fixture(autouse=True)
def _forgiven(_no_network: None) -> object:
    """These attempts are meant: forget them before the switch's own fixture looks."""
    yield
    network_guard.refused.clear()


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("203.0.113.7", 443), ("0.0.0.0", 80)])
def test_no_socket_connects_beyond_loopback(address: tuple[str, int]) -> None:
    with socket.socket() as opened, pytest.raises(NetworkForbidden):
        opened.connect(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened, pytest.raises(NetworkForbidden):
        opened.sendto(b"", address)
    assert len(network_guard.refused) == 2


async def test_no_library_gets_around_it() -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        with pytest.raises((NetworkForbidden, httpx2.HTTPError)):
            await client.get("http://192.0.2.1/")
    with pytest.raises(NetworkForbidden):
        await asyncio.open_connection("api.example.com", 443)
    assert len(network_guard.refused) == 2


def test_names_are_not_looked_up() -> None:
    with pytest.raises(NetworkForbidden):
        socket.getaddrinfo("example.com", 443)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 443)


def test_an_attempt_is_noted_although_it_was_swallowed() -> None:
    with contextlib.suppress(Exception):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    assert network_guard.refused == ["socket.connect to ('192.0.2.1', 80)"]


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
        pass
    assert network_guard.refused == []


@pytest.mark.parametrize("host", [None, "", b"127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST.", "a.localhost"])
def test_local_hosts(host: str | bytes | None) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["localhost.example.com", "10.0.0.1", "::2", "0.0.0.0", "notlocalhost", "::ffff:192.0.2.1"])
def test_other_hosts(host: str) -> None:
    assert not is_local(host)
