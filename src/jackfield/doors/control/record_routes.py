"""The routes of what was recorded and is in force: the ledger and the settings. Reads only."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar.params import QueryParameter

from jackfield.core.errors import NotFound
from jackfield.doors.control.given import Held, look
from jackfield.doors.control.panel import ControlPanel
from jackfield.doors.control.refusals import OF_NAMED
from jackfield.gateway.masking import masked_config
from jackfield.store.ledger import LedgerRepository, LedgerRow, LedgerTotals

MAX_ROWS = 10_000


class Ledger(msgspec.Struct, frozen=True):
    """The newest rows first, and the sums over all of them. `lost` rows could not be written."""

    rows: tuple[LedgerRow, ...]
    totals: LedgerTotals
    lost: int


@look("/ledger", summary="What was asked, of whom, how it ended", responses=OF_NAMED)
async def show_ledger(
    panel: Held,
    limit: Annotated[int, QueryParameter(ge=0, le=MAX_ROWS, description="How many rows, newest first.")] = 100,
) -> Ledger:
    if panel.ledger is None:
        raise NotFound("this gateway keeps no ledger: set ledger.enabled to true and start it again", code="no_ledger")
    return await asyncio.to_thread(_read, panel, panel.ledger, limit)


@look("/settings", summary="The settings in force")
async def show_settings(panel: Held) -> dict[str, Any]:
    return masked_config(panel.settings(), panel.secrets.known_values())


def _read(panel: ControlPanel, ledger: LedgerRepository, limit: int) -> Ledger:
    if panel.journal is not None:
        panel.journal.rotate_and_replay(ledger)
    lost = 0 if panel.journal is None else panel.journal.lost
    return Ledger(tuple(ledger.recent(limit)), ledger.totals(), lost)


RECORD_ROUTES = [show_ledger, show_settings]
