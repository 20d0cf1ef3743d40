"""Which models the panel offers: what each slot's source last listed, refreshed in the background, never waited for long.

A source that hangs or is down delays nobody and hides nobody: its slot is listed, marked stale or with its error.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.core.ids import SlotNumber
from jackfield.core.profiles import ModelProfile
from jackfield.core.redaction import redact
from jackfield.slots.live import LiveProvider
from jackfield.slots.slot import Binding, Slot, default_name

if TYPE_CHECKING:
    from jackfield.slots.registry import ProviderRegistry

FRESH_FOR_S = 30.0
LIST_WITHIN_S = 10.0
TOLD_WITHIN_S = 0.15
"""How long a client waits for sources that are slow to list: with all else it has its answer within 0.3 s."""


class CatalogueEntry(msgspec.Struct, frozen=True):
    """A name that a client may use as a model. `model` is the source's own name, None where the source chooses.

    `stale`: not confirmed lately. `error` says, for a person, why the source could not be asked.
    """

    id: str
    slot: SlotNumber
    provider: str
    model: str | None
    profile: ModelProfile | None
    stale: bool = False
    error: str | None = None


class Catalogue:
    """`clock` gives seconds, the same that the registry's is."""

    def __init__(
        self,
        registry: "ProviderRegistry",
        *,
        clock: Callable[[], float] = time.time,
        fresh_for_s: float = FRESH_FOR_S,
        list_within_s: float = LIST_WITHIN_S,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._fresh_for_s = fresh_for_s
        self._list_within_s = list_within_s
        self._asking: dict[LiveProvider, asyncio.Task[None]] = {}
        self._errors: dict[LiveProvider, str] = {}
        self._index: dict[str, tuple[Slot, ...]] = {}
        self._indexed: tuple[Slot, ...] | None = None
        self.version = 0
        """Rises when a source lists other models than before."""

    async def models(self, deadline_s: float = TOLD_WITHIN_S) -> tuple[CatalogueEntry, ...]:
        """Every slot by number and given name, then every model that a slot lists, once; after `deadline_s` at the latest."""
        waiting = [task for live in self._live() if (task := self._refresh(live)) is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=deadline_s)
        return self._entries()

    def find(self, text: str) -> Slot | None:
        """The first slot whose source lists this model, from memory."""
        return next(iter(self.find_all(text)), None)

    def find_all(self, text: str) -> tuple[Slot, ...]:
        """Every slot whose source lists this model, in slot order, from memory."""
        if self._indexed is not self._registry.slots():
            self._reindex()
        return self._index.get(text, ())

    def expire(self, live: LiveProvider) -> None:
        """What this source listed is known to be over: it is asked anew the next time somebody wants to know."""
        live.listed_at = 0.0

    async def aclose(self) -> None:
        """Stops asking. Idempotent."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _live(self) -> list[LiveProvider]:
        """Those that are plugged now, each once; what is known of others is forgotten."""
        lives = list(dict.fromkeys(slot.binding.live for slot in self._registry.plugged() if slot.binding is not None))
        self._errors = {live: error for live, error in self._errors.items() if live in lives}
        return lives

    def _refresh(self, live: LiveProvider) -> asyncio.Task[None] | None:
        """Asks a source anew, unless it was asked lately or is being asked. None where there is nothing to wait for."""
        running = self._asking.get(live)
        if running is not None:
            return running
        if live.lists_models is None or (live.listing is not None and not self._is_old(live) and live not in self._errors):
            return None
        task = asyncio.get_running_loop().create_task(self._ask(live), name=f"list models of {live.info.id}")
        self._asking[live] = task
        task.add_done_callback(lambda _: self._asking.pop(live, None))
        return task

    async def _ask(self, live: LiveProvider) -> None:
        assert live.lists_models is not None
        try:
            async with asyncio.timeout(self._list_within_s):
                listing = await live.lists_models.list_models()
        except TimeoutError:
            self._errors[live] = f"listed no models within {self._list_within_s:g} s: look whether it hangs"
        except JackfieldError as error:
            self._errors[live] = redact(error.message)
        else:
            live.listed_at = self._clock()
            self._errors.pop(live, None)
            if listing != live.listing:
                live.listing = listing
                self.version += 1
            self._indexed = None

    def _is_old(self, live: LiveProvider) -> bool:
        return self._clock() - live.listed_at > self._fresh_for_s

    def _reindex(self) -> None:
        self._indexed = self._registry.slots()
        self._index = {}
        for slot in self._registry.plugged():
            assert slot.binding is not None
            for profile in slot.binding.live.listing or ():
                self._index[profile.id] = (*self._index.get(profile.id, ()), slot)

    def _entries(self) -> tuple[CatalogueEntry, ...]:
        entries: dict[str, CatalogueEntry] = {}
        for slot in self._registry.plugged():
            assert slot.binding is not None
            for entry in self._of_slot(slot, slot.binding):
                entries.setdefault(entry.id, entry)
        for slot in self._registry.plugged():
            assert slot.binding is not None
            entry = self._entry(slot, slot.binding, slot.number.model_name, None, None)
            for profile in slot.binding.live.listing or ():
                entries.setdefault(
                    profile.id, msgspec.structs.replace(entry, id=profile.id, model=profile.id, profile=profile, error=None)
                )
        return tuple(entries.values())

    def _of_slot(self, slot: Slot, binding: Binding) -> list[CatalogueEntry]:
        model = binding.spec.model or binding.capabilities.default_model
        listing = binding.live.listing or ()
        profile = next((profile for profile in listing if profile.id == model), binding.live.profile)
        entry = self._entry(slot, binding, slot.number.model_name, model, profile)
        if slot.name == default_name(slot.number):
            return [entry]
        return [entry, msgspec.structs.replace(entry, id=slot.name)]

    def _entry(self, slot: Slot, binding: Binding, id_: str, model: str | None, profile: ModelProfile | None) -> CatalogueEntry:
        live = binding.live
        stale = live.lists_models is not None and (live.listing is None or self._is_old(live) or live in self._asking)
        return CatalogueEntry(id_, slot.number, binding.info.id, model, profile, stale, self._errors.get(live))
