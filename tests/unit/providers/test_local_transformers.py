"""The provider of Hugging Face models without PyTorch: a fake stands for the model (the real one is tried in tests/engines)."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fake_torch_model import FakeTorchModel, model_folder, without_torch
from jackfield.core.errors import (
    BadRequest,
    ContextOverflow,
    JackfieldError,
    MissingExtra,
    ModelNotFound,
    NotAllowed,
    NotSupported,
    Overloaded,
    ServiceFailed,
)
from jackfield.core.events import ChatReply, TextDelta, fold
from jackfield.core.messages import ImagePart, Message, TextPart, ToolCallPart, text_message
from jackfield.core.modes import OperatingMode
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation, ResponseFormat, Tool
from jackfield.providers import model_threads, torch_model, transformers_engine
from jackfield.providers.local_transformers import LocalTransformers
from jackfield.providers.torch_model import TorchSpec
from jackfield.testing.tools import FakeTools, provider_tools

CONFIG: dict[str, Any] = {"model": "org/tiny", "temperature": 0.5}


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[FakeTorchModel]:
    return without_torch(monkeypatch)


@pytest.fixture
async def tools(tmp_path: Path) -> AsyncIterator[FakeTools]:
    model_folder(tmp_path / "models/org/tiny")
    async with provider_tools(models_dir=str(tmp_path / "models")) as made:
        yield made


@pytest.fixture
async def local(tools: FakeTools, tmp_path: Path, loaded: list[FakeTorchModel]) -> AsyncIterator[LocalTransformers]:
    made = LocalTransformers.create({**CONFIG, "cache_dir": str(tmp_path / "hub")}, tools)
    yield made
    await made.aclose()


def asked(text: str = "ping", **more: Any) -> ChatRequest:
    return ChatRequest((text_message("user", text),), stream=True, **more)


async def reply(provider: LocalTransformers, request: ChatRequest) -> ChatReply:
    async with asyncio.timeout(10), provider.open(request) as events:
        return await fold(events)


async def test_an_answer_is_told_as_it_was_written(local: LocalTransformers, loaded: list[FakeTorchModel]) -> None:
    said = await reply(local, asked("Count to 3", generation=Generation(logprobs=True, top_p=0.9)))
    assert (said.text, said.model, said.finish_reason) == ("1, 2, 3", "org/tiny", "stop")
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (10, 8)
    assert said.extra == {"warnings": ["logprobs is left out: it cannot be set for this engine"]}
    (model,) = loaded
    assert (model.answered[0].temperature, model.answered[0].top_p) == (0.5, 0.9)
    cut = await reply(local, asked("Count to 9", generation=Generation(max_tokens=4, stop=("x",))))
    assert (cut.text, cut.finish_reason) == ("1, 2", "length")
    stopped = await reply(local, asked("Count to 9", generation=Generation(stop=(", 4",))))
    assert (stopped.text, stopped.finish_reason) == ("1, 2, 3", "stop")


async def test_leaving_stops_the_model_at_once(local: LocalTransformers, loaded: list[FakeTorchModel]) -> None:
    async with asyncio.timeout(10), local.open(asked("Count to 999")) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert len(loaded[0].written) <= model_threads.MAX_PIECES_AHEAD + 2
    assert (await reply(local, asked())).text == "pong"


async def test_slots_that_want_the_same_share_one_model_and_the_last_frees_it(
    tools: FakeTools, loaded: list[FakeTorchModel]
) -> None:
    one, two = (LocalTransformers.create(CONFIG, tools) for _ in range(2))
    other = LocalTransformers.create({**CONFIG, "dtype": "bfloat16"}, tools)
    for provider in (one, two, other):
        assert (await reply(provider, asked())).text == "pong"
    assert [model.spec.dtype for model in loaded] == ["auto", "bfloat16"]
    await one.aclose()
    assert [model.is_free for model in loaded] == [False, False]
    await two.aclose()
    assert [model.is_free for model in loaded] == [True, False]
    await other.aclose()
    assert not transformers_engine.loans.engines
    with pytest.raises(NotSupported, match="unplugged"):
        await reply(one, asked())


async def test_a_model_without_a_template_gets_plain_text(tools: FakeTools, loaded: list[FakeTorchModel]) -> None:
    model_folder(Path(str(tools.models_dir)) / "plain")
    provider = LocalTransformers.create({"model": "plain"}, tools)
    said = await reply(provider, asked("Count to 2"))
    assert said.text == "1, 2"
    assert "plain has no chat template" in said.extra["warnings"][0]
    await provider.aclose()


@pytest.mark.behaviour("LOCL-01")
@pytest.mark.parametrize(
    ("mode", "way"),
    [
        (
            OperatingMode.LOCAL_ONLY,
            "in local_only mode nothing is fetched: on a machine with network run `hf download org/absent",
        ),
        (OperatingMode.AIRGAPPED, "in airgapped mode nothing is fetched: on a machine with network run"),
        (OperatingMode.BURST, "fetch it with: hf download org/absent"),
    ],
)
async def test_a_model_that_is_not_here_is_brought_as_the_mode_allows(
    mode: OperatingMode, way: str, tools: FakeTools, tmp_path: Path, loaded: list[FakeTorchModel]
) -> None:
    tools.http.gate.set_mode(mode)
    provider = LocalTransformers.create({"model": "org/absent", "cache_dir": str(tmp_path / "hub")}, tools)
    with pytest.raises(ModelNotFound, match="no model folder for 'org/absent'") as caught:
        await reply(provider, asked())
    assert way in caught.value.message
    assert caught.value.may_fall_back
    probe = await provider.probe()
    assert (probe.is_ready, way in probe.detail) == (False, True)
    assert not loaded
    await provider.aclose()


async def test_a_missing_library_says_what_to_install(tools: FakeTools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    provider = LocalTransformers.create(CONFIG, tools)
    with pytest.raises(MissingExtra, match=r"pip install 'jackfield\[transformers\]'"):
        await reply(provider, asked())
    assert "jackfield[transformers]" in (await provider.probe()).detail
    with pytest.raises(MissingExtra):
        torch_model.load_libraries()
    await provider.aclose()


async def test_a_probe_loads_nothing(local: LocalTransformers, loaded: list[FakeTorchModel]) -> None:
    assert (await local.probe()).detail == "org/tiny, loads at the first request"
    assert not loaded
    await reply(local, asked())
    assert (await local.probe()).detail == "org/tiny, loaded on cpu"
    models = await local.list_models()
    assert [(model.id, model.context_length) for model in models] == [("org/tiny", 2048)]


async def test_what_is_no_text_is_refused_before_anything_is_loaded(
    local: LocalTransformers, loaded: list[FakeTorchModel]
) -> None:
    picture = Message("user", (ImagePart(url="http://x/"), TextPart("what")))
    called = Message("assistant", (ToolCallPart("1", "f", "{}"),))
    for request in (
        asked(tools=(Tool("f"),)),
        asked(response_format=ResponseFormat("json")),
        ChatRequest((picture,)),
        ChatRequest((text_message("user", "x"), called)),
        ChatRequest((text_message("user", ""),)),
    ):
        with pytest.raises((NotSupported, BadRequest)) as caught:
            await reply(local, request)
        assert caught.value.provider == "local_transformers"
    with pytest.raises(ModelNotFound, match="this slot holds org/tiny"):
        await reply(local, asked(model="another"))
    assert not loaded


async def test_the_window_is_the_model_s(local: LocalTransformers) -> None:
    with pytest.raises(ContextOverflow, match="holds 2048 tokens and the prompt alone has 2100"):
        await reply(local, asked("x" * 2100))
    with pytest.raises(ContextOverflow):
        await reply(local, asked("x" * 60_000))
    said = await reply(local, asked("Count to 999" + "x" * 2000))
    assert said.usage is not None
    assert (said.finish_reason, said.usage.total_tokens) == ("length", 2048)


async def test_vectors_come_from_a_slot_for_them(tools: FakeTools, loaded: list[FakeTorchModel]) -> None:
    model_folder(Path(str(tools.models_dir)) / "bert", architectures=["BertModel"], max_position_embeddings=16)
    chat = LocalTransformers.create({"model": "bert"}, tools)
    with pytest.raises(NotSupported, match="does not chat: set embedding: true"):
        await reply(chat, asked())
    with pytest.raises(NotSupported, match="plug one with"):
        await chat.embed(EmbedRequest(("a",)))
    provider = LocalTransformers.create({"model": "bert", "embedding": True}, tools)
    made = await provider.embed(EmbedRequest(("a", "bc", *["d"] * 40, (1, 2, 3))))
    assert (len(made.vectors), made.vectors[1], made.vectors[-1]) == (43, (1.0, 2.0), (1.0, 3.0))
    assert made.usage.prompt_tokens == 46
    with pytest.raises(ContextOverflow, match=r"takes 1 to 16 tokens at once and input\[1\] has 17"):
        await provider.embed(EmbedRequest(("a", "x" * 17)))
    with pytest.raises(NotSupported, match="vectors of 2 numbers"):
        await provider.embed(EmbedRequest(("a",), dimensions=7))
    with pytest.raises(NotSupported, match="embedding model"):
        await reply(provider, asked())
    await provider.aclose()


async def test_an_engine_s_failure_is_told_and_the_next_request_tries_anew(
    local: LocalTransformers, loaded: list[FakeTorchModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failure(request: ChatRequest) -> JackfieldError:
        with pytest.raises(JackfieldError) as caught:
            await reply(local, request)
        return caught.value

    def fail(spec: TorchSpec) -> FakeTorchModel:
        raise ServiceFailed("it could not be loaded: no memory")

    with monkeypatch.context() as patch:
        patch.setattr(torch_model, "load", fail)
        assert isinstance(await failure(asked()), ServiceFailed)
    assert not transformers_engine.loans.engines
    assert (await reply(local, asked())).text == "pong"
    with monkeypatch.context() as patch:
        patch.setattr(loaded[-1], "write", None)
        assert "the engine failed with TypeError" in str(await failure(asked()))
    with monkeypatch.context() as patch:
        patch.setattr(model_threads, "MAX_WAITING", -1)
        assert isinstance(await failure(asked()), Overloaded)


@pytest.mark.parametrize(
    ("config", "param"),
    [
        ({"model": None}, "model"),
        ({"context_length": 0}, "context_length"),
        ({"dtype": "int8"}, "dtype"),
        ({"device": "tpu"}, "device"),
        ({"trust_remote": True}, "trust_remote"),
    ],
)
def test_bad_configs_are_named(config: dict[str, Any], param: str, tools: FakeTools) -> None:
    with pytest.raises(BadRequest) as caught:
        LocalTransformers.create({**CONFIG, **config}, tools)
    assert (caught.value.param, caught.value.provider) == (param, "local_transformers")


def test_foreign_code_is_run_only_where_the_config_says_so(tools: FakeTools, caplog: pytest.LogCaptureFixture) -> None:
    LocalTransformers.create(CONFIG, tools)
    assert "Python code" not in caplog.text
    LocalTransformers.create({**CONFIG, "trust_remote_code": True}, tools)
    assert "org/tiny may run Python code of its own" in caplog.text
    with pytest.raises(NotAllowed, match="switched off"):
        LocalTransformers.create({**CONFIG, "enabled": False}, tools)


@pytest.mark.behaviour("HTTP-12")
async def test_its_model_is_loaded_and_unloaded_by_name(
    local: LocalTransformers, loaded: list[FakeTorchModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await local.loaded_models() == ()
    await local.load_model("org/tiny", "cpu")
    assert [model.spec.device for model in loaded] == ["cpu"]
    (held,) = await local.loaded_models()
    assert (held.model, held.hardware, held.gpu_bytes) == ("org/tiny", "cpu", 0)
    await local.load_model("org/tiny")
    await local.load_model("org/tiny", "cpu")
    assert (await reply(local, asked())).text == "pong"
    assert len(loaded) == 1, "it was there already"
    await local.unload_model("org/tiny")
    assert (await local.loaded_models(), loaded[0].is_free) == ((), True)
    await local.unload_model("org/tiny")
    for refused in (local.load_model, local.unload_model):
        with pytest.raises(ModelNotFound):
            await refused("org/other")
    torch = SimpleNamespace(
        cuda=SimpleNamespace(is_available=lambda: False, device_count=lambda: 0), backends=SimpleNamespace(), version=None
    )
    monkeypatch.setattr(torch_model, "load_libraries", lambda: (torch, None))
    with pytest.raises(NotSupported, match="no cuda here") as lacking:
        await local.load_model("org/tiny", "cuda")
    assert lacking.value.param == "hardware"
