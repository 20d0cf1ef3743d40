"""llama.cpp's program as a source: which arguments it gets for which settings, old builds and new, and how its text becomes
an answer. The program is a fake that shows what it was given; tests/engines has the real one."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jackfield.core.errors import BadRequest, ModelNotFound, NotSupported, Unavailable
from jackfield.core.events import ChatReply, Started, TextDelta, fold
from jackfield.core.messages import text_message
from jackfield.core.requests import ChatRequest, Generation, Tool
from jackfield.providers.llama_direct import ARGUMENT_MAX_BYTES, BitnetDirect, LlamaDirect
from jackfield.testing.tools import FakeTools, provider_tools

MODEL = Path(__file__).parents[3] / "src/jackfield/app/demo/tiny-llm.gguf"
NASTY = "say \"hi\"; rm -rf $HOME `id` 'x'\n--flag\n$(reboot) \\n end"
NEW_HELP = """-m -t -c -ngl -n --temp --top-p --top-k --seed --frequency-penalty --presence-penalty -ctk -ctv -sys -p -f
-cnv -st --jinja -fa,   --flash-attn [on|off|auto]       set Flash Attention use
--no-display-prompt --simple-io --no-escape --no-warmup"""
OLD_HELP = "-m -t -c -ngl -n --temp -p -f -fa, --flash-attn enable Flash Attention -cnv"
BODY = """
import json, sys
if "--help" in sys.argv:
    print(HELP)
    sys.exit()
given = sys.argv[1:]
if "-f" in given:
    given.append(open(given[given.index("-f") + 1]).read())
sys.stdout.write(json.dumps(given) + " [end of text]\\n\\n\\n")
"""


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
async def tools(tmp_path: Path) -> AsyncIterator[FakeTools]:
    program(tmp_path, "llama-completion", f"HELP = {NEW_HELP!r}\n{BODY}")
    async with provider_tools(models_dir=str(MODEL.parent)) as made:
        made.environ = {"PATH": str(tmp_path), "OPENAI_API_KEY": "not yours"}
        yield made


async def answered(provider: LlamaDirect, text: str = "ping", **request: Any) -> ChatReply:
    async with asyncio.timeout(20), provider.open(ChatRequest((text_message("user", text),), **request)) as events:
        return await fold(events)


async def given_to(tools: FakeTools, text: str = "ping", **config: Any) -> list[str]:
    provider = LlamaDirect.create({"model": str(MODEL), **config}, tools)
    given: list[str] = json.loads((await answered(provider, text)).message.text)
    return given


def value(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


@pytest.mark.behaviour("LOCL-03")
async def test_the_prompt_is_one_argument_and_no_shell_sees_it(tools: FakeTools) -> None:
    argv = await given_to(tools, NASTY)
    assert value(argv, "-p") == NASTY
    assert value(argv, "-m") == str(MODEL)
    assert "--no-escape" in argv


@pytest.mark.behaviour("LOCL-05")
async def test_layers_and_threads(tools: FakeTools) -> None:
    argv = await given_to(tools, default_gpu_layers=999, default_threads=24)
    assert (value(argv, "-ngl"), value(argv, "-t")) == ("999", "24")
    plain = await given_to(tools)
    assert value(plain, "-t") == str(os.cpu_count())
    assert "-ngl" not in plain


@pytest.mark.behaviour("LOCL-06")
async def test_flash_attention_as_the_build_knows_it(tools: FakeTools, tmp_path: Path) -> None:
    assert value(await given_to(tools, flash_attention=True), "-fa") == "on"
    assert "-fa" not in await given_to(tools)
    program(tmp_path, "llama-completion", f"HELP = {OLD_HELP!r}\n{BODY}")
    old = await given_to(tools, flash_attention=True)
    assert value(old, "-fa") != "on"
    program(tmp_path, "llama-completion", f"HELP = '-m -t -p -f'\n{BODY}")
    provider = LlamaDirect.create({"model": str(MODEL), "flash_attention": True}, tools)
    async with provider.open(ChatRequest((text_message("user", "x"),))) as events:
        first = await anext(events)
    assert isinstance(first, Started)
    assert "-fa is not known to this build of llama.cpp: left out" in first.extra["warnings"]


@pytest.mark.behaviour("LOCL-07")
async def test_the_cache_s_types(tools: FakeTools) -> None:
    argv = await given_to(tools, cache_type_k="q8_0", cache_type_v="q8_0")
    assert (value(argv, "-ctk"), value(argv, "-ctv")) == ("q8_0", "q8_0")
    assert {"-ctk", "-ctv"}.isdisjoint(await given_to(tools))
    with pytest.raises(BadRequest, match="cache_type_k is one of"):
        LlamaDirect.create({"model": "x", "cache_type_k": "q99"}, tools)


@pytest.mark.behaviour("LOCL-10", "PARM-08")
async def test_a_context_beyond_what_the_model_was_trained_for_warns(tools: FakeTools) -> None:
    provider = LlamaDirect.create({"model": str(MODEL), "ctx_size": 262144}, tools)
    assert provider.capabilities.max_context == 262144
    async with provider.open(ChatRequest((text_message("user", "x"),))) as events:
        first = await anext(events)
        text = "".join([event.text async for event in events if isinstance(event, TextDelta)])
    assert value(json.loads(text), "-c") == "262144"
    assert isinstance(first, Started)
    assert "context_length 262144 is more than the" in first.extra["warnings"][0]


@pytest.mark.behaviour("LOCL-11")
async def test_system_prompt_and_chunks_before_the_end(tools: FakeTools, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    body = f"HELP = {NEW_HELP!r}\n" + BODY.split("given =", maxsplit=1)[0]
    body += f"print(sys.argv[sys.argv.index('-sys') + 1], flush=True)\nopen({str(gate)!r}).read()\nprint('later [end of text]')"
    program(tmp_path, "llama-completion", body)
    provider = LlamaDirect.create({"model": str(MODEL)}, tools)
    asked = ChatRequest((text_message("system", "Be brief."), text_message("user", "x")))
    async with asyncio.timeout(20), provider.open(asked) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                assert event.text == "Be brief."
                break
        gate.write_text("go")
        rest = "".join([event.text async for event in events if isinstance(event, TextDelta)])
    assert rest == "\nlater"


async def test_a_long_prompt_goes_through_a_file_that_is_gone_afterwards(tools: FakeTools) -> None:
    argv = await given_to(tools, "x" * (ARGUMENT_MAX_BYTES + 1))
    assert len(argv[-1]) == ARGUMENT_MAX_BYTES + 1
    assert not Path(value(argv, "-f")).exists()


async def test_names_resolve_in_the_models_folder_and_not_beyond(tools: FakeTools) -> None:
    assert value(await given_to(tools, model="tiny-llm"), "-m") == str(MODEL)
    with pytest.raises(BadRequest, match="leads out"):
        await answered(LlamaDirect.create({"model": "../tiny-llm"}, tools))
    with pytest.raises(ModelNotFound):
        await answered(LlamaDirect.create({"model": "nobody"}, tools))


async def test_what_it_cannot_do_is_refused_or_named(tools: FakeTools) -> None:
    provider = LlamaDirect.create({"model": str(MODEL)}, tools)
    with pytest.raises(NotSupported):
        await answered(provider, tools=(Tool("f"),))
    asked = ChatRequest((text_message("user", "x"),), generation=Generation(stop=("x",)))
    async with provider.open(asked) as events:
        first = await anext(events)
    assert isinstance(first, Started)
    assert "stop is not passed on" in first.extra["warnings"][0]


@pytest.mark.parametrize("kind", [LlamaDirect, BitnetDirect])
async def test_a_missing_program_says_how_to_get_it(tools: FakeTools, tmp_path: Path, kind: type[LlamaDirect]) -> None:
    (tmp_path / "llama-completion").unlink()
    provider = kind.create({"model": str(MODEL)}, tools)
    assert kind.card.hint is not None
    assert kind.card.hint in (await provider.probe()).detail
    with pytest.raises(Unavailable, match="is not on the PATH"):
        await answered(provider)
