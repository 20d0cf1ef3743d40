"""`jackfield models ...` at an Ollama server, without a gateway: a fake of it on this machine."""

from collections.abc import Iterator

import pytest

from command_line import Live, Run
from jackfield.testing.fake_ollama import FakeOllama


@pytest.fixture
def fake(live: Live) -> Iterator[FakeOllama]:
    server = FakeOllama()

    async def start() -> None:
        await server.__aenter__()

    live.run(start())
    yield server
    live.run(server.stop())


@pytest.fixture
def at(fake: FakeOllama) -> list[str]:
    return ["--provider", "ollama", "--base-url", fake.root_url]


@pytest.mark.behaviour("LOCL-13", "LOCL-14", "LOCL-15")
def test_a_model_is_pulled_described_and_deleted(jf: Run, fake: FakeOllama, at: list[str]) -> None:
    pulled = jf("models", "pull", "llama3.2", *at)
    assert pulled.code == 0
    assert "llama3.2: verifying sha256 digest" in pulled.err
    told = jf("models", "info", "llama3.2:latest", *at, "--json").json
    assert (told["size_bytes"], told["quantization"]) == (2_019_393_189, "Q4_K_M")
    assert jf("models", "delete", "llama3.2", *at, "--yes").code == 0
    assert set(fake.models) == {"fake-model:latest"}
    again = jf("models", "delete", "llama3.2", *at, "--yes")
    assert again.code != 0
    assert "model 'llama3.2' not found" in again.err
    failed = jf("models", "pull", "nope", *at)
    assert failed.code != 0
    assert "pull model manifest: file does not exist" in failed.err
