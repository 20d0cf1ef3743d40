"""Nothing below app/ opens a connection but the two files that ask the gate for the address first."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "src" / "jackfield"
OPENERS = {
    "create_connection", "create_unix_connection", "open_connection", "open_unix_connection", "create_datagram_endpoint",
    "sock_connect", "connect_ex", "urlopen", "AsyncClient", "AsyncHTTPTransport", "HTTPConnection", "HTTPSConnection",
}  # fmt: skip
ASK_THE_GATE = {"transport/connecting.py", "transport/gated.py", "transport/reach.py", "transport/web.py"}


def openers(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in OPENERS:
            yield name


@pytest.mark.behaviour("EGRESS-01")
def test_only_files_that_ask_the_gate_open_connections() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        # app/ holds the command line, a client of the gateway, and testing/ is not part of a running gateway
        if not place.startswith(("app/", "testing/")) and list(openers(path.read_text(encoding="utf-8"))):
            found.add(place)
    assert found == ASK_THE_GATE


@pytest.mark.parametrize("place", sorted(ASK_THE_GATE))
def test_those_files_ask(place: str) -> None:
    assert "gate.addresses(" in (PACKAGE / place).read_text(encoding="utf-8")
