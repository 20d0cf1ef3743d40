"""Replicate: a prediction for each answer: made, followed by its stream or looked at until it is over, called off when left.

Knows the calls and their order; what a prediction means is the dialect's business. Predictions that nobody waits for any more
would run on and cost money, so leaving cancels them, also one that is being made: its id is awaited for a moment.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import msgspec

from jackfield.core.contracts import (
    ListsModels,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
    RawReply,
)
from jackfield.core.errors import JackfieldError, ModelNotFound, TimedOut
from jackfield.core.events import Event, unfold
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest
from jackfield.dialects import replicate
from jackfield.providers.config import merge_generation
from jackfield.providers.fit import check_fit
from jackfield.providers.http_config import KEY_ALIASES, HttpConfig, config_keys, read_config, timeouts_of
from jackfield.providers.http_json import decoded, path_part, read_reply
from jackfield.providers.http_source import HttpSource
from jackfield.providers.left_out import told, with_warnings
from jackfield.providers.list_probe import probe_by_list
from jackfield.providers.refusal import read_refusal
from jackfield.transport.http1 import HttpClient

LISTING_PATH = "collections/language-models"
LOOK_EVERY_S = 0.5
MAX_WAIT_S = 3600.0
CANCEL_WITHIN_S = 5.0
LEARN_ID_WITHIN_S = 0.5
API_HOST = "api.replicate.com"
SIBLINGS = ".replicate.com"


class ReplicateConfig(HttpConfig, frozen=True, kw_only=True):
    """Nothing beside the keys of every provider over HTTP; `look_every` is the pause between two looks, in seconds."""

    look_every: float = LOOK_EVERY_S

    __repr__ = HttpConfig.__repr__


class Replicate:
    """A provider of the predictions API. Make it with `create`; it opens no socket until it is asked something."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="replicate",
        type="api",
        display_name="Replicate",
        capabilities=Capabilities(vision=False, tools=False, json_mode=False, system_messages=True),
        dialect=replicate.NAME,
        default_url="https://api.replicate.com/v1",
        key_env=("REPLICATE_API_TOKEN", "REPLICATE_API_KEY"),
        needs_key=True,
        is_external=True,
        docs="https://replicate.com/docs/reference/http",
        hint="try again, or see https://www.replicatestatus.com",
        limits=(
            "models take a prompt: a conversation is written out as one text",
            "no tools, no JSON mode; images only by the name of a model's own input",
            "a model that is not warm may take minutes to start: raise first_byte_timeout",
        ),
        config_keys=config_keys(ReplicateConfig),
        config_aliases=dict(KEY_ALIASES),
    )

    def __init__(self, config: ReplicateConfig, key: str | None, http: HttpClient) -> None:
        self._config = config
        self._http = http
        self._auth = {"authorization": f"Bearer {key}"} if key else {}
        self._source = HttpSource(self.card, config, {}, http, self._refusal, auth=self._auth)
        self._model = config.model
        self._total_s = timeouts_of(config, self.card.id).total_s or MAX_WAIT_S
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities, default_model=config.model, max_context=config.max_context
        )
        self.info = ProviderInfo(self.card.id, self.card.type, self.card.display_name, replicate.NAME, hosts=self._source.hosts)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key, AuthFailed for a missing key."""
        read, key = read_config(ReplicateConfig, cls.card, config, tools.secrets)
        return cls(read, key, tools.http)

    def __repr__(self) -> str:
        return f"<replicate at {self._source.endpoint.host}, model {self._model or 'not chosen'}>"

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """The answer as events, streamed if the model can. Leaving cancels what still runs."""
        model = request.model or self._model
        if model is None:
            raise ModelNotFound("name a model as owner/name: in the request, or in the slot's config", provider=self.card.id)
        generation = merge_generation(request.generation, self._config.generation)
        request = msgspec.structs.replace(request, generation=generation)
        check_fit(request, model, self.card.id, self.capabilities, None)
        body, warnings = replicate.encode_request(request, model=model)
        told(warnings, provider=self.card.id, model=model, strict=self._config.strict)
        run = _Run(self, model, warnings)
        try:
            await run.begin(body)
            async with aclosing(run.events()) as events:
                yield events
        finally:
            await run.leave()

    async def list_models(self) -> tuple[ModelProfile, ...]:
        """The language models that Replicate itself recommends; any other can be named. Raises Upstream errors."""
        reply = await self._source.get(LISTING_PATH, operation="list models")
        return await read_reply(self._source, reply, lambda body: _profiles(body, self.card.id), "list models", None)

    async def probe(self) -> ProbeResult:
        """Asks for the list, never for a prediction. A model that is not in it may still be there."""
        return await probe_by_list(self.list_models, self.card.id, None)

    async def aclose(self) -> None:
        """The connections belong to the shared client, which outlives a slot."""
        await self._source.aclose()

    async def _refusal(self, reply: RawReply) -> JackfieldError:
        return await read_refusal(reply, self.card.id, replicate.decode_error)

    def source_at(self, url: str) -> HttpSource:
        """The server that a prediction names for its stream. The key goes only to the API's own host and its siblings."""
        parts = urlsplit(url)
        own = self._source.endpoint.host
        host = parts.hostname or ""
        is_own = host == own or (own == API_HOST and host.endswith(SIBLINGS))
        auth = self._auth if is_own else {}
        root = f"{parts.scheme}://{parts.netloc}"
        config = self._config if is_own else msgspec.structs.replace(self._config, headers={})
        return HttpSource(self.card, config, {}, self._http, self._refusal, auth=auth, root=root)


class _Run:
    """One prediction, from its making until it is over or left."""

    def __init__(self, owner: Replicate, model: str, warnings: list[str]) -> None:
        self._owner = owner
        self._source = owner._source
        self._model = model
        self._warnings = warnings
        self._prediction: replicate.Prediction | None = None
        self._making: asyncio.Task[None] | None = None

    async def begin(self, body: bytes) -> None:
        """In a task of its own, so that who is cancelled meanwhile can still learn what to call off."""
        self._making = asyncio.create_task(self._make(body))
        await asyncio.shield(self._making)

    async def _make(self, body: bytes) -> None:
        await self._note(await self._source.post(replicate.path_of(self._model), body, model=self._model))

    async def events(self) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(self._followed() if self._stream_url() else self._awaited()) as events:
                async for event in events:
                    yield with_warnings(event, self._warnings)
        except JackfieldError as error:
            raise self._source.failed(error, "chat", self._model) from error.__cause__

    def _stream_url(self) -> str | None:
        running = self._prediction is not None and self._prediction.is_running
        return self._prediction.urls.stream if self._prediction is not None and running else None

    async def _followed(self) -> AsyncGenerator[Event, None]:
        """Its stream, then a last look, which tells whether it succeeded and what it used."""
        assert self._prediction is not None
        decoder = replicate.StreamDecoder(self._prediction, model=self._model, provider=self._owner.card.id)
        url = urlsplit(self._stream_url() or "")
        source = self._owner.source_at(url.geturl())
        path = f"{url.path}?{url.query}" if url.query else url.path
        reply = await source.fetch(path, operation="stream")
        try:
            while chunk := await reply.chunk():
                for event in decoder.feed(chunk):
                    yield event
                if decoder.is_over:
                    break
        finally:
            await reply.aclose()
        await self._look()
        if decoder.is_over:
            await self._until_over()
        for event in decoder.end(self._prediction):
            yield event

    async def _awaited(self) -> AsyncGenerator[Event, None]:
        await self._until_over()
        assert self._prediction is not None
        for event in unfold(replicate.decode_reply(self._prediction, model=self._model, provider=self._owner.card.id)):
            yield event

    async def _until_over(self) -> None:
        """Looks again and again, within the slot's time."""
        try:
            async with asyncio.timeout(self._owner._total_s):
                while self._prediction is not None and self._prediction.is_running:
                    await asyncio.sleep(self._owner._config.look_every)
                    await self._look()
        except TimeoutError:
            raise TimedOut(f"the prediction was not over after {self._owner._total_s:g} s") from None

    async def _look(self) -> None:
        assert self._prediction is not None
        await self._note(await self._source.get(f"predictions/{path_part(self._prediction.id)}", operation="look"))

    async def _note(self, reply: RawReply) -> None:
        def decode(body: bytes) -> replicate.Prediction:
            return replicate.decode_prediction(body, provider=self._owner.card.id)

        self._prediction = await read_reply(self._source, reply, decode, "look", self._model)

    async def leave(self) -> None:
        """Calls off what still runs. A cancel that fails is the source's to tell: the caller has left already."""
        await self._learn_id()
        prediction = self._prediction
        if prediction is None or not prediction.is_running:
            return
        with suppress(JackfieldError, TimeoutError):
            async with asyncio.timeout(CANCEL_WITHIN_S):
                reply = await self._source.post(f"predictions/{path_part(prediction.id)}/cancel", b"", model=self._model)
                await self._note(reply)

    async def _learn_id(self) -> None:
        making = self._making
        if making is None or making.done():
            return
        await asyncio.wait({making}, timeout=LEARN_ID_WITHIN_S)
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)


class _Model(msgspec.Struct):
    owner: str
    name: str
    description: str | None = None


class _Collection(msgspec.Struct):
    models: list[_Model]


def _profiles(body: bytes, source: str) -> tuple[ModelProfile, ...]:
    models = decoded(body, _Collection, "the collection of models").models
    return tuple(ModelProfile(f"{model.owner}/{model.name}", description=model.description, source=source) for model in models)


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[ListsModels], type[Probes]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return Replicate, Replicate, Replicate, Replicate
