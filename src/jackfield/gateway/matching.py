"""All doors together: which of them a request is at, and which handler there. One look-up on the usual path.

Where several doors serve one path (`/v1/models`), the request says by its headers which it means; else the last one is it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from jackfield.core.errors import BadRequest, JackfieldError
from jackfield.gateway.client import Client
from jackfield.gateway.door import Door, Handler, Methods

KEPT_PATHS = 256
"""How many paths with something of the client's in them (a model's name) are known again without asking each door."""
Found = tuple[Door, Handler | JackfieldError]


class WrongMethod(BadRequest):
    """The path exists, the method is not for it."""

    default_status = 405
    default_code = "method_not_allowed"

    def __init__(self, path: str, method: str, allowed: str) -> None:
        super().__init__(f"{path} takes {allowed}, not {method}")
        self.allowed = allowed


class Doors:
    """`doors` in the order in which they are asked; the last is the general one, which also answers where nobody is meant.

    `extra` are paths outside any dialect (/health, /status); errors there have the general door's shape.
    """

    def __init__(self, doors: Sequence[Door], extra: Mapping[str, Methods]) -> None:
        self._doors = tuple(doors)
        self.general = self._doors[-1]
        self._places: dict[str, tuple[Door, Methods]] = {}
        self._shared: dict[str, list[tuple[Door, Methods]]] = {}
        self._found = lru_cache(maxsize=KEPT_PATHS)(self._search)
        for door in self._doors:
            for path, methods in door.routes.items():
                self._add(door, path, methods)
        for path, methods in extra.items():
            self._add(self.general, path, methods)

    def find(self, client: Client) -> Found:
        """The door, and its handler or the error that says why there is none."""
        place = self._places.get(client.path)
        door, methods = place if place is not None else self._look(client)
        if methods is None:
            return door, door.unknown(client.method, client.path)
        handler = methods.get("GET" if client.method == "HEAD" else client.method)
        return door, WrongMethod(client.path, client.method, ", ".join(methods)) if handler is None else handler

    def _add(self, door: Door, path: str, methods: Methods) -> None:
        if path in self._shared:
            self._shared[path].append((door, methods))
        elif path in self._places:
            self._shared[path] = [self._places.pop(path), (door, methods)]
        else:
            self._places[path] = (door, methods)

    def _look(self, client: Client) -> tuple[Door, Methods | None]:
        path = client.path
        places = self._shared.get(path) or self._found(path)
        for door, methods in places:
            if len(places) == 1 or door.claims(client):
                return door, methods
        return places[-1] if places else (self._nearest(client), None)

    def _search(self, path: str) -> list[tuple[Door, Methods]]:
        return [(door, methods) for door in self._doors if (methods := door.find(path)) is not None]

    def _nearest(self, client: Client) -> Door:
        """Whose client this most likely is: by the longest beginning of the path, then by its headers."""
        path = client.path
        rooted = [(max(map(len, roots)), door) for door in self._doors if (roots := _begun(door, path))]
        if rooted:
            return max(rooted, key=lambda pair: pair[0])[1]
        return next((door for door in self._doors if door.claims(client)), self.general)


def _begun(door: Door, path: str) -> list[str]:
    return [root for root in door.roots if path.startswith(root)]
