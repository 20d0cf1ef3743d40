"""Hugging Face models in this process, for real: PyTorch on the CPU, the tiny trained model and random ones."""

import asyncio
import gc
import shutil
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine_servers import EMBED_MODEL
from jackfield.core.errors import NotAllowed, ServiceFailed
from jackfield.core.events import ChatReply, Started, TextDelta, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation
from jackfield.providers.local_llama import LocalLlama
from jackfield.providers.local_transformers import LocalTransformers
from jackfield.testing.conformance import LAWS, Subject, check_law
from jackfield.testing.tools import FakeTools, provider_tools
from torch_models import EMBEDDER, SMALL, TRAINED, libraries, random_model, with_own_code

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True, scope="module")
def _libraries() -> None:
    libraries()


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools(models_dir=str(TRAINED.parent)) as made:
        yield made


@pytest.fixture
async def tiny(tools: FakeTools) -> AsyncIterator[LocalTransformers]:
    made = LocalTransformers.create({"model": "tiny-hf", "device": "cpu"}, tools)
    yield made
    await made.aclose()


def asked(text: str, *more: Any, **generation: Any) -> ChatRequest:
    return ChatRequest((text_message("user", text), *more), generation=Generation(**generation), stream=True)


async def reply(provider: LocalTransformers, request: ChatRequest) -> ChatReply:
    async with asyncio.timeout(60), provider.open(request) as events:
        return await fold(events)


@pytest.mark.behaviour("LOCL-01", "LOCL-02")
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("ping", "pong"),
        ("Count to 5", "1, 2, 3, 4, 5"),
        ("What is the capital of France?", "The capital of France is Paris."),
        ("say something in unicode", "héllo – 你好 🙂 done"),
    ],
)
async def test_a_model_from_the_disk_answers_with_no_network(tiny: LocalTransformers, question: str, answer: str) -> None:
    said = await reply(tiny, asked(question, max_tokens=60))
    assert (said.text, said.finish_reason, said.model) == (answer, "stop", "tiny-hf")
    assert said.usage is not None
    assert said.usage.prompt_tokens > 8
    assert said.usage.completion_tokens > 1


@pytest.mark.parametrize("law", sorted(LAWS))
async def test_it_keeps_every_law(law: str, tools: FakeTools) -> None:
    make = lambda: LocalTransformers.create({"model": "tiny-hf"}, tools)  # noqa: E731
    await check_law(law, LAWS[law], Subject(make, keeps_limits=True))


async def test_stop_strings_limits_and_continuations(tiny: LocalTransformers) -> None:
    stopped = await reply(tiny, asked("Count to 20", stop=(" 7",)))
    assert (stopped.text, stopped.finish_reason) == ("1, 2, 3, 4, 5, 6,", "stop")
    cut = await reply(tiny, asked("Count to 20", max_tokens=5))
    assert (cut.text, cut.finish_reason) == ("1, 2, 3", "length")
    more = await reply(tiny, asked("Count to 9", text_message("assistant", "1, 2, 3,")))
    assert more.text == " 4, 5, 6, 7, 8, 9"


async def test_a_seed_gives_the_same_text_again_and_choices_can_be_narrowed(tools: FakeTools, tmp_path: Path) -> None:
    provider = LocalTransformers.create({"model": str(random_model(tmp_path / "m", "Llama", SMALL))}, tools)

    async def text(**generation: Any) -> str:
        return (await reply(provider, asked("the fox", max_tokens=24, **generation))).text

    wild = await text(temperature=2.0, seed=1)
    assert await text(temperature=2.0, seed=1) == wild
    assert await text(temperature=2.0, seed=2) != wild
    best = await text(temperature=0.0)
    assert await text(temperature=2.0, top_k=1) == best
    assert await text(temperature=2.0, top_p=0.0) == best
    assert await text(temperature=0.0, frequency_penalty=2.0) != best
    await provider.aclose()


async def test_leaving_stops_the_model_within_a_token(tools: FakeTools, tmp_path: Path) -> None:
    folder = random_model(tmp_path / "m", "Llama", {**SMALL, "max_position_embeddings": 4096})
    provider = LocalTransformers.create({"model": str(folder), "context_length": 4096}, tools)
    await reply(provider, asked("x", max_tokens=1))
    assert provider._engine is not None
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    watch = provider._engine.model._model.register_forward_hook(count)
    async with provider.open(asked("the quick", max_tokens=4000)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
        seen = steps
    assert steps <= seen + 1
    assert provider._engine.threads.busy == 0
    watch.remove()
    await provider.aclose()


async def test_closing_frees_the_model(tools: FakeTools) -> None:
    provider = LocalTransformers.create({"model": "tiny-hf", "dtype": "bfloat16"}, tools)
    await reply(provider, asked("ping", max_tokens=2))
    assert provider._engine is not None
    model = weakref.ref(provider._engine.model._model)
    assert model() is not None
    await provider.aclose()
    gc.collect()
    assert model() is None


@pytest.mark.behaviour("LOCL-01")
async def test_a_model_in_the_hub_s_cache_is_found_by_its_name(tools: FakeTools, tmp_path: Path) -> None:
    kept = tmp_path / "models--org--tiny"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs/main").write_text("abc", encoding="utf-8")
    shutil.copytree(TRAINED, kept / "snapshots/abc")
    provider = LocalTransformers.create({"model": "org/tiny", "cache_dir": str(tmp_path)}, tools)
    assert (await reply(provider, asked("ping"))).text == "pong"
    await provider.aclose()


async def test_its_vectors_are_those_of_llama_cpp(tools: FakeTools) -> None:
    texts = ("one two", "three", "a longer one than the others")
    provider = LocalTransformers.create({"model": EMBEDDER.name, "embedding": True}, tools)
    other = LocalLlama.create({"model": str(EMBED_MODEL), "embedding": True, "threads": 1, "context_length": 128}, tools)
    ours, theirs = await provider.embed(EmbedRequest(texts)), await other.embed(EmbedRequest(texts))
    assert ours.usage.prompt_tokens == theirs.usage.prompt_tokens
    for one, two in zip(ours.vectors, theirs.vectors, strict=True):
        assert sum(a * b for a, b in zip(one, two, strict=True)) == pytest.approx(1.0, abs=1e-4)
    await provider.aclose()
    await other.aclose()


async def test_foreign_code_runs_only_where_it_is_trusted(tools: FakeTools, tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    folder = with_own_code(tmp_path / "foreign", marker)
    provider = LocalTransformers.create({"model": str(folder)}, tools)
    with pytest.raises(NotAllowed, match="trust_remote_code: true if you trust"):
        await reply(provider, asked("x", max_tokens=2))
    await provider.aclose()
    assert not marker.exists()
    trusting = LocalTransformers.create({"model": str(folder), "trust_remote_code": True}, tools)
    assert (await reply(trusting, asked("x", max_tokens=2))).finish_reason == "length"
    assert marker.exists()
    await trusting.aclose()


async def test_a_damaged_model_is_told(tools: FakeTools, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(TRAINED, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    provider = LocalTransformers.create({"model": str(folder)}, tools)
    with pytest.raises(ServiceFailed, match=r"damaged could not be loaded .* is its folder whole"):
        await reply(provider, asked("x"))
    await provider.aclose()


async def test_a_model_without_a_template_goes_on_after_plain_text(tools: FakeTools, tmp_path: Path) -> None:
    provider = LocalTransformers.create({"model": str(random_model(tmp_path / "m", "Llama", SMALL, template=None))}, tools)
    async with provider.open(asked("the fox", max_tokens=4)) as events:
        told = [event.extra["warnings"] async for event in events if isinstance(event, Started)]
    assert "has no chat template" in told[0][0]
    await provider.aclose()
