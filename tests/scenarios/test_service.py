"""The service of a Python program: it starts what `jackfield up` starts, answers, and leaves nothing behind."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI

from jackfield import InferenceServiceConfig, UnifiedInferenceService, errors, start_unified_service
from jackfield.app.ports import listen
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from jackfield.websocket_client import GatewaySocket

PING: Any = [{"role": "user", "content": "ping"}]
SCRIPTED = '{provider: scripted, config: {replies: [{match: "", text: "from the script"}]}}'


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No signal handler of ours stays: they are the program's."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def config_in(folder: Path, slot: str = SCRIPTED, **fields: Any) -> InferenceServiceConfig:
    """A service with its own store, one slot, a free port and no look around."""
    file = folder / "service.yaml"
    file.write_text(f"plugins: false\nslots: {{0: {slot}}}\n")
    own = {"settings_file": file, "store": folder / "store"}
    given = {"hf_server_port": 0, "hf_auto_discover_skills": False, **own, **fields}
    return InferenceServiceConfig(**given)


@contextlib.asynccontextmanager
async def serving(config: InferenceServiceConfig) -> AsyncIterator[UnifiedInferenceService]:
    """Started and stopped, with what it leaves behind looked at: no task, no open port."""
    before = asyncio.all_tasks()
    service = await start_unified_service(config, environ={})
    server = service.get_hf_server()
    try:
        yield service
    finally:
        await service.stop()
    assert asyncio.all_tasks() <= before
    if server is not None:
        listen("127.0.0.1", server.port).close()


def url_of(service: UnifiedInferenceService) -> str:
    server = service.get_hf_server()
    assert server is not None
    return server.url


async def ask(service: UnifiedInferenceService) -> str | None:
    async with AsyncOpenAI(base_url=url_of(service) + "/v1", api_key="none", max_retries=0, timeout=20) as client:
        reply = await client.chat.completions.create(model="slot-0", messages=PING)
        return reply.choices[0].message.content


@pytest.mark.behaviour("MGR-23")
async def test_it_starts_answers_and_leaves_no_task_and_no_port(tmp_path: Path) -> None:
    async with serving(config_in(tmp_path)) as service:
        assert await ask(service) == "from the script"
        with pytest.raises(errors.Conflict, match="runs already"):
            await service.start()
        assert await ask(service) == "from the script"
    assert not service.is_running
    await service.stop()


@pytest.mark.behaviour("MGR-23")
async def test_it_answers_websockets_unless_told_not_to(tmp_path: Path) -> None:
    async with serving(config_in(tmp_path)) as service:
        address = url_of(service).replace("http", "ws", 1) + "/ws/me"
        async with GatewaySocket(address) as client:
            assert (await client.infer("slot-0", "ping")).result == "from the script"
    async with serving(config_in(tmp_path, enable_websocket=False)) as service:
        headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        headers["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        async with httpx2.AsyncClient(base_url=url_of(service), trust_env=False, timeout=10) as http:
            assert (await http.get("/ws/me", headers=headers)).status_code == 403


@pytest.mark.behaviour("MGR-24")
async def test_the_accessors_give_what_runs_and_none_for_what_does_not(tmp_path: Path) -> None:
    service = UnifiedInferenceService(config_in(tmp_path), environ={})
    assert (service.get_backend_manager(), service.get_hf_server()) == (None, None)
    async with service:
        manager, server = service.get_backend_manager(), service.get_hf_server()
        assert manager is not None
        assert server is not None
        assert [backend.provider for backend in manager.list_backends()] == ["scripted"]
        assert server.url == f"http://127.0.0.1:{server.port}"
    assert (service.get_backend_manager(), service.get_hf_server()) == (None, None)


@pytest.mark.behaviour("MGR-24")
async def test_parts_that_are_not_wanted_are_none(tmp_path: Path) -> None:
    async with serving(config_in(tmp_path, enable_hf_server=False)) as service:
        assert service.is_running
        assert service.get_hf_server() is None
        manager = service.get_backend_manager()
        assert manager is not None
        assert len(manager.list_backends()) == 1
    async with serving(config_in(tmp_path, enable_backend_manager=False)) as service:
        assert service.get_backend_manager() is None
        assert await ask(service) == "from the script"


@pytest.mark.behaviour("MGR-24")
async def test_there_is_no_peer_node_and_whoever_wants_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.NotSupported, match="enable_libp2p: this version has no peer-to-peer node"):
        await start_unified_service(config_in(tmp_path, enable_libp2p=True), environ={})
    async with serving(config_in(tmp_path)) as service:
        assert service.get_p2p_node() is None  # type: ignore[func-returns-value]


@pytest.mark.behaviour("MGR-23")
async def test_one_after_another_and_the_same_one_again(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        async with serving(config_in(tmp_path / folder)) as service:
            assert await ask(service) == "from the script"
    await service.start()
    assert await ask(service) == "from the script"
    await service.stop()


@pytest.mark.behaviour("MGR-23", "HTTP-09")
async def test_a_taken_port_is_named_and_nothing_stays_open(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.PortTaken, match=rf"Port {port} already in use.*; port \d+ is free"):
            await start_unified_service(config_in(tmp_path, hf_server_port=port), environ={})
    assert asyncio.all_tasks() <= before
    async with serving(config_in(tmp_path)) as service:  # the store was let go of
        assert await ask(service) == "from the script"


async def test_an_address_that_others_reach_is_refused_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(errors.NotAllowed, match=r"needs --expose and a key \(server.api_key\)"):
        await start_unified_service(config_in(tmp_path, hf_server_host="0.0.0.0"), environ={})


async def test_a_second_one_on_the_same_store_is_refused(tmp_path: Path) -> None:
    async with serving(config_in(tmp_path)) as first:
        with pytest.raises(errors.JackfieldError, match="store"):
            await start_unified_service(config_in(tmp_path), environ={})
        assert await ask(first) == "from the script"


async def test_a_start_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    starting = asyncio.create_task(start_unified_service(config_in(tmp_path), environ={}))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert asyncio.all_tasks() <= before
    async with serving(config_in(tmp_path)) as service:
        assert await ask(service) == "from the script"


async def test_a_running_answer_is_let_finish(tmp_path: Path) -> None:
    async with FakeOpenAI() as fake:
        fake.behaviour = Behaviour(delay_s=0.3)
        slot = f"{{provider: openai-compat, model: fake-model, config: {{base_url: '{fake.base_url}'}}}}"
        async with serving(config_in(tmp_path, slot)) as service:
            asking = asyncio.create_task(ask(service))
            async with asyncio.timeout(10):
                while fake.completions == 0:
                    await asyncio.sleep(0.01)
            await service.stop()
            assert await asking == "pong"


async def test_named_backends_are_plugged(tmp_path: Path) -> None:
    config = config_in(tmp_path, api_backends=["ollama"], cli_backends=["command-line"], enable_cli_backends=False)
    async with serving(config) as service:
        manager = service.get_backend_manager()
        assert manager is not None
        assert {backend.provider for backend in manager.list_backends()} == {"scripted", "ollama"}
