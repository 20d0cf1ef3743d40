"""One source with two ways in: streams go over its WebSocket, whole answers over HTTP, and each stands in for the other.

Holds two providers and decides by the request; wire formats and sockets are theirs.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar, Self

import msgspec

from jackfield.core.contracts import ProbeResult, Probes, Provider, ProviderCard, ProviderInfo, ProviderTools, ProviderType
from jackfield.core.errors import BadRequest, JackfieldError, Upstream
from jackfield.core.events import Event
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest
from jackfield.providers.config import read_config
from jackfield.providers.fit import check_fit
from jackfield.providers.openai_compatible import OpenAICompatible
from jackfield.providers.websocket import WebSocketSource


class HybridConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`http` is the config of an OpenAI-compatible endpoint, `websocket` that of a WebSocket one."""

    http: dict[str, Any]
    websocket: dict[str, Any]


class Hybrid:
    """HTTP and WebSocket to one source."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="hybrid",
        type="api",
        display_name="HTTP and WebSocket",
        capabilities=Capabilities(tools=False, vision=False, system_messages=True, protocols=("http", "websocket")),
        hint="config http: {base_url: ...}, websocket: {url: ...}",
        limits=("what only one of the two can do is not offered",),
        config_keys=HybridConfig.__struct_fields__,
    )

    def __init__(self, http: OpenAICompatible, websocket: WebSocketSource) -> None:
        self._http = http
        self._websocket = websocket
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities,
            json_mode=False,
            default_model=http.capabilities.default_model,
            max_context=http.capabilities.max_context,
        )
        hosts = tuple(dict.fromkeys((*http.info.hosts, *websocket.info.hosts)))
        self.info = ProviderInfo(self.card.id, self.card.type, self.card.display_name, hosts=hosts)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key."""
        read, _ = read_config(HybridConfig, {"http": {}, "websocket": {}, **config}, cls.card.id)
        for name, way in (("http", read.http), ("websocket", read.websocket)):
            if not way:
                raise BadRequest(f"{name} is missing: {cls.card.hint}", provider=cls.card.id, param=name)
        return cls(OpenAICompatible.create(read.http, tools), WebSocketSource.create(read.websocket, tools))

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """The fitting way first; the other one where that fails before its first event, and may."""
        check_fit(request, request.model or self.card.id, self.card.id, self.capabilities, None)
        ways: tuple[Provider, Provider] = (self._websocket, self._http) if request.stream else (self._http, self._websocket)
        async with AsyncExitStack() as stack:
            try:
                events, first = await _begun(stack, ways, request)
            except JackfieldError as error:
                raise self._own(error) from error.__cause__
            yield self._resumed(first, events)

    async def _resumed(self, first: Event, rest: AsyncIterator[Event]) -> AsyncIterator[Event]:
        yield first
        try:
            async for event in rest:
                yield event
        except JackfieldError as error:
            raise self._own(error) from error.__cause__

    def _own(self, error: JackfieldError) -> JackfieldError:
        """Who asked knows the slot's provider, not the two inside it; the message tells which way it was."""
        error.provider = self.card.id
        return error

    async def probe(self) -> ProbeResult:
        """Ready while one of the two is; what is wrong with the other one is told."""
        http, websocket = await self._http.probe(), await self._websocket.probe()
        told = "; ".join(
            f"{name}: {found.detail or 'down'}"
            for name, found in (("http", http), ("websocket", websocket))
            if not found.is_ready
        )
        best = http if http.is_ready else websocket
        return msgspec.structs.replace(best, detail=told, models=http.models)

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._websocket.aclose()


async def _begun(
    stack: AsyncExitStack, ways: tuple[Provider, Provider], request: ChatRequest
) -> tuple[AsyncIterator[Event], Event]:
    """The first event shows that a way works; where the first way fails before it, and may, the other one is taken."""
    try:
        return await _first(stack, ways[0], request)
    except Upstream:
        await stack.aclose()
        return await _first(stack, ways[1], request)


async def _first(stack: AsyncExitStack, way: Provider, request: ChatRequest) -> tuple[AsyncIterator[Event], Event]:
    events = await stack.enter_async_context(way.open(request))
    return events, await anext(events)


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[Probes]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return Hybrid, Hybrid, Hybrid
