"""Commands that ask one source for what it does beside chat, without a gateway: against fakes on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import Live, Run
from jackfield.testing.fake_openai import FakePlatform


@pytest.fixture
def at(live: Live) -> Iterator[list[str]]:
    """Options that lead to a fake OpenAI of this machine."""
    opened: list[FakePlatform] = []

    async def open_fake() -> FakePlatform:
        return await FakePlatform().__aenter__()

    async def close_fake() -> None:
        await opened[0].__aexit__(None, None, None)

    opened.append(live.run(open_fake()))
    yield ["--provider", "openai", "--base-url", opened[0].base_url, "--api-key-env", "FAKE_KEY", "--yes"]
    live.run(close_fake())


@pytest.fixture
def keyed(environ: dict[str, str]) -> None:
    environ["FAKE_KEY"] = "key-of-the-fake"


pytestmark = pytest.mark.usefixtures("keyed")


def test_embed(jf: Run, at: list[str]) -> None:
    told = jf("embed", "one", "two", *at, "--json").json
    assert len(told["vectors"]) == 2
    assert len(told["vectors"][0]) == len(told["vectors"][1]) > 0
    assert "VECTOR" in jf("embed", "one", *at).out


@pytest.mark.behaviour("PROV-19")
def test_image(jf: Run, at: list[str], tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    told = jf("image", "a cat", "--out", str(file), *at, "--json").json
    assert len(told) == 1
    assert file.exists() or told[0]["url"]


@pytest.mark.behaviour("PROV-21")
def test_moderate(jf: Run, at: list[str]) -> None:
    (judged,) = jf("moderate", "hello", *at, "--json").json
    assert isinstance(judged["flagged"], bool)
    assert judged["categories"]
    assert "CATEGORIES" in jf("moderate", "hello", *at).out


def test_speak_and_transcribe(jf: Run, at: list[str], tmp_path: Path) -> None:
    file = tmp_path / "said.mp3"
    told = jf("speak", "hello", "--out", str(file), *at, "--json").json
    assert told["size_bytes"] == len(file.read_bytes()) > 0
    written = jf("transcribe", str(file), *at)
    assert written.out.strip()
    assert f"said.mp3: uploading {told['size_bytes']} bytes" in written.err


def test_finetune(jf: Run, at: list[str], tmp_path: Path) -> None:
    examples = tmp_path / "examples.jsonl"
    examples.write_text(json.dumps({"messages": []}) + "\n", encoding="utf-8")
    started = jf("finetune", "start", "gpt-4o-mini", str(examples), *at, "--json").json
    told = jf("finetune", "status", started["job"], *at, "--json").json
    assert told["status"]
    assert "examples.jsonl: uploading 17 bytes" in jf("finetune", "start", "gpt-4o-mini", str(examples), *at).err


def test_models_of_a_source(jf: Run, at: list[str]) -> None:
    told = jf("models", "info", "fake-model", *at, "--json").json
    assert told["id"] == "fake-model"
    unknown = jf("models", "info", "fake-modle", *at)
    assert unknown.code != 0
    assert "did you mean 'fake-model'" in unknown.err


def test_validate_says_whether_it_can_be_used(jf: Run, at: list[str]) -> None:
    options = at[2:]
    good = jf("providers", "validate", "openai", *options)
    assert (good.code, good.out.startswith("openai: ready")) == (0, True)
    bad = jf("providers", "validate", "openai", "--base-url", "http://127.0.0.1:9/v1", *options[2:], "--json")
    assert bad.code == 1
    assert bad.json["is_ready"] is False


@pytest.mark.parametrize(
    "words",
    [
        ("image", "x"),
        ("moderate", "x"),
        ("speak", "x"),
        ("models", "pull", "x"),
        ("models", "search", "x"),
        ("models", "delete", "x", "--yes"),
        ("finetune", "status", "x"),
    ],
    ids=lambda words: words[0] + words[1] if words[0] in ("models", "finetune") else words[0],
)
def test_a_source_that_cannot_says_so(jf: Run, words: tuple[str, ...]) -> None:
    said = jf(*words, "--provider", "scripted")
    assert said.code != 0
    assert "scripted cannot" in said.err
    assert "jackfield providers show scripted" in said.err


def test_without_a_provider_the_way_to_name_one_is_told(jf: Run) -> None:
    said = jf("embed", "x")
    assert said.code != 0
    assert "--provider" in said.err
