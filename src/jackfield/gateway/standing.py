"""Who stands behind a name: its targets as a pool, and its fallbacks, kept as long as nothing on the panel has changed.

So a request for a name costs a lookup, however many sources have the model. Chooses nobody; a bounded memory.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping

from jackfield.core.errors import JackfieldError
from jackfield.gateway.naming import Found, Names, State
from jackfield.gateway.route import Target
from jackfield.routing.backends import Backend
from jackfield.routing.pools import Permits, Pool
from jackfield.routing.use_cases import Target as Rule

logger = logging.getLogger("jackfield.gateway")
NAMES_MAX = 4096


class Standing:
    """`targets` by backend id, in slot order; `fallbacks` name by name; `rules` where the name is a use case."""

    __slots__ = ("fallbacks", "found", "pool", "rules", "state", "targets")

    def __init__(self, permits: Permits) -> None:
        self.found: Found = []
        self.targets: dict[str, Target] = {}
        self.fallbacks: tuple[tuple[Target, ...], ...] = ()
        self.rules: tuple[Rule, ...] = ()
        self.state: State | None = None
        self.pool: Pool[Backend] = Pool(permits=permits)

    @property
    def sole(self) -> Target | None:
        """The only one there is, if nobody else could answer."""
        if len(self.targets) == 1 and len(self.found) == 1 and not self.fallbacks:
            return next(iter(self.targets.values()))
        return None


class Standings:
    """By name; the oldest goes first. A name keeps its turns while the panel changes around it."""

    def __init__(self, names: Names, permits: Permits, fallbacks: Mapping[str, tuple[str, ...]]) -> None:
        self._names = names
        self._permits = permits
        self._fallbacks = dict(fallbacks)
        self._kept: OrderedDict[str, Standing] = OrderedDict()
        self._lost: set[str] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, text: str) -> Standing:
        """Raises what `Names.find` does."""
        standing = self._kept.get(text)
        if standing is not None and self._names.is_current(standing.state):
            return standing
        return self._look(text, standing or Standing(self._permits))

    def _look(self, text: str, standing: Standing) -> Standing:
        found = self._names.find(text)
        targets = {target.backend.id: target for target in (self._names.target(*each) for each in found if each[0].binding)}
        standing.found, standing.targets, standing.rules = found, targets, self._names.rules(text)
        standing.fallbacks = tuple(self._further(text, set(targets)))
        standing.pool.replace([target.backend for target in targets.values()])
        standing.state = self._names.state  # last: backends that were new until now are a change of our own
        if text not in self._kept and len(self._kept) >= NAMES_MAX:
            self._kept.popitem(last=False)
        self._kept[text] = standing
        return standing

    def _further(self, text: str, seen: set[str]) -> Iterator[tuple[Target, ...]]:
        """The targets of each fallback, leaving out those that are asked before it anyway."""
        for name in self._fallbacks.get(text, ()):
            targets = tuple(target for target in self._of_fallback(name) if target.backend.id not in seen)
            seen.update(target.backend.id for target in targets)
            yield targets

    def _of_fallback(self, name: str) -> list[Target]:
        """A name that the settings fall back to stands for what it names now; one that nobody has is no fallback, no more."""
        try:
            found = self._names.find(name)
        except JackfieldError as error:
            if name not in self._lost:
                self._lost.add(name)
                logger.warning("routing.fallbacks names %r: %s", name, error.message)
            return []
        return [self._names.target(slot, model, is_fallback=True) for slot, model in found if slot.binding]
