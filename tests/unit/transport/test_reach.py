"""Whether anything listens, asked on real sockets."""

import asyncio

from jackfield.core.modes import OperatingMode
from jackfield.testing.fakes import FakeOpenAI
from jackfield.transport.egress import Address, EgressGate
from jackfield.transport.reach import is_listening


async def test_a_server_listens_until_it_is_stopped() -> None:
    gate = EgressGate()
    async with FakeOpenAI() as fake:
        assert await is_listening(gate, "127.0.0.1", fake.port, 1.0) is True
        assert await is_listening(gate, "localhost", fake.port, 1.0) is True
        port = fake.port
    assert await is_listening(gate, "127.0.0.1", port, 1.0) is False


async def test_what_may_not_be_asked_is_not_known() -> None:
    assert await is_listening(EgressGate(), "192.0.2.1", 443, 1.0) is None


async def test_a_name_that_hangs_or_is_unknown_is_nobody() -> None:
    async def hangs(host: str, port: int) -> list[Address]:
        await asyncio.Event().wait()
        raise AssertionError

    async def unknown(host: str, port: int) -> list[Address]:
        raise OSError

    for resolver in (hangs, unknown):
        gate = EgressGate(OperatingMode.BURST, {"p": ["api.example.com"]}, resolver=resolver)
        assert await is_listening(gate, "api.example.com", 443, 0.05) is False
