"""Brings a spec to life: secrets put away, the provider created, consent asked for, the source looked at.

Every step can be taken back, so that a plug which fails leaves nothing behind: no key, no consent, no open provider. Does
not know which slot the result will stand in, only what to call it in messages.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

import msgspec

from jackfield.core.contracts import ProviderInfo
from jackfield.core.errors import JackfieldError, MissingExtra, ModeForbids, ModelNotFound, TimedOut, Unavailable
from jackfield.core.modes import OperatingMode
from jackfield.core.parameters import SYNONYMS
from jackfield.core.profiles import ModelProfile
from jackfield.core.requests import Generation
from jackfield.slots.live import LiveProvider, Standing
from jackfield.slots.mutation import with_settings
from jackfield.slots.sealing import sealed
from jackfield.slots.slot import Binding, SlotRole, SlotSpec
from jackfield.slots.workbench import Workbench

# How long a source may take to say that it is ready: a server that runs already, or a model that is loaded in this process.
READY_WITHIN_S = 15.0
LOAD_WITHIN_S = 600.0
# Where nobody waits for readiness, a look is a courtesy.
LOOK_WITHIN_S = 2.0
_MOVABLE = {
    name: canonical
    for canonical, names in SYNONYMS.items()
    if canonical in Generation.__struct_fields__ and canonical != "context_length"
    for name in (canonical, *names)
}


class Secrets(Protocol):
    """The part of the secret store that is needed here."""

    def put(self, name: str, value: str) -> str: ...
    def names(self) -> list[str]: ...
    def delete(self, name: str) -> bool: ...


class ConsentRecord(Protocol):
    """Where consents outlive the process."""

    def grant(self, provider_id: str, hosts: Collection[str]) -> Any: ...
    def revoke(self, provider_id: str) -> bool: ...


class Ready:
    """What a slot may take over: a sealed spec with its binding, or with the problem that kept it from having one.

    Its taker calls `keep`; otherwise `discard` takes every step back.
    """

    def __init__(self, spec: SlotSpec, binding: Binding | None, problem: str | None, steps: AsyncExitStack) -> None:
        self.spec = spec
        self.binding = binding
        self.problem = problem
        self._steps = steps

    def keep(self) -> None:
        self._steps.pop_all()

    async def discard(self) -> None:
        await self._steps.aclose()


class Plugger:
    """`mode_is_fixed` keeps consent from widening the operating mode: the person pinned it in the settings."""

    def __init__(
        self,
        bench: Workbench,
        *,
        secrets: Secrets,
        clock: Callable[[], float],
        consents: ConsentRecord | None = None,
        mode_is_fixed: bool = False,
    ) -> None:
        self._bench = bench
        self._types = bench.types
        self._secrets = secrets
        self._gate = bench.gate
        self._clock = clock
        self._consents = consents
        self._mode_is_fixed = mode_is_fixed

    async def ready(self, draft: SlotSpec, number: int, *, consent: bool = False, require_ready: bool = True) -> Ready:
        """A draft made ready to be plugged into slot `number`.

        With `require_ready` the source must answer. Without, nothing is raised but a BadRequest for a config that cannot be
        sealed: what is wrong becomes the problem. Raises ProviderNotFound, BadRequest, AuthFailed, ModeForbids,
        MissingExtra, Unavailable, TimedOut.
        """
        label = f"slot-{int(number)}"
        async with AsyncExitStack() as undo:
            spec, names = await asyncio.to_thread(self.seal, draft, label)
            for name in names:
                undo.push_async_callback(asyncio.to_thread, self._secrets.delete, name)
            try:
                spec = self.settled(spec)
                binding, problem = await self._bring_up(spec, label, undo, consent=consent, require_ready=require_ready)
            except JackfieldError as error:
                error.slot = int(number)
                if require_ready:
                    raise
                return Ready(spec, None, error.message, undo.pop_all())
            return Ready(binding.spec, binding, problem, undo.pop_all())
        raise AssertionError  # the block above returns or raises

    async def ready_many(self, wanted: Mapping[int, SlotSpec], *, require_ready: bool) -> dict[int, Ready]:
        """Several at the same time, all or nothing: where one fails, the others are taken back. Raises as `ready`."""
        ready: dict[int, Ready] = {}

        async def one(number: int, spec: SlotSpec) -> None:
            ready[number] = await self.ready(spec, number, require_ready=require_ready)

        try:
            async with asyncio.TaskGroup() as group:
                for number, spec in wanted.items():
                    group.create_task(one(number, spec))
        except BaseException as failure:
            for each in ready.values():
                await each.discard()
            if isinstance(failure, BaseExceptionGroup) and isinstance(failure.exceptions[0], JackfieldError):
                raise failure.exceptions[0] from None
            raise
        return {number: ready[number] for number in wanted}

    async def hosts_to_allow(self, draft: SlotSpec) -> frozenset[str]:
        """Hosts off this machine that plugging `draft` needs a person's consent for; empty where no consent would help.

        Connects to nothing and leaves nothing behind. Raises ProviderNotFound, BadRequest, AuthFailed, MissingExtra.
        """
        async with AsyncExitStack() as undo:
            spec, names = await asyncio.to_thread(self.seal, draft, "draft")
            for name in names:
                undo.push_async_callback(asyncio.to_thread, self._secrets.delete, name)
            made = self._bench.make(self.settled(spec))
            undo.push_async_callback(made.live.aclose)
            mode = self._gate.mode
            if mode is OperatingMode.AIRGAPPED or (self._mode_is_fixed and mode is not OperatingMode.BURST):
                return frozenset()
            return _hosts_outside(made.info) - self._gate.consents.get(made.info.id, frozenset())
        raise AssertionError  # the block above returns or raises

    def seal(self, draft: SlotSpec, label: str) -> tuple[SlotSpec, list[str]]:
        """`draft` with references for its secrets, which are stored as `label/KEY`, and the names of those.

        May block on a keyring or a disk. Raises BadRequest.
        """
        taken = set(self._secrets.names())
        stored: list[str] = []

        def keep(name: str, value: str) -> str:
            secret = _free_name(f"{label}/{name}", taken)
            reference = self._secrets.put(secret, value)
            taken.add(secret)
            stored.append(secret)
            return reference

        try:
            return msgspec.structs.replace(draft, config=sealed(draft.config, keep)), stored
        except JackfieldError:
            for name in stored:
                self._secrets.delete(name)
            raise

    def settled(self, spec: SlotSpec) -> SlotSpec:
        """The canonical provider id where it is known, model and generation settings in their own place. Raises BadRequest."""
        try:
            provider_type = self._types.get(spec.provider)
        except JackfieldError:
            return spec
        own = provider_type.card.config_keys
        moved = {key: value for key, value in spec.config.items() if key in _MOVABLE and key not in own and value is not None}
        config = {key: value for key, value in spec.config.items() if key not in moved}
        if "model_id" in config and "model_id" not in own:
            config.setdefault("model", config.pop("model_id"))
        if spec.model is not None:
            config["model"] = spec.model
        said = config.get("model")
        return msgspec.structs.replace(
            spec,
            provider=self._types.canonical(spec.provider),
            config=config,
            model=said if isinstance(said, str) else None,
            generation=with_settings(spec.generation, moved) if moved else spec.generation,
        )

    async def _bring_up(
        self, spec: SlotSpec, label: str, undo: AsyncExitStack, *, consent: bool, require_ready: bool
    ) -> tuple[Binding, str | None]:
        async with AsyncExitStack() as steps:
            made = self._bench.make(spec)
            steps.push_async_callback(made.live.aclose)
            await self._admit(made.info, consent, steps)
            problem = await self._look(made.live, spec, label, require_ready)
            undo.push_async_callback(steps.pop_all().aclose)
            return made.with_spec(msgspec.structs.replace(spec, role=_role(spec, made.live))), problem
        raise AssertionError  # the block above returns or raises

    async def _admit(self, info: ProviderInfo, consent: bool, undo: AsyncExitStack) -> None:
        hosts = _hosts_outside(info)
        if not hosts:
            return
        shown = " and ".join(sorted(hosts))
        if self._gate.mode is OperatingMode.AIRGAPPED:
            raise ModeForbids(
                f"{info.id} sends prompts to {shown}, and airgapped mode lets nothing out: set the mode to local_only or burst",
                provider=info.id,
            )
        before = self._gate.consents.get(info.id, frozenset())
        if not consent and not hosts <= before:
            raise ModeForbids(
                f"{info.id} sends prompts to {shown}; allow with --yes (or consent: allow in the settings file)",
                provider=info.id,
            )
        if self._mode_is_fixed and self._gate.mode is not OperatingMode.BURST:
            raise ModeForbids(
                f"{info.id} sends prompts to {shown}, and the settings keep the mode at {self._gate.mode}: set mode: burst",
                provider=info.id,
            )
        if not hosts <= before:
            undo.push_async_callback(self._withdraw, info.id, before)
            self._gate.grant(info.id, hosts | before)
            if self._consents is not None:
                await asyncio.to_thread(self._consents.grant, info.id, hosts | before)
        if self._gate.mode is not OperatingMode.BURST:
            undo.callback(self._narrow, self._gate.mode)
            self._gate.set_mode(OperatingMode.BURST)

    async def _withdraw(self, provider_id: str, before: frozenset[str]) -> None:
        self._gate.revoke(provider_id)
        if self._consents is not None:
            await asyncio.to_thread(self._consents.revoke, provider_id)
        if before:
            self._gate.grant(provider_id, before)
            if self._consents is not None:
                await asyncio.to_thread(self._consents.grant, provider_id, before)

    def _narrow(self, mode: OperatingMode) -> None:
        """Back to the mode of before, unless some other consent needs the wider one meanwhile."""
        if len(self._gate.consents) <= 1 and self._gate.mode is OperatingMode.BURST:
            self._gate.set_mode(mode)

    async def _look(self, live: LiveProvider, spec: SlotSpec, label: str, require_ready: bool) -> str | None:
        problem = await self.look(live, spec, ready_within_s(live.info) if require_ready else LOOK_WITHIN_S)
        if problem is not None and require_ready:
            raise _kind_of(live.standing)(f"{problem} ({label} is as it was before)", provider=live.info.id)
        return problem

    async def look(self, live: LiveProvider, spec: SlotSpec, within_s: float, *, learn: bool = True) -> str | None:
        """Looks at the source and notes its standing; with `learn`, once, what it lists. What is wrong, or None."""
        problem = await self._probe(live, within_s)
        if learn and problem is None and live.listing is None:
            await self._learn(live, spec)
        return problem

    async def _probe(self, live: LiveProvider, within_s: float) -> str | None:
        if live.probes is None:
            live.standing.note(is_ready=True, at=self._clock())
            return None
        try:
            async with asyncio.timeout(within_s):
                probe = await live.probes.probe()
        except TimeoutError:
            live.standing.checked_at = self._clock()
            live.standing.detail = f"did not say within {within_s:g} s that it is ready: look whether it hangs, or try again"
            return live.standing.detail
        except JackfieldError as error:
            live.standing.note(is_ready=False, at=self._clock(), detail=error.message, code=error.code)
            return error.message
        live.standing.note_probe(probe, self._clock())
        if not probe.is_ready:
            return probe.detail or "is not ready: start it, then plug again"
        live.metrics.failures_in_a_row = 0
        return None

    async def _learn(self, live: LiveProvider, spec: SlotSpec) -> None:
        """What the source lists about the configured model. Not knowing is no reason to refuse the plug."""
        profile = None
        if live.lists_models is not None:
            try:
                async with asyncio.timeout(LOOK_WITHIN_S):
                    profiles = await live.lists_models.list_models()
            except (JackfieldError, TimeoutError):
                profiles = ()
            else:
                live.listing, live.listed_at = profiles, self._clock()
            profile = _chosen(profiles, live.capabilities.default_model or spec.model)
        live.learn(profile, spec.model)


def _kind_of(standing: Standing) -> type[JackfieldError]:
    """What a plug that could not be done is: what is missing on this machine is no failure of a source."""
    if standing.is_ready is None:
        return TimedOut
    return next((kind for kind in (ModelNotFound, MissingExtra) if kind.default_code == standing.code), Unavailable)


def ready_within_s(info: ProviderInfo) -> float:
    """Seconds to wait for readiness: long for an engine in this process, which loads a model first."""
    return READY_WITHIN_S if info.hosts else LOAD_WITHIN_S


def bare_host(host: str) -> str:
    """ "api.openai.com:443" -> "api.openai.com"; "[::1]:80" -> "::1"."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    head, colon, tail = host.rpartition(":")
    return (head if colon and tail.isdigit() and ":" not in head else host).lower()


def is_on_this_machine(host: str) -> bool:
    """Loopback addresses and names, and Unix sockets."""
    if host.startswith(("unix:", "/")):
        return True
    name = bare_host(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _hosts_outside(info: ProviderInfo) -> frozenset[str]:
    return frozenset(bare_host(host) for host in info.hosts if not is_on_this_machine(host))


def _free_name(wanted: str, taken: Collection[str]) -> str:
    """A name that no stored secret has: an older one may still be referred to by a moved slot or by the history."""
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}-{count}"
    return name


def _chosen(profiles: tuple[ModelProfile, ...], model: str | None) -> ModelProfile | None:
    if model is None:
        return profiles[0] if profiles else None
    return next((profile for profile in profiles if profile.id == model), None)


def _role(spec: SlotSpec, live: LiveProvider) -> SlotRole:
    """What the slot is for: as asked, but a source that only makes vectors is no chat slot."""
    only_embeds = "text-generation" not in live.capabilities.supported_tasks or (live.profile and live.profile.embeddings)
    return "embed" if spec.role == "chat" and only_embeds and live.embeds is not None else spec.role
