"""APIs that the settings plug: listed under the names that people know them by, and asked for models by any name of theirs."""

from pathlib import Path

import pytest

from jackfield.testing.fake_completion import FakeTei, FakeTgi
from jackfield.testing.fake_ollama import FakeOllama
from jackfield.testing.fakes import FakeOpenAI
from running_gateway import running_gateway

NAMES = ("hf_tgi", "hf_tei", "ollama", "openai_api")
PREFIXED = ["openai/gpt-4o", "anthropic/claude-sonnet-4-5", "bedrock/us.amazon.nova-pro-v1:0"]


@pytest.mark.behaviour("PROV-36")
async def test_what_is_configured_is_listed_under_its_known_names(tmp_path: Path) -> None:
    async with FakeTgi() as tgi, FakeTei() as tei, FakeOllama() as ollama, FakeOpenAI() as other:
        addresses = {"hf_tgi": tgi.root_url, "hf_tei": tei.root_url, "ollama": ollama.root_url, "openai_api": other.base_url}
        slots = {number: {"provider": name, "config": {"base_url": addresses[name]}} for number, name in enumerate(addresses)}
        async with running_gateway(tmp_path, slots=slots) as gateway:
            await gateway.house.backends.check()
            report = (await gateway.http.get("/control/v1/backends")).json()
            by_alias = {alias: entry for entry in report["backends"] for alias in entry["aliases"]}
            assert {f"api_{name}" for name in NAMES} <= set(by_alias)
            assert [by_alias[f"api_{name}"]["slot"] for name in NAMES] == [0, 1, 2, 3]
            for name in NAMES:
                found = gateway.house.backends.get_backend(f"api_{name}")
                assert found is not None
                assert found.id == by_alias[f"api_{name}"]["id"]
            assert gateway.house.backends.get_backend("api_groq") is None


@pytest.mark.behaviour("PROV-09")
async def test_models_behind_a_litellm_proxy_keep_their_prefixes(tmp_path: Path) -> None:
    async with (
        FakeOpenAI(PREFIXED, require_key="sk-master-0123456789") as proxy,
        running_gateway(tmp_path, {"LITELLM_MASTER_KEY": "sk-master-0123456789"}) as gateway,
    ):
        await gateway.plug(0, "litellm-proxy", base_url=proxy.base_url, api_key="env:LITELLM_MASTER_KEY")
        async with gateway.openai() as client:
            assert set(PREFIXED) <= {model.id async for model in client.models.list()}
            for model in PREFIXED:
                for asked in (model, f"litellm-proxy/{model}"):
                    reply = await client.chat.completions.create(
                        model=asked, messages=[{"role": "user", "content": "ping"}], extra_body={"metadata": {"tags": ["a"]}}
                    )
                    assert reply.choices[0].message.content == "pong"
                    assert proxy.last.json["model"] == model
                    assert proxy.last.json["metadata"] == {"tags": ["a"]}
