"""Judges the gateway by programs and libraries of others, and prints what each called and whether its answers were right.

Starts one real `jackfield up` on loopback with a scripted slot and, where the engines are, real llama-servers; then each
client's script once for each of these sources. How clients are installed is environments.py's business.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from environments import Client, Environments, InstallFailed, clients  # noqa: E402
from wire import Exchange, relay  # noqa: E402

from engine_servers import EMBED_MODEL, engines_folder, llama_server  # noqa: E402
from gateway_process import Up, jackfield_up  # noqa: E402

SCRIPT_WITHIN_S = 240
CITY = {"city": "Paris"}
REPLIES: list[dict[str, Any]] = [
    {"match": "weather", "tool_calls": [{"name": "get_weather", "arguments": CITY}]},
    {"match": "fill in final_result", "tool_calls": [{"name": "final_result", "arguments": CITY}]},
    {"match": "fill in City", "tool_calls": [{"name": "City", "arguments": CITY}]},
    {"match": "fill in final_answer", "tool_calls": [{"name": "final_answer", "arguments": {"answer": "pong"}}]},
    {"match": "generate a concise title", "text": json.dumps({"title": "Counting"})},
    {"match": "as JSON", "text": json.dumps(CITY)},
    {"match": "count to 5", "text": "1, 2, 3, 4, 5"},
    {"match": "ping", "text": "pong"},
]
"""What the scripted slot says: as the tiny model where that can say it, and the calls of tools that the model never learnt."""


@dataclass(frozen=True)
class Source:
    """Who answers: slots by the names that clients give as models."""

    name: str
    model: str
    embed_model: str


SCRIPTED = Source("scripted", "slot-0", "slot-0")
LLAMA = Source("llama-server", "slot-1", "slot-2")


@dataclass
class Verdict:
    """`called` is what went over the wire, with how often; `checks` those that were right; `wrong` what was not."""

    client: str
    version: str
    source: str
    called: dict[str, int] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return bool(self.checks) and not self.wrong


@contextlib.contextmanager
def gateway(folder: Path) -> Iterator[tuple[Up, list[Source]]]:
    """A running gateway, and the sources that are plugged into it."""
    slots: dict[int, dict[str, Any]] = {0: {"provider": "scripted", "config": {"replies": REPLIES}}}
    sources = [SCRIPTED]
    with contextlib.ExitStack() as servers:
        if (engines_folder() / "llama-server").exists():
            chat = servers.enter_context(llama_server(folder, "-c", "65536", "-np", "1", "--jinja"))
            (folder / "embed").mkdir()
            embed = servers.enter_context(llama_server(folder / "embed", "--embeddings", model=EMBED_MODEL, alias="tiny-embed"))
            slots[1] = {"provider": "llama-server", "config": {"base_url": chat.base_url, "max_tokens": 200}}
            slots[2] = {"provider": "llama-server", "config": {"base_url": embed.base_url}, "role": "embed"}
            sources.append(LLAMA)
        settings = {"discovery": {"enabled": False}, "plugins": False, "slots": slots}
        (folder / "jackfield.yaml").write_text(json.dumps(settings), encoding="utf-8")
        yield servers.enter_context(jackfield_up(folder)), sources


async def judged(client: Client, source: Source, environments: Environments, url: str, seen: list[Exchange]) -> Verdict:
    """Runs the client's script against one source."""
    verdict = Verdict(client.name, environments.version(client), source.name)
    already = len(seen)
    with tempfile.TemporaryDirectory(prefix="jackfield-client-", ignore_cleanup_errors=True) as home:
        told = {"GATEWAY": url, "MODEL": source.model, "EMBED_MODEL": source.embed_model, "SOURCE": source.name}
        environ = environments.environ(client, Path(home)) | told
        lines, trouble = await _said(environments.command(client), environ, home)
    for line in lines:
        if line["why"] is None:
            verdict.checks.append(line["check"])
        else:
            verdict.wrong[line["check"]] = line["why"]
    if trouble:
        verdict.wrong["script"] = trouble
    for exchange in seen[already:]:
        if exchange.status >= 500:
            verdict.wrong.setdefault("status", f"{exchange.told()}: {exchange.status}")
    verdict.called = dict(collections.Counter(exchange.told() for exchange in seen[already:]))
    return verdict


async def _said(command: list[str], environ: dict[str, str], folder: str) -> tuple[list[dict[str, Any]], str]:
    """The lines of a script, and what went wrong with it as a whole, if anything."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(SCRIPT_WITHIN_S):
            out, err = await process.communicate()
    except TimeoutError:
        return [], f"not done in {SCRIPT_WITHIN_S} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()
    lines = [json.loads(line) for line in out.decode().splitlines() if line.startswith('{"check"')]
    if process.returncode or not lines:
        return lines, f"ended with {process.returncode}: {err.decode(errors='replace')[-600:]}"
    return lines, ""


async def judge_all(wanted: list[Client], environments: Environments, show: Callable[[Verdict], None]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="jackfield-clients-") as folder:
        opened = gateway(Path(folder))
        up, sources = await asyncio.to_thread(opened.__enter__)
        try:
            seen: list[Exchange] = []
            async with relay(up.port, seen) as url:
                for client in wanted:
                    for verdict in await _both(client, sources, environments, url, seen):
                        verdicts.append(verdict)
                        show(verdict)
        finally:
            await asyncio.to_thread(opened.__exit__, *sys.exc_info())
    return verdicts


async def _both(
    client: Client, sources: list[Source], environments: Environments, url: str, seen: list[Exchange]
) -> list[Verdict]:
    try:
        await asyncio.to_thread(environments.make, client)
    except InstallFailed as error:
        return [Verdict(client.name, "-", "-", wrong={"install": str(error)})]
    return [await judged(client, source, environments, url, seen) for source in sources]


def show(verdict: Verdict) -> None:
    """One block of the table."""
    head = f"{verdict.client} {verdict.version}"
    result = "good" if verdict.is_good else "BAD"
    print(f"{head:<32} {verdict.source:<13} {result:<5} {', '.join(verdict.checks)}", flush=True)
    for call, count in verdict.called.items():
        print(f"    {count} x {call}")
    for check, why in verdict.wrong.items():
        print(f"    wrong: {check}: {why}")


def main() -> int:
    known = clients()
    parser = argparse.ArgumentParser(description="Judges the gateway by the programs and libraries of others.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="clients of clients.toml; all without any")
    parser.add_argument("--json", action="store_true", help="one JSON array instead of the table")
    parser.add_argument("--list", action="store_true", help="tell the names and do nothing")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(known))
        return 0
    if unknown := sorted(set(chosen.names) - set(known)):
        parser.error(f"no client is called {', '.join(unknown)}; known are {', '.join(known)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is stopped
    folder = Path(os.environ.get("JACKFIELD_CLIENTS", ROOT / ".cache/clients"))
    wanted = [known[name] for name in chosen.names or known]
    verdicts = asyncio.run(judge_all(wanted, Environments(folder), (lambda _: None) if chosen.json else show))
    if chosen.json:
        print(json.dumps([asdict(verdict) | {"good": verdict.is_good} for verdict in verdicts], indent=1))
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
