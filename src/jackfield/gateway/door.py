"""What the root needs of a door: its paths, who is meant where doors share one, and the shape of its errors."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from jackfield.core.errors import JackfieldError
from jackfield.gateway.client import Client

Handler = Callable[[Client], Awaitable[None]]
Methods = Mapping[str, Handler]


class Door(Protocol):
    """An entrance that speaks one dialect. `routes` maps each path to its methods.

    `roots` are the beginnings of paths whose errors this door shapes even where nothing is served.
    """

    @property
    def routes(self) -> Mapping[str, Methods]: ...
    @property
    def roots(self) -> tuple[str, ...]: ...

    def find(self, path: str) -> Methods | None:
        """The methods of a path that is not in `routes` (one with a parameter), or None."""
        ...

    def claims(self, client: Client) -> bool:
        """Whether a request to a path that several doors serve speaks this one's dialect."""
        ...

    def unknown(self, method: str, path: str) -> JackfieldError:
        """The error for a path that nothing here serves."""
        ...

    def encode_error(self, error: JackfieldError) -> bytes: ...
