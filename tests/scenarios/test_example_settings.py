"""The example settings do what their first lines say, with fakes in place of the servers that they name."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from jackfield.core.modes import OperatingMode
from jackfield.testing.fake_anthropic import FakeAnthropic
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

EXAMPLES = Path(__file__).parents[2] / "examples" / "settings"
MODEL = "shared-model"
BODY: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "ping"}]}


def example(name: str, **urls: str) -> dict[str, Any]:
    """The example's own keys, its slots pointed at `urls` by their numbers (slot_0=...)."""
    plain: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    for key, url in urls.items():
        plain["slots"][int(key.removeprefix("slot_"))].setdefault("config", {})["base_url"] = url
    return plain


async def ask(gateway: Gateway) -> int:
    reply = await gateway.http.post("/v1/chat/completions", json=BODY)
    assert reply.status_code == 200, reply.text
    return int(reply.headers["x-jackfield-slot"])


@pytest.mark.behaviour("MGR-26")
async def test_local_development_stays_on_this_machine(tmp_path: Path) -> None:
    async with FakeOpenAI() as server:
        settings = example("local-development", slot_0=server.base_url)
        settings["discovery"]["enabled"] = False  # what else runs here is no matter of this test
        async with running_gateway(tmp_path, {"OPENAI_API_KEY": "x"}, **settings) as gateway:
            house = gateway.house
            assert house.gate.mode is OperatingMode.LOCAL_ONLY
            assert [slot.spec.provider for slot in house.registry.plugged() if slot.spec] == ["llama-server"]
            body = {**BODY, "model": "local"}
            assert (await gateway.http.post("/v1/chat/completions", json=body)).status_code == 200
            assert [str(backend.type) for backend in house.backends.list_backends()] == ["gpu"]


@pytest.mark.behaviour("MGR-27")
async def test_several_gpus_share_the_load(tmp_path: Path) -> None:
    async with FakeOpenAI([MODEL]) as first, FakeOpenAI([MODEL]) as second:
        first.behaviour = second.behaviour = Behaviour(delay_s=0.2)
        settings = example("several-gpus", slot_0=first.base_url, slot_1=second.base_url)
        async with running_gateway(tmp_path, **settings) as gateway:
            slots = await asyncio.gather(*(ask(gateway) for _ in range(8)))
            assert sorted(slots) == [0] * 4 + [1] * 4
            assert [backend.metrics.queue for backend in gateway.house.backends.list_backends()] == [0, 0]


@pytest.mark.behaviour("MGR-29")
async def test_local_and_cloud_take_turns(tmp_path: Path) -> None:
    keys = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x"}
    async with FakeOpenAI([MODEL]) as local, FakeOpenAI([MODEL]) as cloud, FakeAnthropic([MODEL]) as other:
        settings = example("local-and-cloud", slot_0=local.base_url, slot_1=cloud.base_url, slot_2=other.root_url)
        async with running_gateway(tmp_path, keys, **settings) as gateway:
            slots = [await ask(gateway) for _ in range(9)]
            assert sorted(slots[:3]) == [0, 1, 2]
            assert slots[:3] * 3 == slots
            assert (local.completions, cloud.completions, other.completions) == (3, 3, 3)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_valid(path: Path) -> None:
    from jackfield.app.settings import load_settings

    loaded = load_settings(path, {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x"})
    assert loaded.warnings == ()
