"""Who is there: all backends, by id and by source and model, and what selection may look at.

Makes backends and lets them go; asks nobody and writes nothing. `version` rises whenever one comes, goes or changes in what
selection takes for settled.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from jackfield.core.contracts import Provider, ProviderCard
from jackfield.core.profiles import Capabilities
from jackfield.core.tasks import canonical_task
from jackfield.money.prices import PriceTable
from jackfield.routing.attempts import Clock, Random
from jackfield.routing.backends import Backend, BackendStatus, Identity, aliases_of, type_of
from jackfield.routing.breaker import Breaker, BreakerSettings
from jackfield.routing.health import HealthSettings, Look
from jackfield.slots.live import LiveProvider
from jackfield.slots.slot import Binding, Slot
from jackfield.transport.http1 import Endpoint

ID_MAX = 200
MODELS_A_SOURCE = 64
"""Backends made for model names that clients write, at most for one source: the longest unused idle one makes room."""
REMEMBERED = 1024
FRESH_LOOK_S = 5.0
EXPECTED_TOKENS = (1000, 500)
_ROLES = {"text-generation": "chat", "text-embedding": "embed", "rerank": "rerank", "text-classification": "classify"}


class Making(msgspec.Struct, frozen=True):
    """How backends are made. `weights` by backend id or provider id, 1.0 unless said; `can_look`: whether looks can be had."""

    clock: Clock
    wall: Clock
    random: Random
    health: HealthSettings
    breaker: BreakerSettings
    weights: Mapping[str, float]
    prices: PriceTable | None
    can_look: Callable[[Backend], bool]
    on_doubt: Callable[[Backend], None]
    on_change: Callable[[Backend, BackendStatus, BackendStatus], None]


class Roster:
    """`looked_at` is called for a source that somebody has just looked at."""

    def __init__(self, making: Making, looked_at: Callable[[LiveProvider], None]) -> None:
        self.version = 0
        self._making = making
        self._looked_at = looked_at
        self._backends: dict[str, Backend] = {}
        self._of_source: dict[tuple[LiveProvider, str | None], Backend] = {}
        self._slots: tuple[Slot, ...] = ()
        self._known: dict[LiveProvider, tuple[object, object]] = {}
        self._since: dict[str, float] = {}
        self._candidates: dict[str | None, tuple[Backend, ...]] = {}

    def __iter__(self) -> Iterator[Backend]:
        """In the order of their registering; what comes or goes meanwhile does no harm."""
        return iter(tuple(self._backends.values()))

    def get(self, backend_id: str) -> Backend | None:
        return self._backends.get(backend_id)

    def called(self, alias: str) -> Backend | None:
        """The first that has this alias."""
        return next((backend for backend in self if alias in backend.identity.aliases), None)

    def of(self, binding: Binding, model: str | None) -> Backend:
        """The backend of a binding and a model of it (None: its own); made when it is new."""
        key = (binding.live, model or binding.model)
        found = self._of_source.get(key)
        return self._adopt(binding, key[1]) if found is None else found

    def candidates(self, model: str | None) -> tuple[Backend, ...]:
        found = self._candidates.get(model)
        if found is None:
            found = self._gathered(model)
            if len(self._candidates) >= REMEMBERED:
                self._candidates.clear()
            self._candidates[model] = found
        return found

    def make(
        self,
        identity: Identity,
        *,
        live: LiveProvider | None = None,
        instance: object | None = None,
        capabilities: Capabilities | None = None,
        model: str | None = None,
        weight: float | None = None,
    ) -> Backend:
        """A backend that is not in yet."""
        making = self._making
        said = making.weights.get(identity.id, making.weights.get(identity.provider, 1.0))
        backend = Backend(
            identity,
            breaker=Breaker(making.breaker, making.clock, making.random),
            clock=making.clock,
            health=making.health,
            live=live,
            instance=instance,
            capabilities=capabilities,
            model=model,
            weight=said if weight is None else weight,
        )
        backend.models = _models(backend)
        backend.role = _role(backend.capabilities)
        backend.seen.can_be_looked_at = making.can_look(backend)
        backend.on_doubt = making.on_doubt
        backend.on_change = making.on_change
        self._set_price(backend)
        return backend

    def add(self, backend: Backend) -> None:
        self._backends[backend.id] = backend
        self.changed()

    def remove(self, backend_id: str) -> bool:
        backend = self._backends.pop(backend_id, None)
        if backend is None:
            return False
        for key in [key for key, held in self._of_source.items() if held is backend]:
            del self._of_source[key]
        self.changed()
        return True

    def changed(self) -> None:
        self.version += 1
        self._candidates.clear()

    def remember(self, backend_id: str, since: float) -> None:
        """A source of that id was there before, since `since` (Unix seconds): it may be plugged again."""
        self._since[backend_id] = since

    def seat(self, slots: tuple[Slot, ...]) -> None:
        """Registers what is plugged, lets go of what is not any more, and takes over what was learned of the rest."""
        if slots is not self._slots:
            self._slots = slots
            plugged = {slot.binding.live for slot in slots if slot.binding is not None}
            for backend in [held for (live, _), held in self._of_source.items() if live not in plugged]:
                self.remove(backend.id)
            for slot in slots:
                if slot.binding is not None:
                    self._seat(slot, slot.binding)
        for slot in slots:
            if slot.binding is not None:
                self._learn(slot.binding.live)

    def _seat(self, slot: Slot, binding: Binding) -> None:
        """Tells a source's backends where it stands now."""
        self.of(binding, None)
        for backend in self._held(binding.live):
            is_moved = (backend.slot, backend.role) != (int(slot.number), binding.spec.role)
            backend.slot, backend.binding, backend.role = int(slot.number), binding, binding.spec.role
            if is_moved:
                self.changed()

    def _learn(self, live: LiveProvider) -> None:
        """A source's list of models, or what is known of it, may have been renewed since."""
        known = (live.listing, live.capabilities)
        if self._known.get(live) == known:
            return
        self._known = {held: facts for held, facts in self._known.items() if not held.is_retired} | {live: known}
        for backend in self._held(live):
            backend.models = _models(backend)
        self.changed()

    def _adopt(self, binding: Binding, model: str | None) -> Backend:
        live = binding.live
        unnamed = self._of_source.pop((live, None), None) if model == binding.model else None
        if unnamed is not None:  # only now is it known which model it has
            unnamed.model = model
            unnamed.models = _models(unnamed)
            self._set_price(unnamed)
            self._of_source[live, model] = unnamed
            self.changed()
            return unnamed
        self._make_room(live)
        backend = self.make(self._identity(live, model), live=live, model=model)
        backend.binding = binding
        backend.role = binding.spec.role
        backend.models = _models(backend)
        self._take_after(backend, live)
        self._of_source[live, model] = backend
        self.add(backend)
        return backend

    def _identity(self, live: LiveProvider, model: str | None) -> Identity:
        host = live.info.hosts[0] if live.info.hosts else ""
        return Identity(
            id=self._free_id(f"{live.info.id}/{model or '*'}" + (f"@{host}" if host else "")),
            type=type_of(live),
            name=f"{live.info.display_name} {model or ''}".strip(),
            origin="slot",
            provider=live.info.id,
            endpoint=f"http://{host}" if host else None,
            hosts=live.info.hosts,
            aliases=aliases_of(live),
        )

    def _take_after(self, backend: Backend, live: LiveProvider) -> None:
        """What is known already: from an earlier run, from the same source's other models, from the look when plugged."""
        making = self._making
        since = self._since.pop(backend.id, None)
        if since is not None:
            backend.seen.registered_at -= max(0.0, making.wall() - since)
        sibling = next(iter(self._held(live)), None)
        if sibling is not None:
            backend.slot = sibling.slot
            backend.seen.take_after(sibling.seen)
            return
        standing = live.standing
        is_fresh = standing.checked_at is not None and abs(making.wall() - standing.checked_at) < FRESH_LOOK_S
        if live.probes is not None and standing.is_ready and is_fresh:
            listed = None if live.listing is None else tuple(profile.id for profile in live.listing)
            backend.note_look(Look(True, True, None, standing.latency_s, listed, standing.detail))
            self._looked_at(live)

    def _make_room(self, live: LiveProvider) -> None:
        """Model names come from clients, so their number is bounded."""
        held = self._held(live)
        idle = [backend for backend in held if backend.in_flight == 0 and not is_own(backend)]
        if idle and len(held) >= MODELS_A_SOURCE:
            self.remove(min(idle, key=_last_use).id)

    def _held(self, live: LiveProvider) -> list[Backend]:
        return [backend for (source, _), backend in self._of_source.items() if source is live]

    def _free_id(self, label: str) -> str:
        label = "".join(letter if letter.isprintable() else "?" for letter in label)[:ID_MAX]
        found, count = label, 1
        while found in self._backends:
            count += 1
            found = f"{label}#{count}"
        return found

    def _gathered(self, model: str | None) -> tuple[Backend, ...]:
        found = [backend for backend in self._backends.values() if backend.identity.origin != "slot"]
        for slot in self._slots:
            if slot.binding is None:
                continue
            own = self.of(slot.binding, None)
            found.append(self.of(slot.binding, model) if model is not None and model in own.models else own)
        return tuple(backend for backend in found if model is None or not backend.models or model in backend.models)

    def _set_price(self, backend: Backend) -> None:
        is_local = backend.live is not None and backend.live.is_free
        prices = self._making.prices
        if prices is None:
            backend.cost_msat = 0 if is_local else None
            return
        model = backend.model or ""
        backend.price = prices.price(backend.provider, model, is_local=is_local)
        sats = prices.estimate(backend.provider, model, *EXPECTED_TOKENS, is_local=is_local)
        backend.cost_msat = None if sats is None else round(sats * 1000)


def hosts_of(endpoint: str | None) -> tuple[str, ...]:
    """The "host:port" of an address, none for a Unix socket. Raises BadRequest for what is no address."""
    if endpoint is None:
        return ()
    if endpoint.startswith(("ws://", "wss://")):
        endpoint = "http" + endpoint[2:]
    parsed = Endpoint.parse(endpoint)
    return () if parsed.unix_path is not None else (f"{parsed.host}:{parsed.port}",)


def as_live(instance: object | None) -> LiveProvider | None:
    """A live provider, or a provider with a card made into one; None for anything else, which cannot be asked."""
    if isinstance(instance, LiveProvider):
        return instance
    card = getattr(instance, "card", None)
    return LiveProvider(instance, card) if isinstance(instance, Provider) and isinstance(card, ProviderCard) else None


def tasks_of(backend: Backend) -> frozenset[str]:
    return frozenset(map(canonical_task, backend.capabilities.supported_tasks))


def is_own(backend: Backend) -> bool:
    """Whether it stands for its slot's own model, not for another that a client named."""
    return backend.binding is None or backend.model == backend.binding.model


def is_stale(backend: Backend, now: float, max_age_s: float) -> bool:
    """No slot holds it, nobody uses it, and nothing was seen of it for longer than `max_age_s`."""
    return backend.binding is None and backend.in_flight == 0 and now - _last_use(backend) > max_age_s


def _last_use(backend: Backend) -> float:
    return backend.registered_at if backend.last_seen_at is None else backend.last_seen_at


def _models(backend: Backend) -> tuple[str, ...]:
    """Its own model first, then what its source lists or states; only its own for one made for a certain model."""
    own = () if backend.model is None else (backend.model,)
    if backend.identity.origin == "slot" and not is_own(backend):
        return own
    listed = () if backend.live is None else tuple(profile.id for profile in backend.live.listing or ())
    return tuple(dict.fromkeys((*own, *(listed or backend.capabilities.supported_models))))


def _role(record: Capabilities) -> str:
    tasks = set(map(canonical_task, record.supported_tasks))
    return next((role for task, role in _ROLES.items() if task in tasks), "chat")
