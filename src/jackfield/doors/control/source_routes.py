"""The routes of sources: providers and their state, discovery, consents, and the models that the panel offers.

Only discovery and the status route ask a source anything, and only for as long as the client stays.
"""

from typing import Any

from litestar import Request, delete, get

from jackfield.core.errors import NotFound
from jackfield.doors.control.discovered import Discovered
from jackfield.doors.control.given import Held
from jackfield.doors.control.masking import masked_config
from jackfield.doors.control.panel import ControlPanel
from jackfield.doors.control.views import Consents, ModelList, ProviderList, ProviderView, model_view
from jackfield.doors.control.waiting import while_client_stays


@get("/providers", summary="Every provider that can be plugged")
async def list_providers(panel: Held) -> ProviderList:
    views = tuple(_provider_view(panel, provider_id) for provider_id in panel.registrar.ids())
    return ProviderList(views, tuple(panel.registrar.problems))


@get("/providers/{provider:str}", summary="One provider, by id or alias")
async def show_provider(panel: Held, provider: str) -> ProviderView:
    return _provider_view(panel, panel.registrar.canonical(provider))


@get("/models", summary="Every model of every slot")
async def list_models(panel: Held) -> ModelList:
    known = panel.secrets.known_values()
    return ModelList(tuple(model_view(entry, known) for entry in await panel.catalogue.models()))


@get("/consents", summary="Who may be sent prompts, and the operating mode")
async def list_consents(panel: Held) -> Consents:
    return Consents(panel.gate.mode, {provider: tuple(sorted(hosts)) for provider, hosts in panel.gate.consents.items()})




@delete("/consents/{provider:str}", status_code=200, summary="Take a consent back; the gate refuses its hosts from now on")
async def revoke_consent(panel: Held, provider: str) -> Consents:
    provider_id = panel.registrar.canonical(provider)
    if not await panel.revoke_consent(provider_id):
        raise NotFound(f"{provider_id} has no consent to take back", provider=provider_id, param="provider")
    return _consents(panel)


@get("/discovery", summary="What can be reached from this machine")
async def discovery(
    request: Request[Any, Any, Any], panel: Held, discovered: Annotated[Discovered, Dependency(skip_validation=True)], refresh: bool = False
) -> Found:
    found = await while_client_stays(request.receive, discovered.look(refresh=refresh))
    return Found(discovered.at, found)


def _consents(panel: ControlPanel) -> Consents:
    return Consents(panel.gate.mode, {provider: tuple(sorted(hosts)) for provider, hosts in panel.gate.consents.items()})


def _provider_view(panel: ControlPanel, provider_id: str) -> ProviderView:
    config = panel.registry.configs.get(provider_id)
    return ProviderView(
        card=panel.registrar.get(provider_id).card,
        is_configured=config is not None,
        is_consented=provider_id in panel.gate.consents,
        slots=tuple(number for number, active in panel.registry.active.items() if active == provider_id),
        config=masked_config(config or {}, panel.secrets.known_values()),
    )
