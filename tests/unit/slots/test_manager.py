"""Providers by name: added, removed, asked, and chosen by the model's name."""

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any

import pytest

from jackfield.core.errors import ModelNotFound, ProviderNotFound
from jackfield.slots.manager import ProviderManager
from jackfield.slots.standalone import Maker
from jackfield.testing.fakes import Behaviour, FakeOpenAI


@pytest.fixture
def maker(bench: Any) -> Maker:
    return Maker(bench.registrar, bench.gate, bench.secrets)


@pytest.fixture
async def manager(maker: Maker) -> AsyncIterator[ProviderManager]:
    made = ProviderManager(maker)
    yield made
    await made.aclose()


@pytest.mark.behaviour("SLOT-27", "SLOT-28")
async def test_add_execute_remove(manager: ProviderManager, fake: FakeOpenAI) -> None:
    manager.add_provider("mine", {"provider": "openai-compat", "base_url": fake.base_url})
    manager.add_provider("scripted", {"text": "from the script"})
    assert await manager.execute("mine", "fake-model", "ping") == "pong"
    assert await manager.execute("scripted", None, "x", "be brief", {"temperature": 1}) == "from the script"
    assert "".join([piece async for piece in manager.stream_execute("mine", None, "Count to 3")]) == "1, 2, 3"
    assert [entry["name"] for entry in manager.list_providers()] == ["mine", "scripted"]
    assert await manager.remove_provider("mine") is True
    assert await manager.remove_provider("mine") is False
    with pytest.raises(ProviderNotFound, match="Provider not found: 'mine'"):
        await manager.execute("mine", "fake-model", "ping")
    with pytest.raises(ValueError, match="known are"):
        manager.add_provider("nobody")


@pytest.mark.behaviour("SLOT-29")
async def test_the_catalogue_comes_before_the_name(manager: ProviderManager, fake: FakeOpenAI) -> None:
    fake.models = ["gpt-4o"]
    manager.add_provider("openai", {"api_key": "sk-0123456789abcdefghij"}, consent=True)
    manager.add_provider("here", {"provider": "openai-compat", "base_url": fake.base_url})
    manager._adapters["openai"].list_models = _nothing  # type: ignore[method-assign]
    assert await manager.choose("gpt-4o") == "here"
    assert await manager.choose("gpt-4o-mini") == "openai"


async def _nothing(**_: Any) -> list[dict[str, Any]]:
    return []


@pytest.mark.behaviour("SLOT-29")
async def test_names_lead_to_what_was_added_and_never_away_from_this_machine(
    manager: ProviderManager, fake: FakeOpenAI
) -> None:
    manager.add_provider("openai", {"api_key": "sk-0123456789abcdefghij"})
    with pytest.raises(ModelNotFound, match=r"openai would leave this machine"):
        await manager.auto_execute("gpt-4o", "ping")
    manager.add_provider("vllm", {"base_url": fake.base_url})
    manager.add_provider("ollama", {"base_url": fake.base_url})
    assert await manager.choose("org/model") == "vllm"
    assert await manager.choose("name:tag") == "ollama"
    assert await manager.choose("fake-model") == "vllm", "listed by both: the first that was added"
    assert await manager.auto_execute("fake-model", "ping") == "pong"
    assert {await manager.choose("plain") for _ in range(3)} == {"ollama"}


@pytest.mark.behaviour("SLOT-30")
async def test_one_that_is_down_hides_no_other(manager: ProviderManager, fake: FakeOpenAI) -> None:
    manager.add_provider("up", {"provider": "openai-compat", "base_url": fake.base_url})
    manager.add_provider("down", {"provider": "openai-compat", "base_url": "http://127.0.0.1:1/v1"})
    models = await manager.list_all_models()
    assert [model["id"] for model in models["up"]] == ["fake-model"]
    assert "error" in models["down"][0]


@pytest.mark.behaviour("SLOT-31")
async def test_all_are_looked_at_at_the_same_time(maker: Maker) -> None:
    manager = ProviderManager(maker, within_s=0.5)
    slow = Behaviour(everywhere=True, delay_s=0.3)
    async with FakeOpenAI(behaviour=slow) as a, FakeOpenAI(behaviour=slow) as b, FakeOpenAI(behaviour=slow) as c:
        for name, fake in (("a", a), ("b", b), ("c", c)):
            manager.add_provider(name, {"provider": "openai-compat", "base_url": fake.base_url})
        manager.add_provider("dead", {"provider": "openai-compat", "base_url": "http://127.0.0.1:1/v1"})
        began = perf_counter()
        infos = await manager.get_all_info()
        assert perf_counter() - began < 0.85  # one after the other would take 0.9 s
        assert [infos[name]["status"] for name in ("a", "b", "c")] == ["healthy"] * 3
        assert infos["dead"]["status"] == "unhealthy"
        assert infos["dead"]["error"]
        a.behaviour = Behaviour(everywhere=True, hang="before")
        async with asyncio.timeout(3):
            assert (await manager.get_all_info())["a"]["error"]
        await manager.aclose()
