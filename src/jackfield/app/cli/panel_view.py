"""Shows slots to a person: one row each, a full dot for what answers, an empty one with the reason for what does not.

Knows the shape of the control API's slots; asks nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.app.cli import output
from jackfield.app.cli.output import BAD, GOOD, WARN, Cell

COLUMNS = ("SLOT", "NAME", "PROVIDER", "MODEL", "STATE")
Row = Mapping[str, Any]


def show(slots: Sequence[Row], *, with_empty: bool = False, to_stderr: bool = False) -> None:
    """A table of slots; empty ones only where asked for, counted otherwise."""
    shown = [slot for slot in slots if with_empty or slot["state"] != "empty"]
    output.table(COLUMNS, [_cells(slot) for slot in shown], to_stderr=to_stderr)
    left_out = len(slots) - len(shown)
    if left_out and not to_stderr:
        output.note(f"{left_out} empty slot{'s' if left_out > 1 else ''} not shown (--all)")


def _cells(slot: Row) -> list[str]:
    return [
        str(slot["number"]),
        str(slot["name"]),
        str(slot.get("provider") or "-"),
        model(slot) or "-",
        state(slot),
    ]


def model(slot: Row) -> str | None:
    """The model that answers for the slot: the one it was given, else the one its source plays unasked; None if unknown."""
    unasked = ((slot.get("live") or {}).get("capabilities") or {}).get("default_model")
    return slot.get("model") or unasked


def state(slot: Row) -> Cell:
    """ "● ready", "○ not reachable: start it ..." or "empty"."""
    if slot["state"] == "empty":
        return Cell("empty")
    if slot["state"] != "plugged":
        return Cell.of(f"○ {slot.get('problem') or slot['state']}", BAD)
    standing = (slot.get("live") or {}).get("standing") or {}
    if standing.get("is_ready") is False or slot.get("problem"):
        return Cell.of(f"○ {slot.get('problem') or standing.get('detail') or 'not ready'}", WARN)
    return Cell.of("● ready", GOOD)


def details(slot: Row) -> None:
    """Everything about one slot, a line each."""
    live = slot.get("live") or {}
    facts: dict[str, Any] = {
        "slot": slot["number"],
        "name": slot["name"],
        "model id": slot.get("model_id"),
        "provider": slot.get("provider"),
        "model": model(slot),
        "role": slot.get("role"),
        "state": state(slot),
        "sends to": ", ".join(live.get("hosts") or ()) or ("this process only" if live else None),
        "simulated": "yes: no model makes these answers" if live.get("is_simulated") else None,
        "in flight": live.get("in_flight"),
        **{f"config {key}": value for key, value in (slot.get("config") or {}).items()},
        **{key: value for key, value in (slot.get("generation") or {}).items() if value is not None},
    }
    output.facts({name: value for name, value in facts.items() if value is not None})
