"""The lists of models of every door answer while a source neither answers nor refuses: not asked, or asked in vain."""

import asyncio
from pathlib import Path

import pytest

from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import running_gateway

LISTS: list[tuple[str, dict[str, str], str]] = [
    ("/v1/models", {}, "data"),
    ("/v1/models", {"anthropic-version": "2023-06-01"}, "data"),
    ("/v1beta/models", {}, "models"),
    ("/api/tags", {}, "models"),
]
WELL_WITHIN_S = 5.0
"""Far more than the catalogue's deadline, far less than a hung source is waited for before it is given up."""


@pytest.mark.behaviour("DOOR-22")
async def test_no_list_waits_for_a_source_that_hangs(tmp_path: Path) -> None:
    async with FakeOpenAI() as sound, FakeOpenAI(["lost"]) as hung, running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "openai-compat", base_url=sound.base_url, model="fake-model")
        await gateway.plug(1, "openai-compat", base_url=hung.base_url, model="lost")
        hung.behaviour = Behaviour(everywhere=True, hang="before")
        for slot in gateway.house.registry.plugged():
            assert slot.binding is not None
            gateway.house.catalogue.expire(slot.binding.live)
        async with asyncio.timeout(WELL_WITHIN_S):
            for path, headers, within in LISTS:
                said = await gateway.http.get(path, headers=headers)
                assert said.status_code == 200
                assert "slot-1" in said.text
                assert said.json()[within]
        assert any("/models" in request.path for request in hung.requests), "it was not even asked"
