"""The tool calls of a conversation that have no answer yet, for dialects whose answers may leave out which call they are to.

Knows names and ids in the order in which they came. However many there are, each is found and taken away in one step: a client
says how many there are.
"""

from collections import OrderedDict


class OpenCalls:
    """An id may come more than once, also with several names: an answer to it is an answer to all of these."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, dict[str, None]] = OrderedDict()
        self._ids: dict[str, OrderedDict[str, None]] = {}

    def add(self, name: str, id_: str) -> None:
        self._names.setdefault(id_, {})[name] = None
        self._ids.setdefault(name, OrderedDict())[id_] = None

    def first(self, name: str | None = None) -> str | None:
        """The id of the first open call, or of the first of that name."""
        return next(iter(self._names if name is None else self._ids.get(name, ())), None)

    def name_of(self, id_: str) -> str | None:
        return next(iter(self._names.get(id_, ())), None)

    def answered(self, id_: str) -> None:
        """It is open no longer; nothing where it never was."""
        for name in self._names.pop(id_, ()):
            del self._ids[name][id_]
