"""What the control door is given. It holds no state of its own beside a discovery that it remembers.

Knows types by name only, so that importing it is cheap; it loads neither Litestar nor the rooms below.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jackfield.providers.registry import Registrar
    from jackfield.routing.manager import BackendManager
    from jackfield.slots.catalogue import Catalogue
    from jackfield.slots.discovery import Discovery
    from jackfield.slots.plugging import ConsentRecord
    from jackfield.slots.registry import ProviderRegistry
    from jackfield.store.journal import Journal
    from jackfield.store.ledger import LedgerRepository
    from jackfield.store.secrets import SecretStore
    from jackfield.transport.egress import EgressGate


def _no_decision(request_id: str) -> Mapping[str, Any] | None:
    return None


def _no_settings() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPanel:
    """`ledger` and `journal` are None where nothing is recorded, `consents` where none outlives the process.

    `explain` tells how a model name would be resolved now, as plain JSON, and `decision` how a request by its id was,
    while that is remembered. `clock` gives Unix seconds. `settings` gives the
    facts that may be shown. `keep_alive_s` is the longest silence on the event stream; `stopping` ends it. Keys, hosts and
    origins are checked by whoever mounts the door, for every door alike.
    """

    registry: "ProviderRegistry"
    registrar: "Registrar"
    catalogue: "Catalogue"
    backends: "BackendManager"
    explain: Callable[[str], Mapping[str, Any]]
    gate: "EgressGate"
    secrets: "SecretStore"
    discover: "Callable[[], Awaitable[Discovery]]"
    clock: Callable[[], float]
    ledger: "LedgerRepository | None" = None
    journal: "Journal | None" = None
    consents: "ConsentRecord | None" = None
    decision: Callable[[str], Mapping[str, Any] | None] = field(default=_no_decision)
    settings: Callable[[], Mapping[str, Any]] = field(default=_no_settings)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    keep_alive_s: float = 15.0
    max_listeners: int = 64
