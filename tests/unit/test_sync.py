"""jackfield.sync: the same answers without await, in scripts and inside a running loop."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import jackfield
from jackfield import sync
from jackfield.core.errors import ProviderNotFound
from jackfield.testing.fakes import Behaviour, FakeOpenAI


class Served:
    """A fake upstream on a thread of its own, for tests that block theirs."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.fake = self.run(self._start())

    async def _start(self) -> FakeOpenAI:
        return await FakeOpenAI().__aenter__()

    def run(self, work: object) -> FakeOpenAI:
        found: FakeOpenAI = asyncio.run_coroutine_threadsafe(work, self.loop).result(10)  # type: ignore[arg-type]
        return found

    def gone(self) -> bool:
        """Whether the client has left, waited for a second."""

        async def wait() -> bool:
            await asyncio.wait_for(self.fake.disconnected.wait(), 1)
            return True

        return bool(self.run(wait()))

    def close(self) -> None:
        self.run(self.fake.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    try:
        yield made
    finally:
        sync.close()
        made.close()


@pytest.fixture
def provider(served: Served) -> sync.Provider:
    return sync.create_provider("openai-compat", {"base_url": served.fake.base_url})


@pytest.mark.behaviour("ADPT-19")
def test_executes_from_a_plain_script(provider: sync.Provider, served: Served) -> None:
    assert provider.execute("fake-model", "ping") == "pong"
    assert provider.execute(None, "Count to 3", "be brief", {"temperature": 0.5}) == "1, 2, 3"
    assert served.fake.last.json["messages"][0] == {"role": "system", "content": "be brief"}
    assert served.fake.last.json["temperature"] == 0.5
    assert sync.execute("openai-compat", None, "ping", config={"base_url": served.fake.base_url}) == "pong"
    assert sync.execute(provider.adapter, None, "ping") == "pong"


@pytest.mark.behaviour("ADPT-19")
async def test_executes_inside_a_running_loop(served: Served) -> None:
    provider = sync.create_provider("openai-compat", {"base_url": served.fake.base_url})
    assert provider.execute(None, "ping") == "pong"
    handle = jackfield.create_provider("openai-compat", {"base_url": served.fake.base_url})
    assert await handle.forward("ping") == "pong"
    assert handle.execute(None, "ping") == await handle.forward("ping"), "one handle, both ways"
    assert handle.get_metrics()["requests"] == 3
    await handle.disconnect()


@pytest.mark.behaviour("ADPT-20")
def test_streams_the_same_text(provider: sync.Provider, served: Served) -> None:
    pieces = list(provider.stream_execute(None, "Count to 5"))
    assert len(pieces) > 1
    assert "".join(pieces) == provider.execute(None, "Count to 5")
    config = {"base_url": served.fake.base_url}
    assert "".join(sync.stream_execute("openai-compat", None, "Count to 5", config=config)) == "1, 2, 3, 4, 5"


@pytest.mark.behaviour("ADPT-20")
def test_closing_the_generator_cancels_the_request(provider: sync.Provider, served: Served) -> None:
    served.fake.behaviour = Behaviour(hang="inside", pieces_before=4)
    stream = provider.stream_execute(None, "Count to 50")
    assert next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert served.gone()


def test_errors_come_through_as_they_are(served: Served) -> None:
    with pytest.raises(ValueError, match="known are"):
        sync.create_provider("nobody")


@pytest.mark.behaviour("SLOT-27", "SLOT-29")
def test_a_manager_without_await(served: Served) -> None:
    manager = sync.ProviderManager()
    assert manager.add_provider("mine", {"provider": "vllm", "base_url": served.fake.base_url}) is True
    assert manager.execute("mine", None, "ping") == "pong"
    assert manager.auto_execute("fake-model", "ping") == "pong"
    assert [model["id"] for model in manager.list_all_models()["mine"]] == ["fake-model"]
    assert manager.get_all_info()["mine"]["status"] == "healthy"
    assert manager.get_provider("mine").list_models()[0]["id"] == "fake-model"
    assert manager.get_provider("mine").validate_config() is True
    assert len(manager.get_provider("mine").embed("x")) == 8
    assert manager.list_providers()[0]["name"] == "mine"
    assert manager.remove_provider("mine") is True
    with pytest.raises(ProviderNotFound):
        manager.execute("mine", None, "ping")
    manager.close()


def test_a_script_that_closes_nothing_ends_quietly(served: Served) -> None:
    script = (
        "from jackfield import sync\n"
        f"print(sync.execute('openai-compat', None, 'ping', config={{'base_url': {served.fake.base_url!r}}}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", script], capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr, done.returncode) == ("pong\n", "", 0)
