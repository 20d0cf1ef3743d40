"""Each engine on this machine with models of different shapes, number formats and windows: all load, answer and end in time."""

import asyncio
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine_servers import CHAT_MODEL, engine_program, llama_server
from jackfield.core.contracts import Provider
from jackfield.core.errors import ContextOverflow
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.local_llama import LocalLlama
from jackfield.providers.local_transformers import LocalTransformers
from jackfield.providers.openai_compatible import preset_type
from jackfield.providers.presets import load_presets
from jackfield.testing.tools import provider_tools
from torch_models import SMALL, libraries, random_model

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Gguf:
    """A model made of the tiny one, and how it is run. `says` is what it answers to "ping", where it still knows."""

    id: str
    kind: str
    window: int
    says: str | None = "pong"
    without_layer: int | None = None
    server: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def made(self, folder: Path) -> Path:
        path = folder / f"{self.id}.gguf"
        options = [] if self.without_layer is None else ["--prune-layers", str(self.without_layer)]
        program = engine_program("llama-quantize")
        command = [str(program), *options, str(CHAT_MODEL), str(path), self.kind, "1"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr.decode()[-800:]
        return path


GGUFS = (
    Gguf("f16", "F16", 2048),
    Gguf("q8_0-long", "Q8_0", 16384),
    Gguf(
        "q8_0-small-cache",
        "Q8_0",
        512,
        server=("-fa", "on", "-ctk", "q8_0", "-ctv", "q8_0"),
        settings={"flash_attention": True, "cache_type_k": "q8_0", "cache_type_v": "q8_0"},
    ),
    Gguf("q4_0-one-layer", "Q4_0", 1024, says=None, without_layer=1),
)
TORCHES: Mapping[str, tuple[str, str, int, dict[str, int]]] = {
    "gpt2-float32": ("GPT2", "float32", 64, {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}),
    "llama-grouped-bfloat16": ("Llama", "bfloat16", 256, SMALL),
    "qwen2-float16": ("Qwen2", "float16", 128, {**SMALL, "num_hidden_layers": 1, "max_position_embeddings": 128}),
    "mistral-sliding-float32": ("Mistral", "float32", 512, {**SMALL, "max_position_embeddings": 512, "sliding_window": 32}),
}
"""By id: the architecture, its numbers, its window in tokens, its shape."""


async def reply(provider: Provider, text: str, max_tokens: int | None) -> ChatReply:
    generation = Generation(temperature=0.0, max_tokens=max_tokens)
    request = ChatRequest((text_message("user", text),), generation=generation, stream=True, include_usage=True)
    async with asyncio.timeout(60), provider.open(request) as events:
        return await fold(events)


async def check(provider: Provider, window: int, says: str | None) -> None:
    """It answers as it should, the same again, and what is too long for its window is refused as such."""
    said = await reply(provider, "ping", 12)
    assert said.usage is not None
    assert 0 < said.usage.completion_tokens <= 12
    assert says is None or said.text == says
    assert (await reply(provider, "ping", 12)).text == said.text
    with pytest.raises(ContextOverflow):
        await reply(provider, "a b " * window, None)
    await provider.aclose()


@pytest.mark.behaviour("TEST-11")
@pytest.mark.parametrize("gguf", GGUFS, ids=lambda gguf: gguf.id)
async def test_model_matrix_of_llama_server(gguf: Gguf, tmp_path: Path) -> None:
    options = ("-c", str(gguf.window), "-np", "1", *gguf.server)
    with llama_server(tmp_path, *options, model=gguf.made(tmp_path), alias=gguf.id) as server:
        async with provider_tools() as tools:
            config = {"base_url": server.root_url, "model": server.model}
            await check(preset_type(load_presets()["llama-server"]).create(config, tools), gguf.window, gguf.says)


@pytest.mark.behaviour("TEST-11")
@pytest.mark.parametrize("gguf", GGUFS, ids=lambda gguf: gguf.id)
async def test_model_matrix_of_llama_in_this_process(gguf: Gguf, tmp_path: Path) -> None:
    async with provider_tools() as tools:
        config = {"model": str(gguf.made(tmp_path)), "context_length": gguf.window, "threads": 1, **gguf.settings}
        await check(LocalLlama.create(config, tools), gguf.window, gguf.says)


@pytest.mark.behaviour("LOCL-02", "TEST-11")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", sorted(TORCHES))
async def test_model_matrix_of_transformers(model: str, tmp_path: Path) -> None:
    libraries()
    architecture, dtype, window, shape = TORCHES[model]
    async with provider_tools() as tools:
        folder = random_model(tmp_path / model, architecture, shape, dtype=dtype)
        provider = LocalTransformers.create({"model": str(folder), "device": "cpu"}, tools)
        assert (await provider.list_models())[0].context_length == window
        filled = await reply(provider, "the quick brown fox", None)
        assert filled.usage is not None
        assert filled.finish_reason == "stop" or filled.usage.total_tokens == window
        await check(provider, window, None)
