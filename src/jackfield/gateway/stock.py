"""The models that the slots' sources hold, in memory and on disk: loaded and unloaded, fetched and removed, by name.

For every door alike; knows no dialect. Asks the source itself: none of this is a request that a route is looked for.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

from jackfield.core.contracts import DeletesModels, LoadedModel, LoadsModels, PullProgress, PullsModels
from jackfield.core.errors import BadRequest, JackfieldError, ModelNotFound, NotSupported, SlotEmpty
from jackfield.core.redaction import redact_error
from jackfield.gateway.naming import empty
from jackfield.gateway.route import Target
from jackfield.gateway.standing import Standings
from jackfield.slots.catalogue import Catalogue
from jackfield.slots.graphics import FoundDevice
from jackfield.slots.live import LiveProvider
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.slot import Binding

TELL_WITHIN_S = 2.0
LATEST = ":latest"
_OTHER_WORDS = {"gpu": ("cuda", "rocm", "mps"), "metal": ("mps",)}
Capability = TypeVar("Capability")
Devices = Callable[[], Sequence[FoundDevice] | None]
KINDS = ("cpu", "cuda", "rocm", "mps")


class Held(NamedTuple):
    """A model and the slot that has it. `hardware` None: as its source chose."""

    slot: int
    provider: str
    model: str
    hardware: str | None = None


class InMemory(NamedTuple):
    """A loaded model and the slot whose source holds it."""

    slot: int
    provider: str
    model: LoadedModel


class Stock:
    """`devices` looks what this machine has, blocking, and gives None where nobody may look.

    `known_secrets` are those that no error may carry.
    """

    def __init__(
        self,
        standings: Standings,
        registry: ProviderRegistry,
        catalogue: Catalogue,
        devices: Devices,
        known_secrets: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._standings = standings
        self._registry = registry
        self._catalogue = catalogue
        self._devices = devices
        self._known_secrets = known_secrets

    def known_as(self, text: str) -> str:
        """The name itself, or the same with or without `:latest` where only that is known. Raises what `Names.find` does."""
        try:
            self._standings.of(text)
        except ModelNotFound:
            other = _other_name(text)
            if other is None:
                raise
            with suppress(ModelNotFound):
                self._standings.of(other)
                return other
            raise
        return text

    def targets(self, text: str) -> list[Target]:
        """Who stands behind a name, in slot order; never empty. Raises SlotEmpty too."""
        standing = self._standings.of(self.known_as(text))
        if not standing.targets:
            raise empty(standing.found[0][0])
        return list(standing.targets.values())

    async def load(self, text: str, hardware: str | None = None) -> Held:
        """Done when it can answer. Raises ModelNotFound; BadRequest (422) for hardware that is absent or cannot be chosen."""
        target, source = self._able(text, LoadsModels, "its models cannot be loaded from here")
        kind = None if hardware in (None, "", "auto") else await self._on_hand(str(hardware))
        model = _model_of(target)
        with self.asking(target.binding):
            try:
                await source.load_model(model, kind)
            except NotSupported as error:
                if error.param == "hardware":
                    error.status = 422
                raise
        return Held(target.slot, target.binding.info.id, model, kind)

    async def unload(self, text: str) -> Held:
        """Raises ModelNotFound."""
        target, source = self._able(text, LoadsModels, "its models cannot be unloaded from here")
        model = _model_of(target)
        with self.asking(target.binding):
            await source.unload_model(model)
        return Held(target.slot, target.binding.info.id, model)

    async def loaded(self) -> list[InMemory]:
        """What every source that can tell has in memory; one that does not say so in time is left out."""
        sources: dict[LiveProvider, tuple[int, Binding]] = {}
        for slot in self._registry.plugged():
            if slot.binding is not None and isinstance(slot.binding.live.provider, LoadsModels):
                sources.setdefault(slot.binding.live, (int(slot.number), slot.binding))
        told = await asyncio.gather(*(self._tell(*each) for each in sources.values()))
        return [each for of_one in told for each in of_one]

    async def pull(self, text: str) -> AsyncGenerator[PullProgress, None]:
        """Fetches a model to the disk of the slot that has it or is named, else of the first that fetches models."""
        binding, model = self._fetcher(text)
        source = binding.live.provider
        assert isinstance(source, PullsModels)
        with self.asking(binding):
            async with aclosing(_as_generator(source.pull_model(model))) as steps:
                async for step in steps:
                    yield step
        await self._list_anew(binding)

    async def delete(self, text: str) -> Held:
        """Removes a model from its source's disk. Raises ModelNotFound, BadRequest for a slot's name: say which model."""
        target, source = self._able(text, DeletesModels, "its models cannot be deleted from here")
        if target.model is None:
            raise BadRequest(f"{text} names a slot: name the model that is to be deleted", param="model")
        with self.asking(target.binding):
            await source.delete_model(target.model)
        await self._list_anew(target.binding)
        return Held(target.slot, target.binding.info.id, target.model)

    def _able(self, text: str, capability: type[Capability], otherwise: str) -> tuple[Target, Capability]:
        targets = self.targets(text)
        for target in targets:
            if isinstance(target.binding.live.provider, capability):
                return target, target.binding.live.provider
        first = targets[0]
        raise NotSupported(otherwise, provider=first.binding.info.id, slot=first.slot, param="model", status=422)

    def _fetcher(self, text: str) -> tuple[Binding, str]:
        with suppress(ModelNotFound, SlotEmpty):
            for target in self.targets(text):
                if isinstance(target.binding.live.provider, PullsModels):
                    return target.binding, _model_of(target)
        for slot in self._registry.plugged():
            if slot.binding is not None and isinstance(slot.binding.live.provider, PullsModels):
                return slot.binding, text
        raise NotSupported("no slot fetches models: plug one that does, such as ollama", param="model")

    async def _on_hand(self, hardware: str) -> str:
        """The kind of a device that is to be had here, as far as may be looked. Raises BadRequest (422) that names them all."""
        wanted = hardware.strip().lower()
        devices = await asyncio.to_thread(self._devices)
        kinds = KINDS if devices is None else tuple(dict.fromkeys(device.kind for device in devices))
        found = next((kind for kind in _OTHER_WORDS.get(wanted, (wanted,)) if kind in kinds), None)
        if found is None:
            raise BadRequest(
                f"hardware {wanted[:40]!r} is not to be had on this machine: choose {', '.join(kinds)}",
                status=422,
                code="hardware_unavailable",
                param="hardware",
            )
        return found

    async def _tell(self, number: int, binding: Binding) -> list[InMemory]:
        source = binding.live.provider
        assert isinstance(source, LoadsModels)
        with suppress(JackfieldError, TimeoutError):
            async with asyncio.timeout(TELL_WITHIN_S):
                return [InMemory(number, binding.info.id, model) for model in await source.loaded_models()]
        return []

    async def _list_anew(self, binding: Binding) -> None:
        self._catalogue.expire(binding.live)
        await self._catalogue.models()

    @contextmanager
    def asking(self, binding: Binding) -> Iterator[None]:
        """Holds the provider while it is asked; its errors carry no secret. Raises SlotEmpty when it is gone."""
        binding.acquire()
        try:
            yield
        except JackfieldError as error:
            redact_error(error, self._known_secrets())
            raise
        finally:
            binding.release()


def _model_of(target: Target) -> str:
    model = target.model or target.binding.model
    if model is None:
        raise BadRequest(f"slot {target.slot} has no model of its own: name the model", param="model", slot=target.slot)
    return model


def _other_name(text: str) -> str | None:
    """The same name with or without the tag that Ollama's clients add to one that has none."""
    if text.endswith(LATEST):
        return text.removesuffix(LATEST) or None
    return None if ":" in text.rpartition("/")[2] else text + LATEST


async def _as_generator(steps: Any) -> AsyncGenerator[PullProgress, None]:
    """Any iterator, as one that can be closed."""
    try:
        async for step in steps:
            yield step
    finally:
        close = getattr(steps, "aclose", None)
        if close is not None:
            await close()
