"""The engine in this process, on the tiny models: real tokens, no server, no network."""

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psutil
import pytest

from jackfield.core.errors import (
    BadRequest,
    ContextOverflow,
    MissingExtra,
    ModelNotFound,
    NotAllowed,
    NotSupported,
    Overloaded,
    ServiceFailed,
    TimedOut,
)
from jackfield.core.events import ChatReply, TextDelta, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation, ResponseFormat
from jackfield.providers import llama_engine, model_threads
from jackfield.providers.local_llama import LocalLlama
from jackfield.testing.tools import FakeTools

DEMO_DIR = Path(__file__).parents[3] / "src/jackfield/app/demo"
EMBED_MODEL = Path(__file__).parents[2] / "models/tiny-embed.gguf"
TOOLS = FakeTools(None, models_dir=str(DEMO_DIR))


def _made(**config: Any) -> LocalLlama:
    return LocalLlama.create({"model": "tiny-llm", "threads": 1, "context_length": 2048, **config}, TOOLS)


@pytest.fixture
async def local() -> AsyncIterator[LocalLlama]:
    made = _made()
    yield made
    await made.aclose()


def _asked(text: str, **more: Any) -> ChatRequest:
    generation = Generation(temperature=0.0, max_tokens=more.pop("max_tokens", None))
    return ChatRequest((text_message("user", text),), generation=generation, stream=True, **more)


async def _reply(provider: LocalLlama, request: ChatRequest) -> ChatReply:
    async with asyncio.timeout(20), provider.open(request) as events:
        return await fold(events)


async def test_real_tokens_come_and_are_counted(local: LocalLlama) -> None:
    reply = await _reply(local, _asked("Count to 5"))
    assert reply.text == "1, 2, 3, 4, 5"
    assert reply.model == "tiny-llm"
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 5
    assert "é" in (await _reply(local, _asked("say something in unicode"))).text


async def test_slots_that_want_the_same_share_one_engine() -> None:
    three = [_made() for _ in range(3)]
    replies = await asyncio.gather(*(_reply(provider, _asked("ping")) for provider in three))
    assert [reply.text for reply in replies] == ["pong"] * 3
    (engine,) = llama_engine.loans.engines.values()
    assert engine.users == 3
    for provider in three:
        await provider.aclose()
    assert not llama_engine.loans.engines


@pytest.mark.behaviour("LOCL-01")
async def test_a_model_from_the_disk_answers_with_sockets_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = _made(model=str(DEMO_DIR / "tiny-llm.gguf"))
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", _no_socket)
        patch.setattr(socket.socket, "connect_ex", _no_socket)
        patch.setattr(socket, "getaddrinfo", _no_socket)
        assert (await _reply(provider, _asked("Count to 5"))).text == "1, 2, 3, 4, 5"
    await provider.aclose()


def _no_socket(*_: object) -> None:
    raise AssertionError("it wanted the network")


async def test_nobody_can_reach_the_engine_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        before = {link.laddr for link in psutil.Process().net_connections("tcp")}
        provider = _made()
        assert (await _reply(provider, _asked("ping"))).text == "pong"
        assert {link.laddr for link in psutil.Process().net_connections("tcp")} == before
        assert not list(Path(folder).iterdir())
        await provider.aclose()


async def test_another_configuration_is_another_engine() -> None:
    one, two = _made(), _made(cache_type_k="q8_0", flash_attention=True, cache_type_v="q8_0")
    assert [(await _reply(provider, _asked("ping"))).text for provider in (one, two)] == ["pong", "pong"]
    assert len(llama_engine.loans.engines) == 2
    await one.aclose()
    await two.aclose()


async def test_an_answer_left_early_stops_the_engine_even_in_a_long_prompt() -> None:
    provider = _made(context_length=32768, batch=128)
    await _reply(provider, _asked("ping"))
    task = asyncio.create_task(_reply(provider, _asked("ping " * 6000)))
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(2):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert provider._engine is not None
    async with asyncio.timeout(2):
        while provider._engine.threads.busy:
            await asyncio.sleep(0.01)
    await provider.aclose()


async def test_pieces_come_while_the_model_writes(local: LocalLlama) -> None:
    async with local.open(_asked("Count to 20")) as events:
        pieces = [event.text async for event in events if isinstance(event, TextDelta)]
    assert len(pieces) > 10


async def test_answers_follow_a_schema(local: LocalLlama) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    reply = await _reply(local, _asked("ping", response_format=ResponseFormat("json_schema", schema, "a")))
    assert set(msgspec.json.decode(reply.text)) == {"ok"}


async def test_vectors_come_from_an_embedding_model() -> None:
    provider = LocalLlama.create({"path": str(EMBED_MODEL), "embedding": True, "threads": 1, "context_length": 128}, TOOLS)
    reply = await provider.embed(EmbedRequest(("one", "two")))
    assert len(reply.vectors[0]) == len(reply.vectors[1]) == 64
    with pytest.raises(NotSupported, match="embedding model"):
        await _reply(provider, _asked("ping"))
    await provider.aclose()


async def test_a_prompt_that_does_not_fit_is_refused(local: LocalLlama) -> None:
    with pytest.raises(ContextOverflow):
        await _reply(local, _asked("word " * 3000))
    dense = "a b " * 1200  # more tokens than the estimate, which is low on purpose, can see
    with pytest.raises(ContextOverflow) as caught:
        await _reply(local, _asked(dense))
    assert caught.value.provider == "local"
    assert (await _reply(local, _asked("ping"))).text == "pong"


async def test_an_answer_has_its_time_and_no_more() -> None:
    provider = _made(timeout=0.001, context_length=32768)
    with pytest.raises(TimedOut, match="local: the model was not done"):
        await _reply(provider, _asked("ping " * 3000))
    await provider.aclose()


async def test_a_crowd_is_refused(local: LocalLlama, monkeypatch: pytest.MonkeyPatch) -> None:
    await _reply(local, _asked("ping"))
    monkeypatch.setattr(model_threads, "MAX_WAITING", -2)
    with pytest.raises(Overloaded) as caught:
        await _reply(local, _asked("ping"))
    assert caught.value.retry_after_s == 1.0


async def test_a_file_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes((DEMO_DIR / "tiny-llm.gguf").read_bytes()[:200_000])
    provider = LocalLlama.create({"model": str(broken)}, TOOLS)
    with pytest.raises(ServiceFailed, match=r"could not load broken\.gguf"):
        await _reply(provider, _asked("ping"))
    assert not llama_engine.loans.engines
    await provider.aclose()


async def test_a_missing_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    provider = _made()
    with pytest.raises(MissingExtra, match=r"pip install 'jackfield\[local\]'"):
        await _reply(provider, _asked("ping"))
    probe = await provider.probe()
    assert not probe.is_ready
    assert "jackfield[local]" in probe.detail


async def test_a_probe_loads_nothing_and_names_what_is_wrong(local: LocalLlama) -> None:
    probe = await local.probe()
    assert probe.is_ready
    assert "loads at the first request" in probe.detail
    assert not llama_engine.loans.engines
    missing = await _made(model="absent").probe()
    assert not missing.is_ready
    assert "no GGUF file for 'absent'" in missing.detail


async def test_models_of_the_folder_are_listed_its_own_first(local: LocalLlama, tmp_path: Path) -> None:
    models = await local.list_models()
    assert models[0].id == "tiny-llm"
    assert models[0].context_length == 2048
    with pytest.raises(ModelNotFound, match="this slot holds tiny-llm"):
        await _reply(local, _asked("ping", model="another"))
    assert (await _reply(local, _asked("ping", model="tiny-llm"))).text == "pong"


@pytest.mark.parametrize(
    ("config", "param"),
    [
        ({"model": None}, "model"),
        ({"threads": 0}, "threads"),
        ({"cache_type_k": "q3"}, "cache_type_k"),
        ({"thread": 1}, "thread"),
        ({"context_length": 0}, "context_length"),
    ],
)
def test_bad_configs_are_named(config: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        _made(**config)
    assert (caught.value.param, caught.value.provider) == (param, "local")


def test_old_spellings_of_settings_are_known() -> None:
    made = LocalLlama.create({"model_id": "x", "default_threads": 3, "default_gpu_layers": 999, "ctx_size": 64}, TOOLS)
    assert made.capabilities.max_context == 64
    assert made.capabilities.default_model == "x"
    with pytest.raises(NotAllowed):
        _made(enabled=False)


async def test_after_closing_it_answers_no_more(local: LocalLlama) -> None:
    await local.aclose()
    with pytest.raises(NotSupported, match="unplugged"):
        await _reply(local, _asked("ping"))


async def test_its_model_is_loaded_and_unloaded_by_name(local: LocalLlama) -> None:
    assert await local.loaded_models() == ()
    await local.load_model("tiny-llm", "cpu")
    (held,) = await local.loaded_models()
    assert (held.model, held.hardware, held.gpu_bytes, held.context_length) == ("tiny-llm", "cpu", 0, 2048)
    assert held.size_bytes == (DEMO_DIR / "tiny-llm.gguf").stat().st_size
    assert (await _reply(local, _asked("ping"))).text == "pong"
    with pytest.raises(NotSupported, match="no rocm") as lacking:
        await local.load_model("tiny-llm", "rocm")
    assert lacking.value.param == "hardware"
    assert len(await local.loaded_models()) == 1, "what cannot be had takes nothing away"
    await local.unload_model("tiny-llm")
    await local.unload_model("tiny-llm")
    assert (await local.loaded_models(), llama_engine.loans.engines) == ((), {})
    for refused in (local.load_model, local.unload_model):
        with pytest.raises(ModelNotFound):
            await refused("other")


def test_devices_are_told_by_what_llama_cpp_calls_them() -> None:
    class Binding:
        """Of the engine's module, what says which devices it sees."""

        ggml_backend_dev_type = SimpleNamespace(GGML_BACKEND_DEVICE_TYPE_GPU=1)

        def __init__(self, *names: str) -> None:
            self.names = names

        def get_device_info(self) -> list[dict[str, Any]]:
            return [{"name": "CPU", "type": 0}, *({"name": name, "type": 1} for name in self.names)]

    for names, kinds in (
        ((), []),
        (("CUDA0", "CUDA1"), ["cuda"]),
        (("ROCm0",), ["rocm"]),
        (("Metal",), ["mps"]),
        (("MTL0",), ["mps"]),
        (("Vulkan0",), ["vulkan0"]),
    ):
        assert llama_engine.gpu_kinds(Binding(*names)) == kinds
