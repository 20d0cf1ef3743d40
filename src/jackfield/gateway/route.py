"""Where a request may go: the targets in the order in which to try them, and which of them are left.

Siblings have the model that was asked for; fallbacks are other names that the settings allow instead. Holds no connection.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from jackfield.core.errors import JackfieldError
from jackfield.routing.attempts import needs_larger_context
from jackfield.routing.backends import Backend
from jackfield.routing.breaker import BreakerState
from jackfield.slots.slot import Binding


class Target(NamedTuple):
    """One place to try. `model` None leaves the choice to the slot."""

    slot: int
    binding: Binding
    model: str | None
    backend: Backend
    is_fallback: bool = False


class Route:
    """`targets` best first, never empty; `others` gives those after them, and is asked only when one of them is needed."""

    __slots__ = ("_left", "_others", "first")

    def __init__(self, targets: Sequence[Target], others: Callable[[], Iterable[Target]] | None = None) -> None:
        self.first = targets[0]
        self._left = list(targets[1:])
        self._others = others

    @property
    def has_others(self) -> bool:
        return bool(self._left) or self._others is not None

    def left(self, error: JackfieldError, failed: Target) -> tuple[list[Target], list[Target]]:
        """Siblings and fallbacks that may be asked now, after `failed` answered with `error`."""
        return _parted(target for target in self._usable(error, failed) if not target.backend.breaker.is_resting)

    def back_soon(self, error: JackfieldError, failed: Target) -> tuple[list[Target], list[Target]]:
        """Siblings and fallbacks that may be asked too, but only after a short rest."""
        return _parted(target for target in self._usable(error, failed) if target.backend.breaker.is_resting)

    def _usable(self, error: JackfieldError, failed: Target) -> list[Target]:
        self._look()
        usable = [target for target in self._left if target.backend.is_routable]
        return [target for target in usable if _is_larger(target, failed)] if needs_larger_context(error) else usable

    def sibling(self) -> Target | None:
        """The next who has the model and is well: routable, and with a circuit that lets everybody through."""
        self._look()
        return next((target for target in self._left if not target.is_fallback and _is_well(target.backend)), None)

    def resting(self) -> list[Target]:
        """Those who are left and may not be asked now."""
        self._look()
        return [target for target in self._left if target.backend.breaker.is_resting]

    def swap(self, taken: Target, given: Target) -> Target:
        """Takes one and puts another back in its place."""
        self._left[self._left.index(taken)] = given
        return taken

    def only(self, may: Callable[[Target], bool]) -> "Route | None":
        """Those for whom `may` is true, in the same order; None if there is none."""
        self._look()
        able = [target for target in (self.first, *self._left) if may(target)]
        return Route(able) if able else None

    def _look(self) -> None:
        if self._others is not None:
            self._left += self._others()
            self._others = None

    def take(self, target: Target) -> Target:
        self._left.remove(target)
        return target


def _parted(targets: Iterable[Target]) -> tuple[list[Target], list[Target]]:
    siblings: list[Target] = []
    fallbacks: list[Target] = []
    for target in targets:
        (fallbacks if target.is_fallback else siblings).append(target)
    return siblings, fallbacks


def _is_well(backend: Backend) -> bool:
    return backend.is_routable and backend.breaker.state is BreakerState.CLOSED and not backend.breaker.is_resting


def _is_larger(target: Target, failed: Target) -> bool:
    """Unknown sizes count as larger: only a known "no" keeps a target out."""
    mine, theirs = target.backend.capabilities.max_context, failed.backend.capabilities.max_context
    return mine is None or theirs is None or mine > theirs
