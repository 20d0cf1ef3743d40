"""What a client may read without calling a tool: the slots, one slot, the gateway's status. JSON, without secrets."""

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError

from jackfield.core.errors import JackfieldError
from jackfield.doors.mcp.answering import Ctx, panel_of, safe_json
from jackfield.doors.mcp.panel import McpPanel
from jackfield.doors.mcp.slot_tools import shown_slot

SLOTS = "jackfield://slots"
SLOT = "jackfield://slots/{number}"
STATUS = "jackfield://status"
JSON = "application/json"


def add_resources(server: "MCPServer[McpPanel]") -> None:
    server.resource(SLOTS, name="slots", title="All slots", mime_type=JSON)(read_slots)
    server.resource(SLOT, name="slot", title="One slot, by its number", mime_type=JSON)(read_slot)
    server.resource(STATUS, name="status", title="The gateway's status", mime_type=JSON)(read_status)


async def read_slots(ctx: Ctx) -> str:
    """Every slot, empty ones too."""
    panel = panel_of(ctx)
    return safe_json(panel.registry.list_slots(), panel.known_secrets())


async def read_slot(number: str, ctx: Ctx) -> str:
    """All that is known of one slot. Raises ResourceNotFoundError for a number that the panel does not have."""
    try:
        return safe_json(shown_slot(ctx, int(number)), panel_of(ctx).known_secrets())
    except (JackfieldError, ValueError):
        slots = len(panel_of(ctx).registry)
        raise ResourceNotFoundError(f"there is no such slot: numbers go from 0 to {slots - 1}") from None


async def read_status(ctx: Ctx) -> str:
    """What GET /status tells."""
    panel = panel_of(ctx)
    return safe_json(await panel.status(), panel.known_secrets())
