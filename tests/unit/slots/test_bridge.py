"""A third party's adapter class becomes a provider by being registered, and nothing else."""

from collections.abc import Mapping
from typing import Any

import pytest

from jackfield.core.errors import BadRequest, ModeForbids, NotSupported, Unavailable
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.registry import ProviderRegistry

KEY = "sk-bridge-0123456789abcdef"


class Remote(InferenceProviderAdapter):
    """A service that somebody wrote an adapter for."""

    provider_id, provider_type, display_name = "remote", "decentralized", "Remote"
    supports_embeddings = True
    max_context = 1000
    made: list["Remote"] = []  # noqa: RUF012 - every instance, for a look

    def __init__(self) -> None:
        self.left = 0
        Remote.made.append(self)

    async def connect(self, config: Mapping[str, Any] | None = None) -> bool:
        await super().connect(config)
        return not self.config.get("is_down", False)

    async def disconnect(self) -> None:
        self.left += 1

    async def stream(self, prompt: str, **kwargs: Any) -> Any:
        yield f"{self.config.get('greeting', 'hello')} "
        yield prompt

    async def embed(self, text: str) -> list[float]:
        return [float(len(text)), 1.0]


@pytest.fixture
def remote(panel: ProviderRegistry) -> ProviderRegistry:
    Remote.made.clear()
    panel.register("remote", Remote)
    Remote.made.clear()
    return panel


@pytest.mark.behaviour("ADPT-30", "ADPT-31")
async def test_registering_a_class_is_enough_to_plug_it(remote: ProviderRegistry) -> None:
    assert await remote.plug(0, "remote", {"greeting": "good day"})
    assert (await remote.invoke_slot(0, "you"))["output"] == "good day you"
    adapter = remote.get_adapter(0)
    assert adapter is not None
    assert (adapter.provider_id, adapter.provider_type, adapter.max_context) == ("remote", "decentralized", 1000)
    assert [piece async for piece in adapter.stream("you")] == ["good day ", "you"]
    assert await adapter.embed("four") == [4.0, 1.0]
    entry = next(entry for entry in remote.list_providers() if entry["id"] == "remote")
    assert (entry["type"], entry["display_name"], entry["available"]) == ("decentralized", "Remote", True)
    assert entry["hint"] == "A service that somebody wrote an adapter for."
    assert await remote.clone_slot(0) == [1]
    assert len(Remote.made) == 2
    await remote.mutate_slot(0, temperature=0.5)


async def test_it_is_left_once_when_it_is_unplugged(remote: ProviderRegistry) -> None:
    await remote.plug(0, "remote")
    await remote.unplug(0)
    await remote.aclose()
    assert [each.left for each in Remote.made] == [1]


async def test_one_that_cannot_connect_is_not_plugged(remote: ProviderRegistry) -> None:
    with pytest.raises(Unavailable, match="could not connect"):
        await remote.plug(0, "remote", {"is_down": True})
    await remote.plug(0, "remote", {"is_down": True}, require_ready=False)
    assert "could not connect" in str(remote.slot(0).problem)


async def test_it_gets_its_key_itself_while_the_panel_holds_a_reference(remote: ProviderRegistry) -> None:
    await remote.plug(0, "remote", {"api_key": KEY})
    assert Remote.made[-1].config["api_key"] == KEY
    assert remote.slot_info(0)["config"]["api_key"].startswith("file:")


async def test_hosts_that_it_names_need_consent(remote: ProviderRegistry) -> None:
    class Elsewhere(Remote):
        provider_id = "elsewhere"
        hosts = ("api.example.invalid:443",)

    remote.register("elsewhere", Elsewhere)
    with pytest.raises(ModeForbids, match=r"api\.example\.invalid"):
        await remote.plug(0, "elsewhere")


def test_the_id_must_be_one(panel: ProviderRegistry) -> None:
    with pytest.raises(BadRequest, match="not a provider id"):
        panel.register("No Good!", Remote)


async def test_a_real_provider_type_is_registered_as_it_is(panel: ProviderRegistry) -> None:
    scripted = panel.providers["scripted"]
    with pytest.raises(BadRequest, match="is the provider 'scripted'"):
        panel.register("other", scripted)
    panel.register("scripted", scripted, replace=True)
    assert panel.providers["scripted"] is scripted


async def test_tokens_instead_of_texts_are_refused(remote: ProviderRegistry) -> None:
    from jackfield.core.requests import EmbedRequest

    await remote.plug(0, "remote")
    binding = remote.slot(0).binding
    assert binding is not None
    assert binding.embeds is not None
    with pytest.raises(NotSupported):
        await binding.embeds.embed(EmbedRequest(((1, 2),)))
