"""Anthropic's Claude API: messages, token counts, the model list and batches; also whatever else speaks that dialect.

Knows the calls and their order; bytes are the dialect's business, facts about models are in anthropic_models.py. Source:
https://platform.claude.com/docs/en/api (November 2026).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self, Unpack

import msgspec

from jackfield.core.contracts import (
    Batches,
    BatchOutcome,
    BatchState,
    BatchTask,
    CountsTokens,
    ListsModels,
    PassesThrough,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
    RawCall,
    RawReply,
)
from jackfield.core.errors import BadRequest, Conflict, JackfieldError, NotSupported
from jackfield.core.events import ChatReply, Event
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest
from jackfield.dialects import anthropic_messages
from jackfield.providers import anthropic_batches
from jackfield.providers.anthropic_models import ListedModel, ModelPage, manners_of, profile_of, quirks_of, read_page
from jackfield.providers.config import merge_generation
from jackfield.providers.fit import BYTES_PER_TOKEN, check_fit
from jackfield.providers.http_chat import Reading, chat_events
from jackfield.providers.http_config import KEY_ALIASES, HttpConfig, config_keys, read_config, root_of
from jackfield.providers.http_json import all_pages, path_part, read_reply
from jackfield.providers.http_source import HttpSource
from jackfield.providers.left_out import told
from jackfield.providers.list_probe import probe_by_list
from jackfield.providers.model_facts import corrected
from jackfield.providers.model_list import Wanted, select
from jackfield.providers.quotas import TellsQuota
from jackfield.providers.refusal import read_refusal
from jackfield.transport.http1 import HttpClient

KEY_HEADER = "x-api-key"
NO_SAMPLING_SINCE = "2026-10-21"
"""From this version of the API on there is no temperature, top_p or top_k."""
ENDINGS = ("/messages", "/models")
PAGE_SIZE = 1000


class AnthropicConfig(HttpConfig, frozen=True, kw_only=True):
    """`version` and `betas` are the headers `anthropic-version` and `anthropic-beta`; `thinking` is the default for requests
    that say nothing about it, as the API writes it; `extra_fields` are names of further fields that may be sent.
    """

    version: str = anthropic_messages.VERSION
    betas: tuple[str, ...] = ()
    thinking: dict[str, Any] | None = None
    extra_fields: tuple[str, ...] = ()

    __repr__ = HttpConfig.__repr__


class Anthropic(TellsQuota):
    """A provider of the Messages API. Make it with `create`; it opens no socket until it is asked something."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="anthropic",
        type="api",
        display_name="Anthropic Claude",
        capabilities=Capabilities(
            images=True,
            tools=True,
            vision=True,
            system_messages=True,
            default_model="claude-sonnet-5-5",
            supports_batching=True,
            max_batch_size=100_000,
        ),
        aliases=("claude", "claude-3", "sonnet", "opus", "haiku"),
        dialect=anthropic_messages.NAME,
        default_url="https://api.anthropic.com/v1",
        key_env=("ANTHROPIC_API_KEY", "CLAUDE_API_KEY"),
        needs_key=True,
        is_external=True,
        docs="https://platform.claude.com/docs",
        hint="try again, or see https://status.claude.com",
        limits=(
            "no embeddings",
            f"an answer has at most {anthropic_messages.DEFAULT_MAX_TOKENS} tokens unless max_tokens says otherwise",
            "no JSON mode without a schema; seed, penalties and logprobs are left out with a warning",
            "newer models take no temperature, top_p or top_k: left out with a warning",
            "Constitutional AI is how its maker says that the models were trained: a description, nothing that is done here",
        ),
        config_keys=config_keys(AnthropicConfig),
        config_aliases={**KEY_ALIASES, "anthropic_version": "version"},
    )

    def __init__(self, config: AnthropicConfig, key: str | None, http: HttpClient) -> None:
        self._config = config
        self._source = HttpSource(
            self.card,
            config,
            _own_headers(config),
            http,
            self._refusal,
            auth={KEY_HEADER: key} if key else {},
            root=root_of(self.card, config, endings=ENDINGS),
        )
        self._model = config.model or self.card.capabilities.default_model or ""
        self._reading = _reading(self.card.id)
        self._defaults = _default_fields(config)
        self._listed: dict[str, ListedModel] = {}
        known = self.card.capabilities
        self.capabilities = msgspec.structs.replace(
            known,
            max_context=config.max_context or profile_of(self._model).context_length,
            vision=known.vision if config.vision is None else config.vision,
            images=known.images if config.vision is None else config.vision,
            default_model=self._model,
            prefill=manners_of(self._model).prefill,
        )
        self.info = ProviderInfo(
            self.card.id, self.card.type, self.card.display_name, anthropic_messages.NAME, self._source.hosts
        )

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key, AuthFailed for a missing key."""
        try:
            aliases = cls.card.config_aliases
            read, key = read_config(AnthropicConfig, cls.card, config, tools.secrets, aliases=aliases)
            return cls(read, key, tools.http)
        except JackfieldError as error:
            error.provider = cls.card.id
            raise

    def __repr__(self) -> str:
        endpoint = self._source.endpoint
        return f"<{self.card.id} at {endpoint.scheme}://{endpoint.host}, model {self._model}>"

    async def _refusal(self, reply: RawReply) -> JackfieldError:
        return await read_refusal(reply, self.card.id, anthropic_messages.decode_error)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """The answer as events; upstream streams only if `request.stream` is set, with the same events either way."""
        model = request.model or self._model
        request = self._completed(request)
        check_fit(request, model, self.card.id, self.capabilities, self._facts_of(model))
        body, warnings = anthropic_messages.encode_request(request, self._quirks_of(model), model=model)
        told(warnings, provider=self.card.id, model=model, strict=self._config.strict)
        path = anthropic_messages.PATH
        async with chat_events(self._source, path, body, self._reading, model=model, warnings=warnings) as events:
            yield events

    async def pass_through(self, call: RawCall) -> RawReply:
        """The upstream's own bytes for a request in the Messages dialect, its `anthropic-*` headers kept as they came.

        Raises the mapped error for any status above 299.
        """
        model = call.model or self._model
        fields = call.fields
        if call.path == anthropic_messages.PATH:
            fields = {**self._defaults, **fields} if self._defaults else fields
            self._check_raw(fields, model)
        body = anthropic_messages.splice_request(fields, model=model, stream=call.stream)
        kept = {name: call.headers[name] for name in anthropic_messages.OWN_HEADERS if name in call.headers}
        return await self._source.post(call.path, body, model=model, headers=kept or None)

    async def list_models(self, **wanted: Unpack[Wanted]) -> tuple[ModelProfile, ...]:
        """All pages of what it offers now and is `wanted`. Raises Upstream errors and AuthFailed."""
        listed = await all_pages(self._page, f"models?limit={PAGE_SIZE}", "after_id")
        self._listed = {model.profile.id: model for model in listed}
        return select(tuple(self._merged(model.profile) for model in listed), **wanted)

    async def _page(self, query: str) -> tuple[tuple[ListedModel, ...], str | None]:
        reply = await self._source.get(query, operation="list models")
        page = await read_reply(self._source, reply, self._read_page, "list models", None)
        return page.models, page.following

    def _read_page(self, body: bytes) -> ModelPage:
        return read_page(body, self.card.id)

    async def probe(self) -> ProbeResult:
        """Asks for the model list, never for an answer."""
        return await probe_by_list(self.list_models, self.card.id, self._model)

    async def count_tokens(self, request: ChatRequest) -> int:
        """Tokens of the whole prompt: messages, system prompt and tools. Spends nothing."""
        model = request.model or self._model
        body = anthropic_messages.encode_count(self._completed(request), self._quirks_of(model), model=model)
        reply = await self._source.post(anthropic_messages.COUNT_PATH, body, model=model)
        return await read_reply(self._source, reply, anthropic_messages.decode_count, "count tokens", model)

    async def start_batch(self, tasks: Sequence[BatchTask]) -> BatchState:
        """Hands the tasks over at once. Raises BadRequest for none, or for two with one id."""
        if not tasks or len({task.id for task in tasks}) != len(tasks):
            raise BadRequest("a batch needs tasks, each with an id of its own", provider=self.card.id, param="tasks")
        body = anthropic_batches.encode_batch([(task.id, self._task_body(task)) for task in tasks])
        reply = await self._source.post(anthropic_batches.PATH, body, model=None)
        return await read_reply(self._source, reply, anthropic_batches.decode_state, "start a batch", None)

    async def batch_state(self, batch_id: str) -> BatchState:
        reply = await self._source.get(_batch_path(batch_id), operation="look at a batch", missing=_batch_name(batch_id))
        return await read_reply(self._source, reply, anthropic_batches.decode_state, "look at a batch", None)

    async def cancel_batch(self, batch_id: str) -> BatchState:
        """What is done by then stays done."""
        path = f"{_batch_path(batch_id)}/cancel"
        reply = await self._source.post(path, b"", model=None, missing=_batch_name(batch_id))
        return await read_reply(self._source, reply, anthropic_batches.decode_state, "cancel a batch", None)

    async def batch_outcomes(self, batch_id: str) -> AsyncIterator[BatchOutcome]:
        """In any order, as they arrive. Raises Conflict while the batch is running."""
        state = await self.batch_state(batch_id)
        if state.state != "ended":
            raise Conflict(f"{_batch_name(batch_id)} is {state.state}: its results can be read once it has ended")
        path = f"{_batch_path(batch_id)}/results"
        reply = await self._source.fetch(path, operation="read a batch", missing=_batch_name(batch_id))
        reader = anthropic_batches.OutcomeReader(self.card.id)
        try:
            while chunk := await reply.chunk():
                for outcome in reader.feed(chunk):
                    yield outcome
            for outcome in reader.finish():
                yield outcome
        except JackfieldError as error:
            raise self._source.failed(error, "read a batch", None) from error.__cause__
        finally:
            await reply.aclose()

    async def aclose(self) -> None:
        """The connections belong to the shared client, which outlives a slot."""
        await self._source.aclose()

    def _task_body(self, task: BatchTask) -> bytes:
        request = self._completed(msgspec.structs.replace(task.request, stream=False))
        model = request.model or self._model
        body, warnings = anthropic_messages.encode_request(request, self._quirks_of(model), model=model)
        told(warnings, provider=self.card.id, model=model, strict=self._config.strict)
        return body

    def _completed(self, request: ChatRequest) -> ChatRequest:
        generation = merge_generation(request.generation, self._config.generation)
        extra = request.extra
        if self._config.thinking is not None and request.generation.reasoning_effort is None:
            extra = {"thinking": self._config.thinking, **extra}
        return msgspec.structs.replace(request, generation=generation, extra=extra)

    def _quirks_of(self, model: str) -> anthropic_messages.MessagesQuirks:
        listed = self._listed.get(model)
        return quirks_of(
            model,
            listed.told if listed else {},
            sampling=self._config.version < NO_SAMPLING_SINCE,
            extra_fields=self._config.extra_fields,
        )

    def _check_raw(self, fields: Mapping[str, msgspec.Raw], model: str) -> None:
        """Decodes the request only if its size, or an image in it, could be a reason to refuse it."""
        facts = self._facts_of(model)
        window = facts.context_length or self.capabilities.max_context
        messages = bytes(fields.get("messages", b""))
        is_long = window is not None and len(messages) // BYTES_PER_TOKEN > window
        if is_long or (not self.capabilities.images and b'"image"' in messages):
            try:
                request = anthropic_messages.decode_request(fields)
            except NotSupported:
                return  # blocks that only the source understands: it will say whether they fit
            check_fit(request, model, self.card.id, self.capabilities, facts)

    def _facts_of(self, model: str) -> ModelProfile:
        listed = self._listed.get(model)
        return self._merged(listed.profile if listed else profile_of(model))

    def _merged(self, profile: ModelProfile) -> ModelProfile:
        """What the person says counts before what the source lists."""
        return corrected(profile, vision=self._config.vision, context_length=self._config.max_context)


def _own_headers(config: AnthropicConfig) -> dict[str, str]:
    headers = {"anthropic-version": config.version}
    return headers | {"anthropic-beta": ",".join(config.betas)} if config.betas else headers


def _default_fields(config: AnthropicConfig) -> dict[str, msgspec.Raw]:
    """What the slot's settings add to a request that passes through, in the names of the dialect."""
    request = ChatRequest(
        (), generation=config.generation, extra={} if config.thinking is None else {"thinking": config.thinking}
    )
    quirks = quirks_of(config.model or "", {}, sampling=config.version < NO_SAMPLING_SINCE, extra_fields=())
    body, _ = anthropic_messages.encode_request(request, quirks)
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    del fields["messages"]
    if config.generation.max_tokens is None and "thinking" not in fields:
        del fields["max_tokens"]
    return fields


def _batch_path(batch_id: str) -> str:
    return f"{anthropic_batches.PATH}/{path_part(batch_id)}"


def _batch_name(batch_id: str) -> str:
    return f"batch {batch_id!r}"


def _reading(provider: str) -> Reading:
    def whole(body: bytes) -> ChatReply:
        return anthropic_messages.decode_reply(body, provider=provider)

    def decoder() -> anthropic_messages.StreamDecoder:
        return anthropic_messages.StreamDecoder(provider)

    return Reading(whole, decoder)


def _satisfies() -> tuple[
    type[ProviderType],
    type[Provider],
    type[PassesThrough],
    type[ListsModels],
    type[Probes],
    type[CountsTokens],
    type[Batches],
]:
    """Never called: here mypy proves that the class keeps its contracts."""
    made = Anthropic
    return made, made, made, made, made, made, made
