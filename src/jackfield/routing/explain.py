"""A decision in words and as JSON, and a bounded memory of the last ones: who was in, who was out, where and why.

Knows what came of a selection, not how it is made. Holds no prompts and no keys.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from jackfield.core.errors import (
    BudgetSpent,
    JackfieldError,
    ModeForbids,
    NoCapableProvider,
    Unavailable,
)
from jackfield.routing.candidates import STAGES, Selectable, Stage, label_of, name_of
from jackfield.routing.stages import Wish, model_for, why

C = TypeVar("C", bound=Selectable)

DECISIONS_MAX = 1000
LINES_IN_AN_ERROR = 8


class Exclusion(msgspec.Struct, frozen=True):
    """Why a candidate is out. `reason` is for a person. `is_passing`: it may be back in a moment without anybody's doing."""

    slot: int | None
    provider: str
    stage: Stage
    reason: str
    id: str = ""
    is_passing: bool = False

    @property
    def name(self) -> str:
        return self.id or f"slot-{self.slot}"


class Selection(msgspec.Struct, Generic[C], frozen=True):
    """`order`: whom to ask, first one first; empty when nobody is left. `wish` is what it was made for."""

    order: tuple[C, ...]
    exclusions: tuple[Exclusion, ...]
    policy: str
    wish: Wish = Wish()

    @property
    def chosen(self) -> C | None:
        return self.order[0] if self.order else None

    @property
    def model(self) -> str | None:
        """The model to ask the chosen one for; None leaves it to the source."""
        return None if self.chosen is None else model_for(self.chosen, self.wish)

    def explain(self) -> list[str]:
        """The decision, a line each: who was excluded at which stage and why, then who is asked in which order."""
        lines = [f"{out.stage}: {out.name} ({out.provider}) is out: {out.reason}" for out in self.exclusions]
        if not self.order:
            return [*lines, "nobody is left"]
        lines.append(f"balance: {self.policy} asks {label_of(self.order[0])} first{self._reason(self.order[0])}")
        return [*lines, *(f"fallback: then {label_of(candidate)}" for candidate in self.order[1:])]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON: {policy, stages, chosen, model, candidates: [{name, provider, slot, is_in, ...}]}, those in first."""
        return {
            "policy": self.policy,
            "stages": list(STAGES),
            "chosen": None if self.chosen is None else name_of(self.chosen),
            "model": self.model,
            "candidates": [
                *(self._seated(place, candidate) for place, candidate in enumerate(self.order)),
                *(_excluded(out) for out in self.exclusions),
            ],
        }

    def _seated(self, place: int, candidate: C) -> dict[str, Any]:
        return {
            "name": name_of(candidate),
            "provider": candidate.provider,
            "slot": candidate.slot,
            "is_in": True,
            "place": place,
            "stage": "fallback" if place else "balance",
            "reason": why(candidate, self.wish) or ("next if the one before fails" if place else f"policy {self.policy}"),
        }

    def _reason(self, candidate: C) -> str:
        said = why(candidate, self.wish)
        return f": {said}" if said else ""


def _excluded(out: Exclusion) -> dict[str, Any]:
    return {
        "name": out.name,
        "provider": out.provider,
        "slot": out.slot,
        "is_in": False,
        "stage": out.stage,
        "reason": out.reason,
    }


def refusal(selection: Selection[Any]) -> JackfieldError:
    """The error for a selection that left nobody: what the candidates that came furthest were excluded for."""
    exclusions = selection.exclusions
    furthest = max((STAGES.index(out.stage) for out in exclusions), default=-1)
    last = [out for out in exclusions if STAGES.index(out.stage) == furthest]
    shown = [f"{out.name} ({out.provider}): {out.reason}" for out in last[:LINES_IN_AN_ERROR]]
    if len(last) > len(shown):
        shown.append(f"and {len(last) - len(shown)} more")
    model = selection.wish.wanted_model
    about = "nobody can take this request" + (f" for the model {model}" if model else "")
    said = f"{about}: {'; '.join(shown) or 'nothing that could is plugged'}"
    if any(out.is_passing for out in last):
        return Unavailable(f"{said}. Try again, or plug another source", status=503)
    if furthest == STAGES.index("mode"):
        return ModeForbids(f"{said}. Allow it with the mode burst and consent, or plug a local source")
    if furthest == STAGES.index("budget"):
        return BudgetSpent(f"{said}. Raise the limit, or plug a free source")
    return NoCapableProvider(f"{said}. Plug a source that can, or ask for less", param="model")


class Explained(Protocol):
    """What a decision can be told from: a Selection's maker, asked only when somebody wants to know."""

    def selection(self) -> Selection[Any]: ...


class Decision:
    """One request's selection; `at` is Unix seconds. What came of it stands in the ledger."""

    __slots__ = ("at", "choice", "request_id")

    def __init__(self, request_id: str, choice: Explained, at: float) -> None:
        self.request_id = request_id
        self.choice = choice
        self.at = at

    def as_dict(self) -> dict[str, Any]:
        return {"request_id": self.request_id, "at": self.at, **self.choice.selection().as_dict()}


class Decisions:
    """The last decisions by request id, oldest forgotten first. Noting one costs a microsecond.

    Who was in or out is told as it was then; where the order hangs on queues or latencies, those behind the first that nobody
    asked for are told in the order of now.
    """

    def __init__(self, limit: int = DECISIONS_MAX, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._clock = clock
        self._kept: OrderedDict[str, Decision] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def note(self, request_id: str, choice: Explained) -> None:
        kept = self._kept
        kept.pop(request_id, None)
        if len(kept) >= self._limit:
            kept.popitem(last=False)
        kept[request_id] = Decision(request_id, choice, self._clock())

    def get(self, request_id: str) -> Decision | None:
        return self._kept.get(request_id)

    def recent(self, limit: int = 20) -> Sequence[Decision]:
        """The newest first."""
        return [decision for decision, _ in zip(reversed(self._kept.values()), range(limit), strict=False)]
