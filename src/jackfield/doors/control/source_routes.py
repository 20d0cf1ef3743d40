"""The routes of sources: providers and their state, discovery, consents, and the models that the panel offers.

Only discovery and the status route ask a source anything, and only for as long as the client stays.
"""

import asyncio
from typing import Any

import msgspec
from litestar import Request
from litestar.params import FromPath, FromQuery

from jackfield.core.errors import NotFound
from jackfield.doors.control.given import Held, Looked, look, take_back
from jackfield.doors.control.panel import ControlPanel
from jackfield.doors.control.refusals import OF_NAMED
from jackfield.doors.control.views import Consents, ModelList, ProviderList, ProviderView, Standing, model_view, slot_view
from jackfield.doors.control.waiting import while_client_stays
from jackfield.gateway.masking import masked_config
from jackfield.slots.discovery import Discovery
from jackfield.slots.slot import Slot


class SlotStatus(msgspec.Struct, frozen=True):
    """How a slot's source is. `standing` is null where a wanted provider is not there."""

    slot: int
    name: str
    provider: str
    is_ready: bool
    problem: str | None
    standing: Standing | None


class ProviderStatus(msgspec.Struct, frozen=True):
    """One entry for each slot that holds something, also for those whose source is down."""

    slots: tuple[SlotStatus, ...]


class Found(msgspec.Struct, frozen=True):
    """`at` is when it was looked for, Unix seconds."""

    at: float
    discovery: Discovery


@look("/providers", summary="Every provider that can be plugged")
async def list_providers(panel: Held) -> ProviderList:
    views = tuple(_provider_view(panel, provider_id) for provider_id in panel.registrar.ids())
    return ProviderList(views, tuple(panel.registrar.problems))


@look("/providers/{provider:str}", summary="One provider, by id or alias", responses=OF_NAMED)
async def show_provider(panel: Held, provider: FromPath[str]) -> ProviderView:
    return _provider_view(panel, panel.registrar.canonical(provider))


@look("/models", summary="Every model of every slot")
async def list_models(panel: Held) -> ModelList:
    known = panel.secrets.known_values()
    return ModelList(tuple(model_view(entry, known) for entry in await panel.catalogue.models()))


@look("/providers/status", summary="Asks every plugged provider how it is")
async def provider_status(panel: Held) -> ProviderStatus:
    await asyncio.gather(*(panel.registry.check_slot(slot.number) for slot in panel.registry.plugged()))
    wanted = [slot for slot in panel.registry.slots() if slot.spec is not None]
    return ProviderStatus(tuple(_slot_status(panel, slot) for slot in wanted))


@look("/consents", summary="Who may be sent prompts, and the operating mode")
async def list_consents(panel: Held) -> Consents:
    return _consents(panel)


@take_back("/consents/{provider:str}", summary="Take a consent back; the gate refuses its hosts from now on")
async def revoke_consent(panel: Held, provider: FromPath[str]) -> Consents:
    provider_id = panel.registrar.canonical(provider)
    if not await _revoke(panel, provider_id):
        raise NotFound(f"{provider_id} has no consent to take back", provider=provider_id, param="provider")
    return _consents(panel)


@look("/discovery", summary="What can be reached from this machine")
async def discovery(
    request: Request[Any, Any, Any],
    panel: Held,
    discovered: Looked,
    refresh: FromQuery[bool] = False,
) -> Found:
    found = await while_client_stays(request.receive, discovered.look(refresh=refresh))
    return Found(discovered.at, found)


def _consents(panel: ControlPanel) -> Consents:
    return Consents(panel.gate.mode, {provider: tuple(sorted(hosts)) for provider, hosts in panel.gate.consents.items()})


async def _revoke(panel: ControlPanel, provider_id: str) -> bool:
    was_recorded = panel.consents is not None and await asyncio.to_thread(panel.consents.revoke, provider_id)
    return panel.gate.revoke(provider_id) or was_recorded


def _slot_status(panel: ControlPanel, slot: Slot) -> SlotStatus:
    view = slot_view(slot, panel.secrets.known_values())
    standing = view.live.standing if view.live is not None else None
    return SlotStatus(
        slot=view.number,
        name=view.name,
        provider=view.provider or "",
        is_ready=standing is not None and standing.is_ready is True,
        problem=view.problem,
        standing=standing,
    )


def _provider_view(panel: ControlPanel, provider_id: str) -> ProviderView:
    config = panel.registry.configs.get(provider_id)
    return ProviderView(
        card=panel.registrar.get(provider_id).card,
        is_configured=config is not None,
        is_consented=provider_id in panel.gate.consents,
        slots=tuple(number for number, active in panel.registry.active.items() if active == provider_id),
        config=masked_config(config or {}, panel.secrets.known_values()),
    )


SOURCE_ROUTES = [list_providers, show_provider, provider_status, list_models, list_consents, revoke_consent, discovery]
