"""The settings that `plug_provider` shows as examples are taken by the providers it shows them for."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from jackfield.doors.mcp.given import config_of
from jackfield.doors.mcp.slot_tools import plug_provider
from running_gateway import running_gateway

EXAMPLES = dict(re.findall(r"([\w-]+) (\{.+?\})[;.]", plug_provider.__doc__ or ""))
KEYS = {"GROQ_API_KEY": "of-groq", "AKASHML_API_KEY": "of-akash"}


def test_these_are_shown() -> None:
    assert set(EXAMPLES) == {"local", "openai-compat", "litellm", "akash-ml"}


@pytest.mark.parametrize("provider_id", EXAMPLES)
async def test_an_example_makes_its_provider(provider_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if provider_id == "litellm":
        monkeypatch.setitem(sys.modules, "litellm", ModuleType("litellm"))
    config = config_of(EXAMPLES[provider_id])
    assert config
    async with running_gateway(tmp_path, KEYS) as gateway:
        hosts = await gateway.house.registry.hosts_to_allow(provider_id, config)
        assert bool(hosts) is (provider_id in ("akash-ml", "litellm"))
        (card,) = [card for card in gateway.house.registrar.cards() if card.id == provider_id]
        assert set(config) <= {"model", *card.config_keys}
