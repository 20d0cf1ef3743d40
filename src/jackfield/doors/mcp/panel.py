"""What the MCP door is given: the rooms below it, and plain functions for what others do.

Knows types by name only, so that importing it is cheap; holds no state.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from jackfield.gateway.errand import Errand
    from jackfield.gateway.inside import Told
    from jackfield.providers.registry import Registrar
    from jackfield.routing.manager import BackendManager
    from jackfield.slots.registry import ProviderRegistry


class Ask(Protocol):
    """A request's fields, plain JSON in OpenAI's names, answered by whoever the gateway chooses: a chat, or an errand."""

    def __call__(
        self, fields: Mapping[str, Any], *, key_name: str = "", errand: "Errand | None" = None
    ) -> "Awaitable[Told]": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class McpPanel:
    """`ask` goes through every step of the gateway. `status` gives what GET /status tells; `clock` Unix seconds.

    `known_secrets` are those of this process: no answer carries one. A tool that waits for a source tells its client so every
    `progress_every_s` seconds.
    """

    registry: "ProviderRegistry"
    registrar: "Registrar"
    backends: "BackendManager"
    ask: Ask
    known_secrets: Callable[[], Collection[str]]
    status: Callable[[], Awaitable[Mapping[str, Any]]]
    clock: Callable[[], float]
    progress_every_s: float = 2.0
