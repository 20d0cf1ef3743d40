"""Backend: a routable instance (a live provider, or an address, with one model), its health, metrics and circuit.

Counts and tells; sends nothing and looks at nothing. Which backends there are is manager.py's, how a status follows from
what was seen health.py's.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from jackfield.core.profiles import Capabilities
from jackfield.money.prices import Price
from jackfield.routing.attempts import Clock, FailureKind
from jackfield.routing.breaker import Breaker, BreakerState
from jackfield.routing.health import (
    HARMFUL,
    BackendStatus,
    Evidence,
    Facts,
    HealthSettings,
    Look,
    judge,
)
from jackfield.routing.measures import BackendMetrics
from jackfield.slots.live import LiveProvider
from jackfield.slots.plugging import is_on_this_machine
from jackfield.store.health import Origin

if TYPE_CHECKING:
    from jackfield.slots.slot import Binding

__all__ = [
    "Backend",
    "BackendMetrics",
    "BackendStatus",
    "BackendType",
    "Facts",
    "Identity",
    "Look",
    "Outcome",
    "type_of",
]


class BackendType(StrEnum):
    """gpu is an engine on this machine, on whatever it computes; hybrid reaches both this machine and others."""

    GPU = "gpu"
    API = "api"
    CLI = "cli"
    P2P = "p2p"
    WEBSOCKET = "websocket"
    MCP = "mcp"
    HYBRID = "hybrid"


_BY_PROTOCOL = {"stdio": BackendType.CLI, "cli": BackendType.CLI, "mcp": BackendType.MCP, "websocket": BackendType.WEBSOCKET}
_BY_KIND = {
    "local": BackendType.GPU,
    "api": BackendType.API,
    "p2p": BackendType.P2P,
    "decentralized": BackendType.P2P,
}


def aliases_of(live: LiveProvider) -> tuple[str, ...]:
    """`api_<name>` for a source that is reached over the network, by its provider's id and each other name of it."""
    names = (live.info.id, *live.card.aliases) if live.info.hosts else ()
    return tuple(dict.fromkeys(f"api_{name.replace('-', '_')}" for name in names))


def type_of(live: LiveProvider) -> BackendType:
    """What a plugged provider is: by its hosts, then by its protocol where it speaks one other than HTTP, then by its kind."""
    if len({is_on_this_machine(host) for host in live.info.hosts}) == 2:
        return BackendType.HYBRID
    protocols = live.capabilities.protocols
    spoken = _BY_PROTOCOL.get(protocols[0]) if len(protocols) == 1 else None
    return spoken or _BY_KIND[live.info.type]


class Outcome(msgspec.Struct, frozen=True):
    """How one attempt ended: well (`failure` None and not `cancelled`), badly, or given up by the caller.

    `latency_s` of the whole answer, `first_token_s` until its first content; `prompt_bytes` of the messages;
    `completion_tokens` 0 where they are not known.
    """

    latency_s: float = 0.0
    first_token_s: float | None = None
    prompt_bytes: int = 0
    completion_tokens: int = 0
    failure: FailureKind | None = None
    retry_after_s: float | None = None
    cancelled: bool = False


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change about a backend while it is registered. `config` is plain JSON, with references for secrets.

    `hosts` are "host:port" pairs that prompts go to, empty for an engine in this process.
    """

    id: str
    type: BackendType
    name: str
    origin: Origin = "registered"
    provider: str = ""
    endpoint: str | None = None
    hosts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    config: dict[str, Any] = msgspec.field(default_factory=dict)


class Backend:
    """Used on the event loop only. It can be selected as it is (routing/candidates.py says what the attributes mean).

    `model` None leaves the choice to the source; `models` are all that the source is known to have. `registered_at` and
    `last_seen_at` are seconds of the manager's clock. `slot` and `binding`: where it is plugged now. `on_doubt` is called
    after each failure that is the backend's own, `on_change` with the old status and the new one.
    """

    __slots__ = (
        "_capabilities",
        "_clock",
        "_told",
        "binding",
        "breaker",
        "consecutive_failures",
        "cost_msat",
        "identity",
        "instance",
        "is_restored",
        "keeps_data",
        "last_selection_reason",
        "live",
        "metrics",
        "model",
        "models",
        "on_change",
        "on_doubt",
        "price",
        "role",
        "seen",
        "selection_count",
        "slot",
        "weight",
    )

    def __init__(
        self,
        identity: Identity,
        *,
        breaker: Breaker,
        clock: Clock,
        health: HealthSettings,
        live: LiveProvider | None = None,
        instance: object | None = None,
        capabilities: Capabilities | None = None,
        model: str | None = None,
        weight: float = 1.0,
    ) -> None:
        now = clock()
        self.identity = identity
        self.breaker = breaker
        self.live = live
        self.instance = instance
        self.model = model
        self.models: tuple[str, ...] = () if model is None else (model,)
        self.role = "chat"
        self.cost_msat: int | None = None
        self.price: Price | None = None
        self.keeps_data: bool | None = None
        self.weight = weight
        self.seen = Evidence(health, now)
        self.seen.can_be_asked = live is not None or instance is not None
        self.metrics = BackendMetrics(now)
        self.consecutive_failures = 0
        self.selection_count = 0
        self.last_selection_reason = ""
        self.is_restored = False
        self.slot: int | None = None
        self.binding: Binding | None = None
        self.on_doubt: Callable[[Backend], None] | None = None
        self.on_change: Callable[[Backend, BackendStatus, BackendStatus], None] | None = None
        self._capabilities = capabilities
        self._clock = clock
        self._told = BackendStatus.UNKNOWN

    def __repr__(self) -> str:
        return f"<backend {self.id} {self.type} {self.status}>"

    # What it is

    @property
    def id(self) -> str:
        return self.identity.id

    @property
    def type(self) -> BackendType:
        return self.identity.type

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def provider(self) -> str:
        return self.identity.provider

    @property
    def endpoint(self) -> str | None:
        return self.identity.endpoint

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.identity.hosts

    @property
    def capabilities(self) -> Capabilities:
        """As stated at registration, else as learned of its live provider so far."""
        if self._capabilities is not None:
            return self._capabilities
        return Capabilities() if self.live is None else self.live.capabilities

    # How it is

    @property
    def status(self) -> BackendStatus:
        return judge(self.seen, self.breaker.state, self._clock()).status

    @property
    def reason(self) -> str:
        """Why the status is what it is, for a person."""
        if not self.seen.can_be_asked:
            return "nothing is plugged in behind it: it cannot be asked"
        rule = judge(self.seen, self.breaker.state, self._clock())
        return f"{rule.reason} ({self.seen.detail})" if self.seen.detail and self.seen.is_down else rule.reason

    @property
    def is_routable(self) -> bool:
        """Offered to requests: it can be asked, was not found down by the last look, and its circuit is not open."""
        seen = self.seen
        if not seen.can_be_asked or seen.reachable is False or seen.ready is False or seen.key_was_refused:
            return False
        return self.breaker.state is not BreakerState.OPEN

    @property
    def problem(self) -> str | None:
        """Why it is offered no requests now, for a person; None while it is."""
        return None if self.is_routable else self.reason

    @property
    def in_flight(self) -> int:
        """Running there and waiting for it."""
        return self.metrics.queue

    @property
    def latency_s(self) -> float:
        """The mean of its last good answers, 0.0 before the first."""
        return self.metrics.latency.mean or 0.0

    @property
    def tokens_per_s(self) -> float:
        return self.metrics.tokens_per_s

    @property
    def share(self) -> float:
        """The part of its usual traffic that it may take now: less than 1 after its circuit was open."""
        return self.breaker.share()

    @property
    def facts(self) -> Facts:
        seen, status = self.seen, self.status
        return Facts(
            configured=seen.can_be_asked or self.endpoint is not None,
            authorized=seen.authorized,
            reachable=seen.reachable,
            live=seen.answers,
            ready=seen.ready,
            healthy=None if status is BackendStatus.UNKNOWN else status is BackendStatus.HEALTHY,
            routable=self.is_routable,
        )

    @property
    def registered_at(self) -> float:
        return self.seen.registered_at

    @property
    def age_s(self) -> float:
        """Seconds since it was plugged, or since this run began with it; `registered_at` may tell of an earlier run."""
        return self._clock() - self.metrics.started_at

    @property
    def last_seen_at(self) -> float | None:
        return self.seen.seen_at

    # What happens to it

    def begin(self) -> float:
        """An attempt begins there, after `breaker.allow()`. Gives the time to hand to `end`, which must follow."""
        self.metrics.active += 1
        return self._clock()

    def answering(self, began_at: float | None = None) -> None:
        """The attempt's answer has begun: enough for a half-open circuit to close, long before a stream ends."""
        self._tell_circuit(began_at)

    def end(self, outcome: Outcome, began_at: float | None = None) -> None:
        """The attempt that `begin` announced is over: counts it, and draws the conclusions for health and circuit."""
        metrics = self.metrics
        metrics.active -= 1
        if outcome.cancelled:
            metrics.total += 1
            metrics.cancelled += 1
            self.breaker.abandon(began_at)
        elif outcome.failure is None:
            metrics.note_good(outcome.latency_s, outcome.first_token_s, outcome.prompt_bytes)
            if outcome.completion_tokens:
                metrics.note_speed(outcome.completion_tokens, outcome.latency_s - (outcome.first_token_s or 0.0))
            self._went_well(began_at)
        else:
            self._went_wrong(outcome.failure, outcome.retry_after_s, began_at)

    def note_look(self, look: Look) -> None:
        """What a look at it told, just now."""
        self.seen.note_look(look, self._clock())
        if look.models is not None:
            self.metrics.models_loaded = len(look.models)
        if look.is_ready:
            self.breaker.seen_alive()
        self.tell()

    def tell(self) -> None:
        """Calls `on_change` if the status is another than it was when this was last called."""
        status = self.status
        if status is not self._told:
            before, self._told = self._told, status
            if self.on_change is not None:
                self.on_change(self, before, status)

    def _went_well(self, began_at: float | None) -> None:
        self.consecutive_failures = 0
        seen = self.seen
        had_failed = self._tell_circuit(began_at) or seen.recent
        seen.note_good(self._clock())
        if had_failed or self._told is not BackendStatus.HEALTHY:
            self.tell()

    def _tell_circuit(self, began_at: float | None) -> bool:
        """A good answer, or the beginning of one. Whether that has closed the circuit: then old failures are over."""
        breaker = self.breaker
        if not self.seen.recent:  # the usual case: nothing failed lately, so it cannot be open
            breaker.success(began_at)
            return False
        was_closed = breaker.state is BreakerState.CLOSED
        breaker.success(began_at)
        if was_closed or breaker.state is not BreakerState.CLOSED:
            return False
        self.seen.recovered()
        return True

    def _went_wrong(self, kind: FailureKind, retry_after_s: float | None, began_at: float | None) -> None:
        self.metrics.total += 1
        self.seen.note_failure(kind, self._clock())
        self.breaker.failure(kind, retry_after_s=retry_after_s, began_at=began_at)
        if kind not in HARMFUL:
            self.metrics.rejected += 1
            return
        self.metrics.failed += 1
        self.consecutive_failures += 1
        self.tell()
        if self.on_doubt is not None:
            self.on_doubt(self)

    def note_looking(self) -> None:
        """A look is under way."""
        self.seen.is_looking = True
        self.tell()
