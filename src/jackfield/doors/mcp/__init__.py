"""The MCP door: jackfield's tools and slots for IDEs and agents, over streamable HTTP at /mcp and over stdio.

Importing this package, or `panel.py`, loads nothing of the MCP SDK (extra `[mcp]`); every other module here does. Whoever
mounts the door imports them inside `needs_sdk()`, with the first request that speaks MCP.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from jackfield.core.errors import MissingExtra

_PARTS = frozenset({"mcp", "mcp_types", "pydantic", "starlette", "sse_starlette"})


@contextmanager
def needs_sdk() -> Iterator[None]:
    """Turns the failing import of the SDK into a MissingExtra that names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PARTS:
            raise
        raise MissingExtra("MCP needs the MCP SDK, which is not installed: pip install 'jackfield[mcp]'") from None
