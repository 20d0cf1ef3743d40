"""The composition root: makes every object of a running jackfield from its settings, and takes them down in reverse.

Only wiring: who is given what. What is plugged in at start is in furnish.py; the server is in server.py.
"""

import asyncio
import contextlib
import logging
import secrets as randomness
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from jackfield.app.asgi import Root
from jackfield.app.background import every
from jackfield.app.batches import batch_engine
from jackfield.app.entrances import entrances
from jackfield.app.facts import status_facts
from jackfield.app.furnish import furnish, take_over
from jackfield.app.loading import Loading, stock_of
from jackfield.app.mounts import CONTROL, MCP, ASGIApp, Mount
from jackfield.app.openapi.document import OpenAPIDocument
from jackfield.app.provider_blocks import ProviderBlocks
from jackfield.app.settings import Loaded, ServerSettings, Settings, as_plain
from jackfield.app.settings_providers import installed, ports_left_alone
from jackfield.app.status import Status
from jackfield.app.tracing import traces_of
from jackfield.core.errors import SlotEmpty
from jackfield.core.modes import OperatingMode
from jackfield.doors.mcp.errors import encode_error as encode_mcp_error
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.backend_figures import backend_figures
from jackfield.gateway.batches.engine import BatchEngine
from jackfield.gateway.inside import Inside
from jackfield.gateway.metrics import BackendSample, Metrics, in_flight
from jackfield.gateway.metrics import backends as backend_families
from jackfield.gateway.pace import PaceSettings
from jackfield.gateway.pages import Pages
from jackfield.gateway.pipeline import Book, Pipeline
from jackfield.gateway.request_ids import RequestIds
from jackfield.gateway.steps.admit import Admission
from jackfield.gateway.steps.enter import Enter
from jackfield.gateway.steps.recall import Recall
from jackfield.gateway.steps.record import Record
from jackfield.gateway.steps.remember import Remember
from jackfield.gateway.steps.resolve import Resolve
from jackfield.gateway.steps.settle import Settle
from jackfield.gateway.walk import WalkSettings
from jackfield.money.prices import PriceTable
from jackfield.money.rates import Rates
from jackfield.providers.registry import Registrar
from jackfield.routing.cache import AnswerCache, CacheSettings
from jackfield.routing.explain import Decisions
from jackfield.routing.hedge import HedgeSettings
from jackfield.routing.limits import Limits, limits_of
from jackfield.routing.manager import BackendManager, ManagerConfig
from jackfield.routing.probing import LookSettings
from jackfield.routing.semantic_cache import Embed, SemanticCache, SemanticSettings
from jackfield.routing.use_cases import UseCases
from jackfield.slots.catalogue import Catalogue
from jackfield.slots.discovery import Discovery, discover
from jackfield.slots.registry import ProviderRegistry
from jackfield.slots.workbench import Toolbox
from jackfield.store.consents import ConsentRepository
from jackfield.store.engine import Database
from jackfield.store.health import HealthRepository
from jackfield.store.journal import Journal
from jackfield.store.ledger import LedgerRepository
from jackfield.store.secrets import SecretStore
from jackfield.store.slots import SlotRepository
from jackfield.store.sole_owner import sole_owner
from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import HttpClient
from jackfield.transport.web import WebClient

if TYPE_CHECKING:
    from jackfield.doors.mcp.panel import McpPanel

logger = logging.getLogger("jackfield.app")
DATABASE = "jackfield.db"
TAKE_IN_EVERY_S = 30.0
MAIN_KEY = "main"
"""What limits and reports call the key of server.api_key."""
NO_KEY = ""
"""What they call whoever asks where no key is asked for."""


@dataclass
class House:
    """A composed jackfield. `is_ready` is what /health tells; `port` is the one that is really listened on."""

    loaded: Loaded
    registrar: Registrar
    registry: ProviderRegistry
    catalogue: Catalogue
    backends: BackendManager
    metrics: Metrics
    gate: EgressGate
    secrets: SecretStore
    tools: Toolbox
    pipeline: Pipeline
    journal: Journal | None
    ledger: LedgerRepository
    consents: ConsentRepository
    blocks: ProviderBlocks
    batches: BatchEngine
    port: int
    started_at: float = field(default_factory=time.time)
    is_ready: bool = False
    asgi: Root = field(init=False)
    discovery: Discovery | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def begin_to_stop(self) -> None:
        """Running answers may end; what would never end by itself, such as the event stream, ends now."""
        self.is_ready = False
        self.stopping.set()

    async def furnish(self, *, demo: bool = False) -> None:
        """Plugs what the settings name, what runs on this machine, or the demo."""
        await furnish(self, demo=demo)
        self.batches.start(_key_references(self.settings.server) or (NO_KEY,))

    async def take_over(self, loaded: Loaded) -> None:
        """Makes an edit of the settings effective, as far as it can be without a restart."""
        await take_over(self, loaded)

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    async def discover(self) -> Discovery:
        """Looks for sources anew and remembers what was found. Asks nothing beyond this machine."""
        settings = self.settings
        shunned = ports_left_alone(settings.providers, self.registrar.cards()) | {self.port}
        self.discovery = await discover(
            self.tools.http,
            self.registrar,
            self.loaded.environ,
            ports=settings.discovery.ports,
            skip_ports=shunned,
            peers=settings.discovery.peers,
            websockets=settings.discovery.websockets,
            hardware=settings.discovery.hardware,
        )
        return self.discovery


@contextlib.asynccontextmanager
async def open_house(loaded: Loaded, *, port: int) -> AsyncIterator[House]:
    """A house with its saved panel restored; on leaving, running requests drain and everything is closed."""
    settings = loaded.settings
    store = settings.store_path
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(sole_owner(store))
        database = Database(store / DATABASE)
        stack.callback(database.close)
        ledger = LedgerRepository(database)
        journal = Journal(store / "journal.jsonl") if settings.ledger.enabled else None
        if journal is not None:
            stack.callback(journal.close)
            stack.callback(journal.rotate_and_replay, ledger)
            await asyncio.to_thread(journal.rotate_and_replay, ledger)
            await stack.enter_async_context(every(TAKE_IN_EVERY_S, journal.rotate_and_replay, ledger))
        registrar = installed(settings.presets, settings.plugins)
        consents = ConsentRepository(database)
        gate = EgressGate(_mode(loaded, consents), consents.load())
        http = HttpClient(gate)
        stack.push_async_callback(http.aclose)
        web = WebClient(gate)
        secret_store = SecretStore(store / "secrets", loaded.environ, aliases=_key_aliases(registrar))
        tools = Toolbox(http, web, secret_store, str(settings.models_path), loaded.environ)
        blocks = ProviderBlocks(loaded)
        prices = PriceTable.load(_rates(settings))
        registry = ProviderRegistry(
            registrar,
            tools,
            SlotRepository(database),
            secrets=secret_store,
            gate=gate,
            consents=consents,
            size=settings.panel_size,
            prices=prices,
            default_provider=settings.providers.active,
            mode_is_fixed=_is_said(loaded, "mode"),
            complete=blocks.complete,
        )
        stack.push_async_callback(registry.aclose)
        catalogue = Catalogue(registry)
        stack.push_async_callback(catalogue.aclose)
        routing = settings.routing
        backends = BackendManager(
            ManagerConfig(
                load_balancing=routing.policy,
                enable_health_checks=routing.health_checks,
                looks=LookSettings(interval_s=routing.health_interval_s),
            ),
            gate=gate,
            repository=HealthRepository(database),
            prices=prices,
        )
        metrics = Metrics(
            [
                lambda: in_flight(registry.plugged()),
                lambda: backend_families(_samples(backends)),
                lambda: backend_figures(backends.list_backends(), time.monotonic()),
            ]
        )
        books: tuple[Book, ...] = (Settle(prices), Record(journal), metrics.observe)
        traces = traces_of(settings.traces, gate.mode)
        if traces is not None:
            stack.push_async_callback(asyncio.to_thread, traces.close)
            books = (*books, traces.observe)
        pipeline = Pipeline(
            Resolve(
                registry,
                catalogue,
                backends,
                gate,
                policy=routing.policy,
                fallbacks=routing.fallbacks,
                use_cases=UseCases.load(routing.use_cases, canonical=registrar.canonical),
                decisions=Decisions(),
            ),
            books,
            secret_store.known_values,
            walk=_walk_settings(settings),
            sources=_source_limits(settings),
            heartbeat_s=settings.server.heartbeat_s,
            on_hedge=lambda who: metrics.hedges.add(who),
            first_token_s=routing.first_token_s,
            pace=PaceSettings(routing.idle_s, routing.min_tokens_per_s, routing.throughput_window_s),
        )
        house = House(
            loaded=loaded,
            registrar=registrar,
            registry=registry,
            catalogue=catalogue,
            gate=gate,
            secrets=secret_store,
            tools=tools,
            backends=backends,
            metrics=metrics,
            pipeline=pipeline,
            journal=journal,
            ledger=ledger,
            consents=consents,
            blocks=blocks,
            batches=batch_engine(settings, database, lambda: pipeline.under_way),
            port=port,
        )
        _surround(house.pipeline, registry, settings)
        house.asgi = _root(house)
        stack.push_async_callback(house.asgi.aclose)
        stack.push_async_callback(house.batches.aclose)
        await registry.restore()
        await stack.enter_async_context(backends.follow(registry))
        yield house


def _walk_settings(settings: Settings) -> WalkSettings:
    routing, hedge = settings.routing, settings.hedge
    return WalkSettings(
        routing.retries,
        routing.patience_s,
        settings.timeouts.total_s,
        routing.warm_up_s,
        HedgeSettings(share=hedge.share, percent=hedge.percent) if hedge.enabled else None,
    )


def _source_limits(settings: Settings) -> Limits | None:
    """Of providers and models; None where there are none, so that nobody pays for them."""
    _, theirs = limits_of(settings.limits)
    return None if theirs.is_free else Limits(theirs)


def _surround(pipeline: Pipeline, registry: ProviderRegistry, settings: Settings) -> None:
    """Steps that only some want: nobody pays for those that are off. The last one put around comes first."""
    cache = settings.cache
    if cache.enabled:
        answers = AnswerCache(CacheSettings(cache.max_bytes, cache.max_answer_bytes, cache.ttl_s), time.monotonic)
        pipeline.surround(Remember(answers, pipeline.close_books))
    if cache.semantic_slot is not None:
        bounds = SemanticSettings(
            threshold=cache.semantic_threshold,
            max_bytes=cache.max_bytes,
            max_answer_bytes=cache.max_answer_bytes,
            ttl_s=cache.ttl_s,
        )
        near = SemanticCache(bounds, _embed(registry, cache.semantic_slot), time.monotonic)
        pipeline.surround(Recall(near, pipeline.close_books))
    own, _ = limits_of(settings.limits)
    if not own.is_free:
        pipeline.surround(Enter(Limits(own)))


def _embed(registry: ProviderRegistry, slot: int) -> Embed:
    """Vectors by whatever stands in that slot when they are wanted. Raises SlotOutOfRange."""
    registry.slot(slot)

    async def embed(text: str) -> list[float]:
        adapter = registry.get_adapter(slot)
        if adapter is None:
            raise SlotEmpty(f"cache.semantic_slot is {slot}, and nothing is plugged there", slot=slot)
        return await adapter.embed(text)

    return embed


def _mode(loaded: Loaded, consents: ConsentRepository) -> OperatingMode:
    """The mode that was set; where nobody set one, a recorded consent means that burst was once allowed."""
    mode = loaded.settings.mode
    if not _is_said(loaded, "mode") and consents.all():
        return OperatingMode.BURST
    return mode


def _samples(backends: BackendManager) -> Iterator[BackendSample]:
    for backend in backends.list_backends():
        yield BackendSample(backend.id, backend.provider, backend.model or "", str(backend.status), str(backend.breaker.state))


def _is_said(loaded: Loaded, key: str) -> bool:
    return loaded.origins.get(key, "default") != "default"


def _rates(settings: Settings) -> Rates | None:
    """The person's own rate, as of today; None leaves the dated one that ships."""
    own = settings.money.sats_per_usd
    return None if own is None else Rates(own, date.today())


def _key_aliases(registrar: Registrar) -> Mapping[str, tuple[str, ...]]:
    return {card.key_env[0]: card.key_env[1:] for card in registrar.cards() if len(card.key_env) > 1}


def _key_references(server: ServerSettings) -> Mapping[str, str]:
    """The gateway's keys by name, as references; none where no key is asked for."""
    return {**({MAIN_KEY: server.api_key} if server.api_key else {}), **server.api_keys}


def _root(house: House) -> Root:
    settings = house.settings
    server = settings.server
    keys = {name: house.secrets.resolve(reference) for name, reference in _key_references(server).items()}
    status = Status(lambda: house.is_ready, lambda: status_facts(house), house.metrics)
    stock = stock_of(house)
    admission = Admission(keys, (server.host,), check_hosts=not server.expose, origins=server.cors_origins)
    return Root(
        admission,
        entrances(house, stock),
        {**status.routes, **Loading(stock).routes, **OpenAPIDocument().routes},
        [Mount(CONTROL, lambda: _control(house)), Mount(MCP, lambda: _mcp(house), encode_mcp_error)],
        max_body_bytes=server.max_body_bytes,
        patience_s=settings.timeouts.total_s * 2,
        build_websocket=(lambda: _websocket(house, admission)) if server.websocket else None,
        pages=Pages(server.cors_origins) if server.cors_origins else None,
    )


def _websocket(house: House, admission: Admission) -> ASGIApp:
    """Imported here because most runs are never asked for a WebSocket."""
    from jackfield.app.sockets import websocket_door

    return websocket_door(house, admission)


def _control(house: House) -> Any:
    """Imported here because it is heavy and most runs never ask for it."""
    from jackfield.doors.control.app import create_control_app
    from jackfield.doors.control.panel import ControlPanel

    panel = ControlPanel(
        registry=house.registry,
        registrar=house.registrar,
        catalogue=house.catalogue,
        backends=house.backends,
        explain=house.pipeline.resolve.explain,
        decision=house.pipeline.resolve.decision,
        gate=house.gate,
        secrets=house.secrets,
        discover=house.discover,
        clock=time.time,
        ledger=house.ledger,
        journal=house.journal,
        consents=house.consents,
        stopping=house.stopping,
        settings=lambda: {**as_plain(house.settings), "mode": str(house.gate.mode)},
    )
    return create_control_app(panel)


def _mcp(house: House) -> ASGIApp:
    """As the control door; raises MissingExtra where the SDK is not installed."""
    from jackfield.doors.mcp import needs_sdk

    with needs_sdk():
        from jackfield.doors.mcp.app import create_mcp_app

    return create_mcp_app(mcp_panel(house), house.stopping, max_body_bytes=house.settings.server.max_body_bytes)


def mcp_panel(house: House) -> "McpPanel":
    """What the MCP door is given, whether over HTTP or over stdio."""
    from jackfield.doors.mcp.panel import McpPanel

    inside = Inside(house.pipeline, OpenAIChat(), RequestIds(randomness.token_hex(4)), time.time)
    return McpPanel(
        registry=house.registry,
        registrar=house.registrar,
        backends=house.backends,
        ask=inside.ask,
        known_secrets=house.secrets.known_values,
        status=lambda: status_facts(house),
        clock=time.time,
    )
