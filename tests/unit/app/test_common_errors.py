"""The errors that a person meets first: a missing extra, a missing or wrong key, a server that was not started."""

import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from jackfield.app.doctoring import machine
from jackfield.app.settings_tree import TraceSettings
from jackfield.app.tracing import traces_of
from jackfield.core.contracts import Provider
from jackfield.core.errors import AuthFailed, MissingExtra, Unavailable
from jackfield.core.events import fold
from jackfield.core.messages import text_message
from jackfield.core.modes import OperatingMode
from jackfield.core.requests import ChatRequest
from jackfield.providers import torch_model
from jackfield.providers.litellm import load_litellm
from jackfield.providers.llama_engine import load_binding
from jackfield.providers.mcp_tool import McpTool
from jackfield.providers.openai_compatible import preset_type
from jackfield.providers.presets import load_presets
from jackfield.providers.registry import load_registrar
from jackfield.providers.websocket import WebSocketSource
from jackfield.routing.semantic_cache import SemanticCache, SemanticSettings
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import FakeTools, provider_tools

REPOSITORY = Path(__file__).parents[3]
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
OPTIONAL = {
    name for name, needs in EXTRAS.items() if name != "dev" and not all(need.startswith("jackfield[") for need in needs)
}
"""Extras that bring something of their own: not those that are another's second name."""
PRESETS = load_presets()
CARDS = {card.id: card for card in load_registrar(plugins=False).cards()}
KEYED = sorted(row for row in PRESETS if CARDS[row].needs_key)
HINTED = sorted(row for row in PRESETS if CARDS[row].hint)

WITHOUT_EXTRAS = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    sys.modules[name] = None
import jackfield
for found in pkgutil.walk_packages(jackfield.__path__, "jackfield."):
    if not found.name.startswith(("jackfield.testing", *FOR_AN_EXTRA)):
        importlib.import_module(found.name)
"""
FOR_AN_EXTRA = (
    "jackfield.app.doctoring.websocket",
    "jackfield.app.websocket_protocol",
    "jackfield.doors.mcp.",
    "jackfield.websocket_client",
)
"""Modules that are worth nothing without one extra, loaded when they are asked for."""


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:K": "a-key"}) as made:
        yield made


async def answer(provider: Provider) -> Any:
    async with provider.open(ChatRequest((text_message("user", "ping"),), model="fake-model")) as events:
        return await fold(events)


@pytest.mark.behaviour("ERR-06")
def test_every_module_can_be_imported_without_any_extra() -> None:
    blocked = sorted({module.split(".")[0] for modules in machine.EXTRAS.values() for module in modules})
    code = f"FOR_AN_EXTRA = {FOR_AN_EXTRA}\n{WITHOUT_EXTRAS}"
    done = subprocess.run([sys.executable, "-c", code, *blocked], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


async def trace(_: FakeTools) -> None:
    traces_of(TraceSettings(enabled=True), OperatingMode.LOCAL_ONLY)


async def play_here(_: FakeTools) -> None:
    load_binding()


async def ask_a_tool(tools: FakeTools) -> None:
    await answer(McpTool.create({"command": ["no-such-server"], "tool": "ask", "hosts": []}, tools))


async def ask_a_socket(tools: FakeTools) -> None:
    await answer(WebSocketSource.create({"url": "ws://127.0.0.1:9/ws"}, tools))


async def compare_meanings(_: FakeTools) -> None:
    async def nothing(_: str) -> list[float]:
        return []

    SemanticCache(SemanticSettings(), nothing, time.monotonic)


async def ask_the_library(_: FakeTools) -> None:
    load_litellm()


async def load_transformers(_: FakeTools) -> None:
    torch_model.load_libraries()


USES: dict[str, Callable[[FakeTools], Awaitable[None]]] = {
    "local": play_here,
    "transformers": load_transformers,
    "otel": trace,
    "mcp": ask_a_tool,
    "ws": ask_a_socket,
    "semantic": compare_meanings,
    "litellm": ask_the_library,
}
"""What cannot be done without an extra. Without `schema` nothing fails: answers are not checked, and say so."""


def block(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra's modules were not installed, nor anything below them."""
    for module in machine.EXTRAS[extra]:
        for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.behaviour("ERR-06")
@pytest.mark.parametrize("extra", USES)
async def test_what_needs_an_extra_that_is_missing_names_it(
    extra: str, tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    block(extra, monkeypatch)
    with pytest.raises(MissingExtra) as caught:
        await USES[extra](tools)
    assert "pip install" in caught.value.message
    assert f"jackfield[{extra}]" in caught.value.message


@pytest.mark.behaviour("ERR-06")
@pytest.mark.parametrize("extra", sorted(OPTIONAL))
def test_the_doctor_names_every_extra_that_is_missing(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(machine.EXTRAS) == OPTIONAL
    assert set(USES) == OPTIONAL - {"schema"}
    block(extra, monkeypatch)
    around: Any = None
    check = machine.extras(around)
    assert extra in check.detail.partition("not installed: ")[2].split(", ")
    assert "pip install 'jackfield[" in check.fix


@pytest.mark.behaviour("ERR-07")
@pytest.mark.parametrize("row", [row for row in KEYED if CARDS[row].default_url])
def test_a_missing_key_is_told_with_its_variable(row: str) -> None:
    with pytest.raises(AuthFailed) as caught:
        preset_type(PRESETS[row]).create({}, FakeTools(None))
    assert CARDS[row].key_env[0] in caught.value.message


@pytest.mark.behaviour("ERR-07")
@pytest.mark.parametrize("row", KEYED)
async def test_a_key_that_is_refused_is_auth_failed(row: str, tools: FakeTools) -> None:
    async with FakeOpenAI(["fake-model"], require_key="another") as fake:
        provider = cast("Provider", preset_type(PRESETS[row]).create({"base_url": fake.root_url, "api_key": "env:K"}, tools))
        with pytest.raises(AuthFailed) as caught:
            await answer(provider)
    assert caught.value.provider == row
    assert "a-key" not in str(caught.value)


@pytest.mark.behaviour("ERR-08")
@pytest.mark.parametrize("row", HINTED)
async def test_a_refused_connection_is_told_with_how_to_start_that_provider(row: str, tools: FakeTools) -> None:
    async with FakeOpenAI() as fake:
        gone = fake.root_url
    provider = cast("Provider", preset_type(PRESETS[row]).create({"base_url": gone, "api_key": "env:K"}, tools))
    with pytest.raises(Unavailable) as caught:
        await answer(provider)
    hint = CARDS[row].hint
    assert hint
    assert hint in caught.value.message
