"""Every asynchronous test of this room runs on both loops, against real sockets on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import trustme
import uvloop

from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import HttpClient


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    """A client that may reach loopback only; afterwards not one connection of it is open."""
    client = HttpClient(EgressGate())
    yield client
    await client.aclose()
    assert client.open_count == 0


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def own_certificate(authority: trustme.CA) -> Any:
    return authority.issue_cert("127.0.0.1", "localhost", "api.example.com")
