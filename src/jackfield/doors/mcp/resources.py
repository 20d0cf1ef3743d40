"""What a client may read without calling a tool: the slots, one slot, the gateway's status. JSON, without secrets."""

from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError

from jackfield.core.errors import JackfieldError
from jackfield.doors.mcp.answering import safe_json
from jackfield.doors.mcp.panel import McpPanel
from jackfield.doors.mcp.slot_tools import shown_slot

SLOTS = "jackfield://slots"
SLOT = "jackfield://slots/{number}"
STATUS = "jackfield://status"
JSON = "application/json"


class Resources:
    """The SDK hands no context to a resource with a fixed address, so the panel is held here."""

    def __init__(self, panel: McpPanel) -> None:
        self._panel = panel

    def add_to(self, server: "MCPServer[McpPanel]") -> None:
        server.resource(SLOTS, name="slots", title="All slots", mime_type=JSON)(self.slots)
        server.resource(SLOT, name="slot", title="One slot, by its number", mime_type=JSON)(self.slot)
        server.resource(STATUS, name="status", title="The gateway's status", mime_type=JSON)(self.status)

    async def slots(self) -> str:
        """Every slot, empty ones too."""
        return self._shown(self._panel.registry.list_slots())

    async def slot(self, number: str) -> str:
        """All that is known of one slot."""
        try:
            return self._shown(shown_slot(self._panel, int(number)))
        except (JackfieldError, ValueError):
            last = len(self._panel.registry) - 1
            raise ResourceNotFoundError(f"there is no such slot: numbers go from 0 to {last}") from None

    async def status(self) -> str:
        """What GET /status tells."""
        return self._shown(await self._panel.status())

    def _shown(self, facts: Any) -> str:
        return safe_json(facts, self._panel.known_secrets())
