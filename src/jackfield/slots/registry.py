"""ProviderRegistry: the one truth about what is plugged where, and the only code that changes it.

Reading is a look at a frozen tuple. Every change is worked out by pure functions (panel.py), written to the store, and only
then shown, in one order for all; each is an event that can be undone. What takes time (creating, connecting, loading)
happens before a change begins, so a slow source never holds up another slot.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from jackfield.core.contracts import ProviderTools
from jackfield.core.errors import BadRequest, Conflict, NotFound, NotSupported, SlotEmpty
from jackfield.core.ids import SlotNumber
from jackfield.core.parameters import did_you_mean
from jackfield.core.profiles import CapabilityRequirement
from jackfield.core.requests import Generation
from jackfield.money.prices import PriceTable
from jackfield.providers.registry import Registrar
from jackfield.slots import panel
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.board import Arrival, Board, Change, arrival_of, close
from jackfield.slots.bridge import as_provider_type, registered_class
from jackfield.slots.configs import SavedConfigs
from jackfield.slots.describe import described, described_providers, listed, source_of
from jackfield.slots.feed import SlotEvent, Subscription
from jackfield.slots.handles import Handles
from jackfield.slots.invoke import invoke
from jackfield.slots.live import LiveProvider
from jackfield.slots.memory import MemoryStore, PanelStore
from jackfield.slots.mutation import differences, perturbed, with_settings
from jackfield.slots.panel import Changes, Place, Places
from jackfield.slots.plugging import LOOK_WITHIN_S, ConsentRecord, Plugger, Secrets
from jackfield.slots.remote import local_or_remote
from jackfield.slots.rows import place_of, stored
from jackfield.slots.slot import Binding, Slot, SlotSpec
from jackfield.slots.workbench import Complete, Workbench
from jackfield.store.slots import SlotEventRow
from jackfield.transport.egress import EgressGate

DRAIN_WITHIN_S = 300.0
DEFAULT_RATE = 0.1
DEFAULT_SCALE = 0.05
_SET_FIELDS = frozenset({"provider", "config", "model", "name", "role", "consent"})
_log = logging.getLogger("jackfield.slots")


class ProviderRegistry:
    """`size` slots. `clock` gives Unix seconds; `default_provider` is what `get_default_provider` answers with.

    `drain_s`: how long running requests of an unplugged provider may go on before it is closed under them. `complete`: what
    the settings add to a provider's config.
    """

    def __init__(
        self,
        registrar: Registrar,
        tools: ProviderTools,
        repository: PanelStore | None = None,
        *,
        secrets: Secrets,
        gate: EgressGate,
        size: int = 32,
        clock: Callable[[], float] = time.time,
        consents: ConsentRecord | None = None,
        prices: PriceTable | None = None,
        default_provider: str | None = None,
        mode_is_fixed: bool = False,
        drain_s: float = DRAIN_WITHIN_S,
        complete: Complete | None = None,
    ) -> None:
        self._registrar = registrar
        bench = Workbench(registrar, tools, gate, complete)
        self._board = Board(size, MemoryStore() if repository is None else repository, clock, drain_s)
        self._plugger = Plugger(bench, secrets=secrets, clock=clock, consents=consents, mode_is_fixed=mode_is_fixed)
        self._configs = SavedConfigs(self._board.store, registrar)
        self._reserved: set[int] = set()
        self._feed = self._board.feed
        self._handles = Handles(self, bench, clock=clock, prices=prices, default_provider=default_provider)

    # Reading

    def __len__(self) -> int:
        return len(self._board.slots)

    def slot(self, number: int) -> Slot:
        """Raises SlotOutOfRange, for -1 too; BadRequest for what is no whole number."""
        slots = self._board.slots
        if type(number) is SlotNumber and number < len(slots):
            return slots[number]
        return slots[panel.checked_number(number, len(slots))]

    def slots(self) -> tuple[Slot, ...]:
        """All of them, empty ones too."""
        return self._board.slots

    def plugged(self) -> tuple[Slot, ...]:
        """Those with a live binding."""
        return self._board.plugged

    def by_name(self, name: str) -> Slot | None:
        """The slot of that name, upper or lower case; `slot_3` until slot 3 is renamed."""
        return self._board.by_name.get(name) or self._board.by_name.get(name.casefold())

    @property
    def providers(self) -> Mapping[str, type]:
        """Every provider that can be plugged, by id: the classes as they were registered."""
        return MappingProxyType({name: registered_class(kind) for name, kind in self._registrar.types.items()})

    @property
    def configs(self) -> Mapping[str, dict[str, Any]]:
        """The saved config of each provider id; a copy, with references where secrets are."""
        return MappingProxyType(self._configs.all())

    @property
    def active(self) -> dict[int, str]:
        """Slot to provider id, for the slots that hold something."""
        return {int(slot.number): slot.spec.provider for slot in self._board.slots if slot.spec is not None}

    def list_providers(self) -> list[dict[str, Any]]:
        """Every provider once: id, type, display_name, capabilities, whether it is configured and whether it answers now."""
        ready = {slot.spec.provider for slot in self._board.plugged if slot.spec is not None and slot.problem is None}
        return described_providers(
            self._registrar.cards(), configured={*self.active.values(), *self._configs.all()}, available=ready
        )

    def list_slots(self) -> dict[str, Any]:
        """The panel in one dict: {slots, total, plugged}."""
        return {
            "slots": [listed(slot) for slot in self._board.slots],
            "total": len(self._board.slots),
            "plugged": len(self._board.plugged),
        }

    def slot_info(self, slot: int) -> dict[str, Any]:
        """All that is known of one slot."""
        return described(self.slot(slot))

    def history(self, limit: int = 100) -> list[SlotEventRow]:
        """The newest changes first, with what was there before and after. Reads the store: call it in a thread."""
        return self._board.store.events(limit)

    def subscribe(self, queue_max: int = 256) -> Subscription:
        """Events from now on: `async with registry.subscribe() as events: async for event in events`."""
        return self._feed.subscribe(queue_max)

    # Adapters

    def get_adapter(self, slot: int) -> InferenceProviderAdapter | None:
        """The handle on what is plugged there, the same object each time; None for an empty slot. Raises SlotOutOfRange."""
        return self._handles.on_slot(self.slot(slot))

    def get_provider(self, provider_id: str) -> InferenceProviderAdapter:
        """The handle on a provider: the first slot that holds it, else one outside the panel with the saved config.

        The same object until its config changes. Raises ProviderNotFound listing the known ids, or what creating it raises.
        """
        return self._handles.on_provider(provider_id)

    def get_default_provider(self) -> InferenceProviderAdapter:
        """The provider that the settings call active; where none is, the first plugged chat slot. Raises NoCapableProvider."""
        return self._handles.default()

    def set_default_provider(self, provider_id: str | None) -> None:
        """Raises ProviderNotFound."""
        self._handles.default_provider = None if provider_id is None else self._registrar.canonical(provider_id)

    def get_provider_for(self, requirement: CapabilityRequirement) -> InferenceProviderAdapter:
        """The first plugged slot that states it can do all of it. Raises NoCapableProvider, saying what each lacks."""
        return self._handles.able(requirement)

    def register(self, provider_id: str, adapter: type, *, replace: bool = False) -> None:
        """Adds a provider: a subclass of InferenceProviderAdapter, or a type with a card of that id.

        Raises Conflict "already registered" unless `replace`, BadRequest for a class that is neither.
        """
        self._registrar.register(as_provider_type(provider_id, adapter), replace=replace)

    # Operations

    async def plug(
        self,
        slot: int,
        provider_id: str,
        config: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        name: str | None = None,
        generation: Generation | None = None,
        role: str | None = None,
        consent: bool = False,
        require_ready: bool = True,
        actor: str = "user",
    ) -> bool:
        """Puts a provider into a slot in place of what is there; True. `config` None takes the provider's saved config.

        With `require_ready` a source that does not answer is refused and the old plug stays. Without, the slot shows the
        problem. A secret in `config` goes to the secret store at once. Raises SlotOutOfRange, ProviderNotFound,
        BadRequest, AuthFailed, ModeForbids (no consent), Conflict (name), Unavailable, TimedOut, MissingExtra.
        """
        number = self.slot(slot).number
        self._board.check_open()
        if name is not None:
            panel.checked_name(self._board.places, number, name)
        draft = self._configs.draft(provider_id, config, model, generation, role)
        ready = await self._plugger.ready(draft, number, consent=consent, require_ready=require_ready)
        detail = {"provider": ready.spec.provider, "model": ready.spec.model, "problem": ready.problem}

        def plan(places: Places) -> Change:
            return Change(panel.plugged(places, number, ready.spec, name), {number: arrival_of(ready)}, detail=detail)

        await self._board.commit("plug", plan, actor, [ready])
        await self._configs.keep(ready)
        return True

    async def hosts_to_allow(self, provider_id: str, config: Mapping[str, Any] | None, model: str | None = None) -> list[str]:
        """Where `plug` would send prompts that nobody allowed yet. Connects to nothing; raises as the making of a provider."""
        return sorted(await self._plugger.hosts_to_allow(self._configs.draft(provider_id, config, model, None, None)))

    async def plug_set(
        self, wanted: Mapping[Any, Mapping[str, Any]], *, consented: Iterable[str] = (), actor: str = "settings"
    ) -> tuple[Slot, ...]:
        """Plugs slots as a settings file lists them: {"0": {"provider": ..., "config": ..., "model": ..., "name": ...}}.

        All at the same time; what cannot be had becomes a slot with a problem. Raises only for an entry that says nonsense.
        """
        allowed = frozenset(consented)
        numbers = await asyncio.gather(*(self._plug_entry(key, entry, allowed, actor) for key, entry in wanted.items()))
        return tuple(self._board.slots[number] for number in sorted(numbers))

    async def _plug_entry(self, key: Any, entry: Mapping[str, Any], allowed: frozenset[str], actor: str) -> int:
        number = self.slot(int(key)).number
        unknown = sorted(set(entry) - _SET_FIELDS)
        if unknown:
            raise BadRequest(
                f"slots.{key}: unknown key {unknown[0]!r}{did_you_mean(unknown[0], _SET_FIELDS)}", param=f"slots.{key}"
            )
        provider = entry.get("provider")
        if not isinstance(provider, str):
            raise BadRequest(f"slots.{key}: says no provider", param=f"slots.{key}")
        await self.plug(
            number,
            provider,
            entry.get("config") or {},
            model=entry.get("model"),
            name=entry.get("name"),
            role=entry.get("role"),
            consent=entry.get("consent") == "allow" or provider in allowed,
            require_ready=False,
            actor=actor,
        )
        return int(number)

    async def unplug(self, slot: int, *, actor: str = "user") -> bool:
        """Empties a slot; False if it was empty. Running requests finish, then the provider is closed."""
        number = self.slot(slot).number

        def plan(places: Places) -> Change:
            return Change(panel.unplugged(places, number), detail={"was": source_of(places[number].spec)})

        try:
            await self._board.commit("unplug", plan, actor)
        except SlotEmpty:
            return False
        return True

    async def unplug_slot(self, slot: int, *, actor: str = "user") -> dict[str, Any]:
        """`unplug`, told as {status, unplugged, was}. Raises SlotEmpty."""
        number = self.slot(slot).number
        was = source_of(panel.filled(self._board.places, number))
        await self.unplug(number, actor=actor)
        return {"status": "ok", "unplugged": int(number), "was": was}

    async def swap_slots(self, a: int, b: int, *, actor: str = "user") -> None:
        """Exchanges two slots. Running requests finish where they began; given names and metrics go with their provider."""
        first, second = self.slot(a).number, self.slot(b).number

        def plan(places: Places) -> Change:
            return Change(panel.swapped(places, first, second), moves={first: second, second: first})

        await self._board.commit("swap", plan, actor)

    async def rename_slot(self, slot: int, new_name: str, *, actor: str = "user") -> None:
        """Raises BadRequest for what cannot be a name, Conflict for a name that means another slot."""
        number = self.slot(slot).number

        def plan(places: Places) -> Change:
            detail = {"old": panel.shown_name(places, number), "new": new_name.strip()}
            return Change(panel.renamed(places, number, new_name), detail=detail)

        await self._board.commit("rename", plan, actor)

    async def clone_slot(self, slot: int, count: int = 1, *, actor: str = "user") -> list[int]:
        """Copies a slot's spec into the next `count` free slots, each with a provider of its own. Gives their numbers.

        Raises SlotEmpty; Conflict, naming how many are free, when they are too few: then nothing is done.
        """
        source = self.slot(slot).number
        targets = panel.clone_targets(self._board.places, source, count, frozenset(self._reserved))
        spec = panel.filled(self._board.places, source)
        with self._reserving(targets):
            ready = await self._plugger.ready_many(dict.fromkeys(targets, spec), require_ready=True)

            def plan(places: Places) -> Change:
                taken = [number for number in targets if places[number].spec is not None]
                if taken or places[source].spec is not spec:
                    raise Conflict(f"slot {(taken or [int(source)])[0]} changed meanwhile: nothing was cloned; try again")
                arrivals = {number: arrival_of(each) for number, each in ready.items()}
                return Change(panel.cloned(places, source, targets), arrivals, detail={"source": int(source)})

            await self._board.commit("clone", plan, actor, list(ready.values()))
        return targets

    async def mutate_slot(
        self,
        slot: int,
        rate: float | None = None,
        scale: float | None = None,
        seed: int | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        actor: str = "user",
        **named: Any,
    ) -> dict[str, list[Any]]:
        """Changes a slot's generation settings: seeded noise, or settings by name, or both. Gives {setting: [old, new]}.

        Without named settings there is noise on a share `rate` (0.1) of the settings, of deviation `scale` (0.05) of each
        one's range. Running requests keep the settings they began with. Raises NotSupported where there are none.
        """
        number = self.slot(slot).number
        wanted = {**(settings or {}), **named}
        noise = None
        if not wanted or rate is not None or scale is not None:
            noise = (DEFAULT_RATE if rate is None else rate, DEFAULT_SCALE if scale is None else scale)
        changed: dict[str, list[Any]] = {}

        def plan(places: Places) -> Change:
            spec = panel.filled(places, number)
            held = self._board.slots[number]
            _check_mutable(held)
            generation = with_settings(spec.generation, wanted) if wanted else spec.generation
            if noise is not None:
                generation = perturbed(generation, *noise, seed)
            changed.update(differences(spec.generation, generation))
            fresh = msgspec.structs.replace(spec, generation=generation)
            arrival = (None if held.binding is None else held.binding.with_spec(fresh), held.problem)
            detail = {"changed": changed, "seed": seed}
            return Change({number: Place(places[number].name, fresh)}, {number: arrival}, detail=detail)

        await self._board.commit("mutate", plan, actor)
        return changed

    async def undo(self, *, actor: str = "user") -> SlotEvent:
        """Takes the last change back: specs and names as they were before it. Works after a restart too.

        The event's detail says what was `undone`. Raises Conflict when there is nothing to undo.
        """
        row = await asyncio.to_thread(self._board.store.last_change)
        if row is None:
            raise Conflict("there is nothing to undo on this panel")
        if any(before.number >= len(self._board.places) for before in row.before):
            raise Conflict(f"the last change touched slots that this panel of {len(self._board.places)} no longer has")
        changes = {before.number: place_of(before) for before in row.before}
        moves = dict(zip(changes, reversed(changes), strict=True)) if row.kind == "swap" else self._servants(changes)
        missing = {n: place.spec for n, place in changes.items() if place.spec is not None and n not in moves}
        ready = await self._plugger.ready_many(missing, require_ready=False)

        def plan(places: Places) -> Change:
            if any(places[after.number] != place_of(after) for after in row.after):
                raise Conflict("the panel changed while this was being undone: look again, then undo")
            arrivals: dict[int, Arrival] = {number: arrival_of(each) for number, each in ready.items()}
            arrivals |= {number: self._reset(source, changes[number].spec) for number, source in moves.items()}
            return Change(changes, arrivals, detail={"undone": row.kind, "undone_seq": row.id}, undoes=row)

        return await self._board.commit("undo", plan, actor, list(ready.values()))

    def _servants(self, changes: Changes) -> dict[int, int]:
        """Which live bindings among the touched slots can serve what comes back: those that differ in generation only."""
        moves: dict[int, int] = {}
        for number, place in changes.items():
            order = sorted(changes, key=lambda source: source != number)
            fitting = (
                n
                for n in order
                if n not in moves.values()
                and self._board.slots[n].binding
                and _same_source(self._board.slots[n].spec, place.spec)
            )
            source = next(fitting, None)
            if source is not None:
                moves[number] = source
        return moves

    def _reset(self, source: int, spec: SlotSpec | None) -> Arrival:
        """The binding of slot `source`, under the settings of `spec`."""
        held = self._board.slots[source]
        if held.binding is None or spec is None:
            return None, held.problem if spec is not None else None
        return (held.binding if held.spec == spec else held.binding.with_spec(spec)), held.problem

    async def plug_model(
        self, model_id: str, slot_name: str | None = None, *, consent: bool = False, actor: str = "user"
    ) -> dict[str, Any]:
        """Plugs a local model into the first free slot. An http(s) address instead plugs the OpenAI-compatible server there.

        Gives {status, slot, model, type, limits}. Raises Conflict "no empty slots" before anything is loaded.
        """
        provider, config, model = local_or_remote(model_id)
        with self._reserving([self._needed_free()]) as (number,):
            await self.plug(number, provider, config, model=model, name=slot_name, consent=consent, actor=actor)
        binding = self._board.slots[number].binding
        if binding is None:
            raise SlotEmpty(f"slot {number} was unplugged meanwhile: plug again", slot=number)
        record = binding.capabilities
        return {
            "status": "ok",
            "slot": number,
            "model": binding.spec.model or record.default_model or model_id,
            "type": binding.info.type,
            "limits": {"context_length": record.max_context, "max_gen_tokens": record.max_output_tokens},
        }

    async def grab_slot(self, slot: int) -> str:
        """Keeps a slot's spec and name under a key, beyond unplugging and restarts. Gives the key. Raises SlotEmpty."""
        number = self.slot(slot).number
        panel.filled(self._board.places, number)
        row = stored(number, self._board.places[number])
        key = _free_key(f"{row.name}-{row.provider}", await self.grabbed_keys())
        await asyncio.to_thread(self._board.store.grab, key, row)
        return key

    async def grabbed_keys(self) -> list[str]:
        return await asyncio.to_thread(self._board.store.grabbed_keys)

    async def restore_slot(self, key: str, slot: int | None = None, *, actor: str = "user") -> int:
        """Plugs what was grabbed under `key` into `slot`, or the first free one; its number. Raises NotFound, Conflict."""
        row = await asyncio.to_thread(self._board.store.grabbed, key)
        if row is None or row.provider is None:
            known = await self.grabbed_keys()
            raise NotFound(f"nothing was grabbed as {key!r}{did_you_mean(key, known)}: known are {', '.join(known) or 'none'}")
        place = place_of(row)
        wanted = self._needed_free() if slot is None else self.slot(slot).number
        with self._reserving([wanted]) as (number,):
            try:
                name = place.name and panel.checked_name(self._board.places, number, place.name)
            except Conflict:
                name = None
            await self.plug(
                number,
                row.provider,
                row.config,
                model=row.model,
                name=name,
                generation=row.generation,
                role=row.role,
                actor=actor,
            )
        return number

    async def invoke_slot(
        self,
        slot: int,
        text: str = "",
        mode: str = "auto",
        max_tokens: int = 0,
        messages: Sequence[Mapping[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Asks one slot. `mode` auto, generate or embed; `max_tokens` 0 is the model's own budget; `messages` overrides text.

        Gives {slot, name, mode, output, ...}, or for embed {slot, name, mode, dim, embedding}. Raises SlotEmpty and what
        the provider raises: an error is never an answer.
        """
        seen = self.slot(slot)
        adapter = self._handles.on_slot(seen)
        if adapter is None:
            if seen.problem is not None:
                raise SlotEmpty(f"slot {int(seen.number)} is not plugged: {seen.problem}", slot=int(seen.number))
            panel.filled(self._board.places, seen.number)
        assert adapter is not None
        return await invoke(adapter, seen, text, mode=mode, max_tokens=max_tokens, messages=messages)

    async def check_slot(self, slot: int) -> Slot:
        """Looks at a slot's source now: renews its problem, and plugs a wanted provider that could not be had before."""
        seen = self.slot(slot)
        if seen.spec is None:
            return seen
        if seen.binding is not None:
            await self.look(seen.binding, LOOK_WITHIN_S)
        else:
            ready = await self._plugger.ready(seen.spec, seen.number, consent=False, require_ready=False)
            await self._board.settle(seen, arrival_of(ready), ready)
        return self._board.slots[seen.number]

    async def renew(self, slot: int) -> None:
        """Makes a slot's provider anew: what the settings add to its config has changed. Running requests finish on the old."""
        seen = self.slot(slot)
        if seen.spec is not None:
            ready = await self._plugger.ready(seen.spec, seen.number, require_ready=False)
            await self._board.settle(seen, arrival_of(ready), ready)

    # Life

    async def restore(self) -> None:
        """Brings the stored panel back, all slots at once; what cannot be had shows its problem. Call once, at start."""
        await self._configs.load()
        places = list(self._board.places)
        for row in await asyncio.to_thread(self._board.store.load):
            if row.number < len(places):
                places[row.number] = place_of(row)
        wanted = {number: place.spec for number, place in enumerate(places) if place.spec is not None}
        ready = await self._plugger.ready_many(wanted, require_ready=False)
        for each in ready.values():
            each.keep()
        self._board.show(tuple(places), {number: arrival_of(each) for number, each in ready.items()}, {})

    async def aclose(self) -> None:
        """Closes every provider, running requests or not. Idempotent."""
        lives = await self._board.aclose() | self._handles.take_idle()
        await asyncio.gather(*(close(live) for live in lives))

    def retire(self, live: LiveProvider) -> None:
        """Takes a provider outside the panel out of service; running requests finish."""
        self._board.retire([live])

    async def reconnect(self, binding: Binding, config: Mapping[str, Any]) -> Binding:
        """For a handle whose `connect` was given a new config: plugs it anew where it stands."""
        for slot in self._board.slots:
            if slot.binding is not None and slot.binding.live is binding.live:
                await self.plug(slot.number, binding.spec.provider, config, actor="adapter")
                return self._board.slots[slot.number].binding or binding
        raise SlotEmpty(f"{binding.info.id} is in no slot any more: plug it again", provider=binding.info.id)

    async def look(self, binding: Binding, within_s: float, *, learn: bool = True) -> str | None:
        """For a handle: looks at the source now, and shows in its slots what was found. What is wrong, or None."""
        problem = await self._plugger.look(binding.live, binding.spec, within_s, learn=learn)
        for slot in self._board.slots:
            if slot.binding is not None and slot.binding.live is binding.live and slot.problem != problem:
                await self._board.settle(slot, (slot.binding, problem), None)
        return problem

    async def release(self, binding: Binding) -> None:
        """For a handle whose `disconnect` was called: unplugs it wherever it stands, and closes it."""
        for slot in self._board.slots:
            if slot.binding is not None and slot.binding.live is binding.live:
                await self.unplug(slot.number, actor="adapter")
        await close(binding.live)

    # Free slots

    def first_free(self) -> int | None:
        """The lowest free slot that no running operation has in hand; None when all are taken."""
        free = panel.free_numbers(self._board.places, frozenset(self._reserved))
        return free[0] if free else None

    def _needed_free(self) -> int:
        free = self.first_free()
        if free is None:
            raise Conflict(f"no empty slots: all {len(self._board.slots)} are plugged; unplug one first")
        return free

    @contextlib.contextmanager
    def _reserving(self, numbers: Iterable[int]) -> Iterator[list[int]]:
        """Keeps other operations that look for free slots away from these."""
        held = [int(number) for number in numbers if number not in self._reserved]
        self._reserved.update(held)
        try:
            yield [int(number) for number in numbers]
        finally:
            self._reserved.difference_update(held)


def _same_source(held: SlotSpec | None, wanted: SlotSpec | None) -> bool:
    if held is None or wanted is None:
        return False
    return msgspec.structs.replace(held, generation=wanted.generation) == wanted


def _check_mutable(slot: Slot) -> None:
    record = None if slot.binding is None else slot.binding.capabilities
    role = "chat" if slot.spec is None else slot.spec.role
    if role != "chat" or (record is not None and "text-generation" not in record.supported_tasks):
        raise NotSupported(
            f"slot {int(slot.number)} holds a source for {role}, which has no generation settings: choose a chat slot",
            slot=int(slot.number),
        )


def _free_key(base: str, taken: Sequence[str]) -> str:
    key, count = base, 1
    while key in taken:
        count += 1
        key = f"{base}-{count}"
    return key
