"""Makes a Provider of a third party's adapter class, so that subclassing and registering is all it takes.

The other direction (an adapter made of any provider) is handle.py's. Knows contracts only.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Self

import msgspec

from jackfield.core.contracts import CompletesBatch, ProbeResult, ProviderCard, ProviderInfo, ProviderTools, ProviderType
from jackfield.core.errors import BadRequest, JackfieldError, NotSupported, Unavailable
from jackfield.core.events import ChatReply, Event
from jackfield.core.ids import parse_provider_id
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest, EmbedReply, EmbedRequest
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.completion import HealthState
from jackfield.store.references import is_reference, is_secret_key


class AdapterBridge:
    """A Provider around one instance of `adapter_class`, which `bridge_type` sets. Connects before the first request."""

    card: ClassVar[ProviderCard]
    adapter_class: ClassVar[type[InferenceProviderAdapter]]

    def __init__(self, config: Mapping[str, Any], tools: ProviderTools) -> None:
        self.adapter = self.adapter_class()
        self._config = _resolved(config, tools)
        self._connecting = asyncio.Lock()
        self._is_connected = False
        self.info = ProviderInfo(
            self.card.id, self.adapter.provider_type, self.adapter.display_name, hosts=tuple(self.adapter.hosts)
        )
        self.capabilities: Capabilities = self.adapter.capabilities

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        return cls(config, tools)

    def open(self, request: ChatRequest) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        return _Opening(self, request)

    async def connect(self) -> None:
        """Raises Unavailable where the adapter says that its source is not ready."""
        async with self._connecting:
            if not self._is_connected:
                self._is_connected = await self.adapter.connect(self._config) is not False
                self.capabilities = self.adapter.capabilities
        if not self._is_connected:
            detail = self.adapter.standing.detail or "its adapter could not connect: check its config"
            raise Unavailable(detail, provider=self.card.id)

    async def probe(self) -> ProbeResult:
        try:
            await self.connect()
            status = await self.adapter.health()
        except JackfieldError as error:
            return ProbeResult(False, None, error.message)
        is_ready = self.adapter.is_available() and status.status is not HealthState.UNHEALTHY
        return ProbeResult(is_ready, status.latency_s, status.detail, self.adapter.version)

    async def list_models(self) -> tuple[ModelProfile, ...]:
        known = ModelProfile.__struct_fields__
        listed = await self.adapter.list_models()
        return tuple(msgspec.convert({key: item[key] for key in known if key in item}, ModelProfile) for item in listed)

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        await self.connect()
        texts = [text for text in request.inputs if isinstance(text, str)]
        if len(texts) != len(request.inputs):
            raise NotSupported("it embeds texts, not token lists", provider=self.card.id)
        vectors = [tuple(await self.adapter.embed(text)) for text in texts]
        return EmbedReply(tuple(vectors), request.model or self.card.id)

    async def aclose(self) -> None:
        await self.adapter.disconnect()


class BatchingBridge(AdapterBridge):
    """The same for an adapter class that has `complete_batch` (core/contracts.py CompletesBatch)."""

    async def complete_batch(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply | JackfieldError]:
        await self.connect()
        assert isinstance(self.adapter, CompletesBatch)
        return await self.adapter.complete_batch(requests)


class _Opening:
    """`adapter.open(request)`, after the adapter was connected."""

    def __init__(self, bridge: AdapterBridge, request: ChatRequest) -> None:
        self._bridge = bridge
        self._opened = bridge.adapter.open(request)

    async def __aenter__(self) -> AsyncIterator[Event]:
        await self._bridge.connect()
        return await self._opened.__aenter__()

    async def __aexit__(self, *failure: Any) -> bool | None:
        return await self._opened.__aexit__(*failure)


def bridge_type(provider_id: str, adapter: type[InferenceProviderAdapter]) -> type[AdapterBridge]:
    """The provider type of an adapter class, under `provider_id`."""
    sample = adapter()
    card = ProviderCard(
        id=parse_provider_id(provider_id),
        type=adapter.provider_type,
        display_name=adapter.display_name,
        capabilities=sample.capabilities,
        is_external=bool(sample.hosts),
        hint=(adapter.__doc__ or "").strip().split("\n")[0] or None,
    )
    bridge = BatchingBridge if hasattr(adapter, "complete_batch") else AdapterBridge
    return type(f"{adapter.__name__}Bridge", (bridge,), {"card": card, "adapter_class": adapter})


def as_provider_type(provider_id: str, given: Any) -> type[ProviderType]:
    """`given` as the registrar takes it. Raises BadRequest for what is neither an adapter class nor a provider type."""
    if isinstance(given, type) and issubclass(given, InferenceProviderAdapter):
        return bridge_type(provider_id, given)
    card = getattr(given, "card", None)
    if not isinstance(card, ProviderCard) or not callable(getattr(given, "create", None)):
        raise BadRequest(
            f"{getattr(given, '__name__', given)!s} is no provider: subclass InferenceProviderAdapter, or add a card",
            param="adapter_class",
        )
    if card.id != parse_provider_id(provider_id):
        raise BadRequest(f"{given.__name__} is the provider {card.id!r}: register it under that id", param="provider_id")
    provider_type: type[ProviderType] = given
    return provider_type


def registered_class(provider_type: type) -> type:
    """The class as its author wrote it: the adapter behind a bridge, or the provider type itself."""
    found: type = getattr(provider_type, "adapter_class", provider_type)
    return found


def _resolved(config: Mapping[str, Any], tools: ProviderTools) -> dict[str, Any]:
    """The config with secrets in place of their references: an adapter of somebody else's knows no secret store."""
    return {
        key: tools.secrets.resolve(value) if isinstance(value, str) and is_secret_key(key) and is_reference(value) else value
        for key, value in config.items()
    }


def _satisfies() -> type[ProviderType]:
    """Never called: here mypy proves that the class keeps its contract."""
    return AdapterBridge
