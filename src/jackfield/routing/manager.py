"""BackendManager: all backends there are, found by id, by binding, by model, and kept in step with the panel.

Knows who is registered and writes it down; how a backend is looked at is probing.py's, who is chosen select.py's.
Everything but loading and saving is a look into memory, on the event loop.
"""

import asyncio
import logging
import random as randomness
import time
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from math import inf
from typing import Any, TypeVar

import msgspec

from jackfield.core.errors import BadRequest, Conflict, JackfieldError
from jackfield.core.parameters import did_you_mean
from jackfield.core.profiles import Capabilities, CapabilityRequirement
from jackfield.core.redaction import redact
from jackfield.core.tasks import canonical_task
from jackfield.money.prices import PriceTable
from jackfield.routing.attempts import Clock, Random
from jackfield.routing.backends import Backend, BackendStatus, BackendType, Identity
from jackfield.routing.balance import DEFAULT_POLICY, Moment, policy_named
from jackfield.routing.breaker import BreakerSettings
from jackfield.routing.health import HealthSettings, Look
from jackfield.routing.probing import LookSettings, Prober, Watch
from jackfield.routing.remembering import restored, stored_all
from jackfield.routing.report import backend_report, status_report
from jackfield.routing.roster import ID_MAX, Making, Roster, as_live, hosts_of, is_stale, tasks_of
from jackfield.routing.select import select
from jackfield.routing.stages import Wish
from jackfield.slots.feed import Subscription
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.slot import Binding
from jackfield.store.health import HealthRepository, StoredBackend
from jackfield.store.references import refuse_literals
from jackfield.transport.egress import EgressGate

PRUNE_AFTER_S = 300.0
TURNS_MAX = 1024
TELL_EVERY_S = 1.0
"""How often all are asked whether their status has changed by itself, as time passes."""
TIERS: tuple[frozenset[BackendStatus], ...] = (
    frozenset({BackendStatus.HEALTHY}),
    frozenset({BackendStatus.UNKNOWN, BackendStatus.INITIALIZING}),
    frozenset({BackendStatus.DEGRADED}),
)
"""Who is offered a task, best first; the others are not routable."""
_log = logging.getLogger("jackfield.routing")
E = TypeVar("E", bound=StrEnum)


class ManagerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`load_balancing` is a policy of balance.py. `weights` by backend id or provider id, 1.0 unless said."""

    load_balancing: str = DEFAULT_POLICY
    enable_health_checks: bool = True
    looks: LookSettings = LookSettings()
    health: HealthSettings = HealthSettings()
    breaker: BreakerSettings = BreakerSettings()
    weights: dict[str, float] = msgspec.field(default_factory=dict)


class BackendManager:
    """`clock` gives monotonic seconds, `wall` Unix seconds. `version` rises whenever a backend comes, goes or changes.

    `repository` None keeps nothing beyond the process. Raises BadRequest for a policy that there is not.
    """

    def __init__(
        self,
        config: ManagerConfig | None = None,
        *,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
        random: Random = randomness.random,
        gate: EgressGate | None = None,
        repository: HealthRepository | None = None,
        prices: PriceTable | None = None,
    ) -> None:
        self.config = config or ManagerConfig()
        policy_named(self.config.load_balancing, "load_balancing")
        self.listeners: list[Callable[[Backend, BackendStatus, BackendStatus], None]] = []
        self._clock = clock
        self._wall = wall
        self._gate = gate or EgressGate()
        self._repository = repository
        self._registry: ProviderRegistry | None = None
        self._turns: dict[Hashable, int] = {}
        self._is_dirty = False
        self._told_at = -inf
        prober = Prober(self._gate, wall, self.config.looks.deadline_s)
        self.watch = Watch(self._targets, prober, self.config.looks, clock=clock, random=random, noted=self._tell_panel)
        making = Making(
            clock=clock,
            wall=wall,
            random=random,
            health=self.config.health,
            breaker=self.config.breaker,
            weights=self.config.weights,
            prices=prices,
            can_look=prober.can_look,
            on_doubt=self._doubted,
            on_change=self._told,
        )
        self._roster = Roster(making, self.watch.put_off)

    @property
    def version(self) -> int:
        return self._roster.version

    # Registering

    def register_backend(
        self,
        backend_id: str,
        backend_type: BackendType | str,
        name: str,
        instance: object | None = None,
        capabilities: Capabilities | None = None,
        endpoint: str | None = None,
        *,
        provider: str = "",
        model: str | None = None,
        weight: float | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> bool:
        """Adds a backend: unknown until it is seen. False, and nothing changes, where the id is taken already.

        `instance` is what is asked: a live provider or a provider; something with a `probe` can at least be looked at. One
        that an earlier run knew waits for its instance, and keeps what is not said anew. Raises BadRequest for an unknown
        type, an id or an address that cannot be one, or a literal secret in `config`.
        """
        kind = _member(BackendType, backend_type, "backend_type")
        if not (backend_id.strip() and backend_id.isprintable() and len(backend_id) <= ID_MAX):
            raise BadRequest(f"backend_id must be 1 to {ID_MAX} printable characters", param="backend_id")
        refuse_literals(config or {}, f"config of backend {backend_id}")
        hosts_of(endpoint)
        old = self._roster.get(backend_id)
        if old is not None:
            if not old.is_restored or instance is None:
                _log.info("backend %s is registered already: unregister it first", backend_id)
                return False
            endpoint = endpoint or old.endpoint
            config = old.identity.config if config is None else config
            weight = old.weight if weight is None else weight
        live = as_live(instance)
        backend = self._roster.make(
            Identity(
                id=backend_id,
                type=kind,
                name=name or backend_id,
                provider=provider or (live.info.id if live is not None else ""),
                endpoint=endpoint,
                hosts=live.info.hosts if live is not None else hosts_of(endpoint),
                config=dict(config or {}),
            ),
            live=live,
            instance=instance,
            capabilities=capabilities,
            model=model,
            weight=weight,
        )
        if old is not None:
            backend.seen.registered_at = old.registered_at
        self._roster.add(backend)
        self._is_dirty = True
        self.watch.wake()
        return True

    def unregister_backend(self, backend_id: str) -> bool:
        """False where there is none. Attempts that run on it go on; one that a slot holds comes back with its next request."""
        self._is_dirty = True
        return self._roster.remove(backend_id)

    def prune_stale_backends(self, max_age_s: float = PRUNE_AFTER_S) -> list[str]:
        """Unregisters what no slot holds, nobody uses, and was not seen for `max_age_s` seconds. Gives their ids."""
        now = self._clock()
        stale = [backend.id for backend in self._roster if is_stale(backend, now, max_age_s)]
        for backend_id in stale:
            self.unregister_backend(backend_id)
        return stale

    # Finding

    def get_backend(self, backend_id: str) -> Backend | None:
        """By its id, or by an alias: `api_ollama` is the first backend of that provider."""
        return self._roster.get(backend_id) or self._roster.called(backend_id)

    def list_backends(
        self,
        type: BackendType | str | None = None,
        status: BackendStatus | str | None = None,
        task: str | None = None,
    ) -> list[Backend]:
        """All that fit, in the order of their registering. Raises BadRequest for a type or status that there is not."""
        kind = None if type is None else _member(BackendType, type, "type")
        wanted = None if status is None else _member(BackendStatus, status, "status")
        return [
            backend
            for backend in self._roster
            if (kind is None or backend.type is kind)
            and (wanted is None or backend.status is wanted)
            and (task is None or canonical_task(task) in tasks_of(backend))
        ]

    def backend_of(self, binding: Binding, model: str | None = None) -> Backend:
        """The backend of a binding and a model of it (None: its own); made when it is new."""
        return self._roster.of(binding, model)

    def candidates(self, model: str | None = None) -> tuple[Backend, ...]:
        """Whom selection has to look at for a model: one backend a source, leaving out sources known not to have it.

        The same tuple until `version` rises. None: every source, with its own model.
        """
        return self._roster.candidates(model)

    def select_backend_for_task(
        self,
        task: str,
        model: str | None = None,
        preferred_types: Sequence[BackendType | str] | None = None,
        required_protocols: Sequence[str] | None = None,
        *,
        provider: str | None = None,
    ) -> Backend | None:
        """Whom to ask, by the configured policy, or None. Healthy ones before unknown, those before degraded ones.

        Preferred types come first, in their order, and the policy decides among equals. Raises BadRequest for a type that
        there is not.
        """
        wish = Wish(
            requirement=CapabilityRequirement(task=task, model=model),
            mode=self._gate.mode,
            consents=self._gate.consents,
            policy=self.config.load_balancing,
            protocols=tuple(required_protocols or ()),
            preferred_types=tuple(str(_member(BackendType, kind, "preferred_types")) for kind in preferred_types or ()),
        )
        able = [
            backend
            for backend in self.candidates(model)
            if canonical_task(task) in tasks_of(backend) and provider in (None, backend.provider)
        ]
        asked = (canonical_task(task), model, wish.preferred_types, wish.protocols, provider)
        chosen = self._first_of(able, wish, Moment(self._turns.get(asked, 0)))
        if chosen is not None:
            self._count_turn(asked)
            chosen.selection_count += 1
            said = [f"supports {canonical_task(task)}", *(f"speaks {name}" for name in wish.protocols)]
            chosen.last_selection_reason = f"{', '.join(said)}; {wish.policy}"
        return chosen

    def _first_of(self, able: Sequence[Backend], wish: Wish, moment: Moment) -> Backend | None:
        """The policy's choice in the best tier that has one."""
        roles = dict.fromkeys(backend.role for backend in able)
        for tier in TIERS:
            usable = [backend for backend in able if backend.status in tier]
            for role in roles:
                chosen = select(usable, msgspec.structs.replace(wish, role=role), moment).chosen
                if chosen is not None:
                    return chosen
        return None

    def get_backend_status_report(self) -> dict[str, Any]:
        """Every backend and the sums over them, as plain JSON."""
        return status_report(self._roster, now=self._clock(), timestamp=self._wall())

    def describe(self, backend: Backend) -> dict[str, Any]:
        """One backend's part of the report."""
        return backend_report(backend, self._clock())

    # Living

    @asynccontextmanager
    async def follow(self, registry: ProviderRegistry) -> AsyncIterator["BackendManager"]:
        """While the block lasts, what is plugged is registered and what is gone leaves; all are looked at again and again."""
        await self.load()
        self._registry = registry
        tasks: list[asyncio.Task[None]] = []
        try:
            async with registry.subscribe() as events:
                self._sync()
                tasks.append(asyncio.create_task(self._listen(events), name="follow the panel"))
                if self.config.enable_health_checks:
                    tasks.append(asyncio.create_task(self.watch.run(self._each_round), name="look at backends"))
                yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.watch.aclose()
            self._registry = None
            await self._save_quietly()

    async def check(self) -> None:
        """Looks at every backend now; returns when all have been."""
        self._sync()
        await self.watch.check()

    async def load(self) -> None:
        """Takes up what an earlier run knew; unknown until looked at. Raises what the database raises."""
        if self._repository is None:
            return
        for row in await asyncio.to_thread(self._repository.load):
            if row.origin == "slot":
                self._roster.remember(row.id, row.registered_at)
            elif self._roster.get(row.id) is None:
                self._restore(row)
        self._is_dirty = False

    async def save(self) -> None:
        """Writes down what is known, if it changed."""
        if self._repository is None or not self._is_dirty:
            return
        self._is_dirty = False
        rows = stored_all(self._roster, self._wall() - self._clock())
        try:
            await asyncio.to_thread(self._repository.save_all, rows)
        except BaseException:
            self._is_dirty = True
            raise

    # Inside

    def _sync(self) -> None:
        if self._registry is not None:
            before = self._roster.version
            self._roster.seat(self._registry.plugged())
            self._is_dirty = self._is_dirty or self._roster.version != before

    async def _listen(self, events: Subscription) -> None:
        async for _ in events:
            await self._each_round()
            self.watch.wake()

    def _targets(self) -> dict[Hashable, list[Backend]]:
        """Backends that can be looked at, together where they are of one source."""
        found: dict[Hashable, list[Backend]] = {}
        for backend in self._roster:
            if backend.seen.can_be_looked_at:
                found.setdefault(_source(backend), []).append(backend)
        return found

    async def _each_round(self) -> None:
        try:
            self._sync()
            if self._clock() - self._told_at >= TELL_EVERY_S:
                self._told_at = self._clock()
                for backend in self._roster:
                    backend.tell()
            await self._save_quietly()
        except Exception as error:  # noqa: BLE001 - the outermost handler of two background loops, which go on
            _log.error("keeping the backends in step failed: %s", redact(repr(error)))

    async def _tell_panel(self, backends: Sequence[Backend], look: Look) -> None:
        """Where the panel shows otherwise than a look found, it looks too: then its problem is the source's own words."""
        binding = backends[0].binding
        if self._registry is None or binding is None or look.is_late:
            return
        shown = next((slot for slot in self._registry.plugged() if slot.binding is not None and slot.binding is binding), None)
        if shown is not None and (shown.problem is None) is not bool(look.is_ready):
            await self._registry.look(binding, self.config.looks.deadline_s, learn=bool(look.is_ready))
            self._sync()

    def _doubted(self, backend: Backend) -> None:
        if backend.seen.can_be_looked_at:
            self.watch.hasten(_source(backend))

    def _told(self, backend: Backend, before: BackendStatus, after: BackendStatus) -> None:
        self._is_dirty = True
        loud = after in (BackendStatus.UNHEALTHY, BackendStatus.OFFLINE)
        _log.log(logging.WARNING if loud else logging.INFO, "backend %s: %s, was %s", backend.id, after, before)
        for listener in self.listeners:
            listener(backend, before, after)

    def _restore(self, row: StoredBackend) -> None:
        try:
            backend = restored(row, self._roster, self._clock(), self._wall())
        except JackfieldError as error:
            _log.warning("backend %s of an earlier run is left out: %s", row.id, error)
            return
        self._roster.add(backend)

    async def _save_quietly(self) -> None:
        """What is known is only written to be shown: a full disk must not stop the looking."""
        try:
            await self.save()
        except JackfieldError as error:
            _log.warning("the backends could not be written down: %s", redact(error.message))

    def _count_turn(self, asked: Hashable) -> None:
        if len(self._turns) >= TURNS_MAX:
            self._turns.clear()
        self._turns[asked] = self._turns.get(asked, 0) + 1


_shared: BackendManager | None = None


def get_backend_manager(config: ManagerConfig | None = None) -> BackendManager:
    """The one that everybody shares, made by the first call.

    Raises Conflict for a config other than the one it has: make a BackendManager of your own instead.
    """
    global _shared
    if _shared is None:
        _shared = BackendManager(config)
    elif config is not None and config != _shared.config:
        raise Conflict(
            "the shared backend manager was made with another config: call get_backend_manager() without one, "
            "or make a BackendManager(config) of your own"
        )
    return _shared


def share_backend_manager(manager: BackendManager | None) -> BackendManager | None:
    """Makes `manager` the one that everybody shares, None nobody's. Gives the one before."""
    global _shared
    before, _shared = _shared, manager
    return before


def _member(kind: type[E], given: str, param: str) -> E:
    """Raises BadRequest with the nearest known value."""
    try:
        return kind(str(given).strip().lower())
    except ValueError:
        known = [str(member) for member in kind]
        hint = did_you_mean(str(given).lower(), known)
        raise BadRequest(f"{param} must be one of {', '.join(known)}, got {given!r}{hint}", param=param) from None


def _source(backend: Backend) -> Hashable:
    """What is looked at together: one live provider's backends."""
    return backend if backend.live is None else backend.live
