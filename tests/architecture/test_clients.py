"""scripts/clients/run judges what docs/clients.md tells of, and reads off the wire what went over it."""

import re
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from running_gateway import running_gateway
from source_tree import REPOSITORY

CLIENTS = REPOSITORY / "scripts/clients"
TABLES: dict[str, dict[str, Any]] = tomllib.loads((CLIENTS / "clients.toml").read_text(encoding="utf-8"))
PAGE = (REPOSITORY / "docs/clients.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| \[([\w-]+)\]\(#([\w-]+)\) \| .*\d.* \| `([\w.]+)` \| .+ \|$", re.MULTILINE)
PING: Any = [{"role": "user", "content": "ping"}]


def the_module(name: str) -> Any:
    """One of the runner's files, which are no package."""
    spec = spec_from_file_location(f"clients_{name}", CLIENTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_client_has_a_script_and_every_script_a_client() -> None:
    scripts = {str(path.relative_to(CLIENTS)) for folder in ("python", "node") for path in (CLIENTS / folder).iterdir()}
    assert {table["script"] for table in TABLES.values()} == {name for name in scripts if "__pycache__" not in name}


def test_every_client_has_a_row_and_a_section_in_the_docs() -> None:
    rows = {name: (section, script) for name, section, script in ROW.findall(PAGE)}
    assert {name: script for name, (_, script) in rows.items()} == {
        name: Path(table["script"]).name for name, table in TABLES.items()
    }
    sections = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)}
    assert {section for section, _ in rows.values()} == sections


@pytest.mark.parametrize("name", TABLES)
def test_every_client_is_asked_more_than_one_way(name: str) -> None:
    text = (CLIENTS / TABLES[name]["script"]).read_text(encoding="utf-8")
    assert len(re.findall(r"^\s*(?:@|await )check\(", text, re.MULTILINE)) >= (1 if name == "qwen-code" else 2)


async def test_the_wire_is_read_as_the_gateway_saw_it(tmp_path: Path) -> None:
    wire = the_module("wire")
    seen: list[Any] = []
    async with running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "scripted", replies=[{"text": "pong pong"}])
        async with wire.relay(gateway.port, seen) as url, AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            reply = await client.chat.completions.create(model="slot-0", messages=PING)
            stream = await client.chat.completions.create(model="slot-0", messages=PING, stream=True)
            assert [chunk.choices[0].delta.content or "" async for chunk in stream]
            await client.embeddings.create(model="slot-0", input=[1, 2])
    assert reply.choices[0].message.content == "pong pong"
    assert [(exchange.told(), exchange.status) for exchange in seen] == [
        ("POST /v1/chat/completions", 200),
        ("POST /v1/chat/completions +stream", 200),
        ("POST /v1/embeddings +base64 +token ids", 200),
    ]
