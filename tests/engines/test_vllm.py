"""vLLM on the CPU, where scripts/vllm has installed it: the row `vllm` against the server that it is for."""

import asyncio
import re
from collections.abc import Iterator

import pytest

from engine_servers import EngineServer, engines_folder, vllm_server
from jackfield.core.errors import ModelNotFound
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation, ResponseFormat
from jackfield.providers.openai_compatible import OpenAICompatible, preset_type
from jackfield.providers.presets import load_presets
from jackfield.testing.conformance import LAWS, Subject, check_law
from jackfield.testing.tools import FakeTools, provider_tools

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (engines_folder() / "vllm").is_dir(), reason="vLLM is optional: scripts/vllm installs it"),
]
LAWS_OF_THIS_MODEL = sorted(set(LAWS) - {"images_are_as_told", "embeddings_are_as_told"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    with vllm_server(tmp_path_factory.mktemp("vllm")) as running:
        yield running


def made(server: EngineServer, tools: FakeTools, **config: object) -> OpenAICompatible:
    return preset_type(load_presets()["vllm"]).create({"base_url": server.root_url, "model": server.model, **config}, tools)


@pytest.mark.behaviour("PROV-08")
@pytest.mark.parametrize("law", LAWS_OF_THIS_MODEL)
async def test_it_keeps_the_laws(law: str, server: EngineServer) -> None:
    async with provider_tools() as tools:
        await check_law(law, LAWS[law], Subject(lambda: made(server, tools), keeps_limits=True))


@pytest.mark.behaviour("LOCL-23")
async def test_a_model_that_it_has_not_loaded_is_told(server: EngineServer) -> None:
    async with provider_tools() as tools:
        probe = await made(server, tools, model="another").probe()
        assert not probe.is_ready
        assert "is not loaded there" in probe.detail
        with pytest.raises(ModelNotFound):
            async with made(server, tools).open(ChatRequest((text_message("user", "ping"),), model="another")) as events:
                await fold(events)


@pytest.mark.behaviour("PARM-13")
async def test_an_answer_follows_a_schema(server: EngineServer) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
    request = ChatRequest(
        (text_message("user", "ping"),),
        generation=Generation(max_tokens=60, temperature=0.0),
        response_format=ResponseFormat("json_schema", schema, "a"),
    )
    async with provider_tools() as tools, asyncio.timeout(60), made(server, tools).open(request) as events:
        text = (await fold(events)).text
    # The tiny model, which would say "pong", may go on with white space for ever: also that is within the schema.
    assert re.match(r'\s*\{\s*("ok"|$)', text), text
