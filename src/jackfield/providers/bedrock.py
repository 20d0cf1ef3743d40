"""Amazon Bedrock: every maker's chat models through the Converse API, signed by access key or with a Bedrock API key.

Knows AWS's addresses, who lets us in, and that another region can answer where one is busy; bytes are the dialect's business.
Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (October 2026).
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Self, Unpack
from urllib.parse import quote

import msgspec

from jackfield.core.contracts import (
    CountsTokens,
    ListsModels,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
    RawReply,
    SecretSource,
)
from jackfield.core.errors import AuthFailed, BadRequest, JackfieldError
from jackfield.core.events import ChatReply, Event
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest
from jackfield.dialects import bedrock_converse
from jackfield.providers.bedrock_models import decode_count, decode_models, decode_profiles
from jackfield.providers.config import merge_generation
from jackfield.providers.fit import check_fit
from jackfield.providers.http_chat import Reading, chat_events
from jackfield.providers.http_config import KEY_ALIASES, HttpConfig, config_keys, read_config
from jackfield.providers.http_json import all_pages
from jackfield.providers.http_source import HttpSource
from jackfield.providers.left_out import told
from jackfield.providers.list_probe import probe_by_list
from jackfield.providers.model_facts import completed, corrected, documented
from jackfield.providers.model_list import Wanted, select
from jackfield.providers.refusal import read_refusal
from jackfield.providers.regions import Region, Regions, Sign
from jackfield.providers.sigv4 import AwsKeys, signed_headers

SERVICE = "bedrock"
REGION = "us-east-1"
_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_BEARER_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"


class BedrockConfig(HttpConfig, frozen=True, kw_only=True):
    """`access_key`, `secret_key` and `session_token` refer to secrets, as `api_key` (a Bedrock API key) does.

    `region` is asked first and `regions` in turn after it. `endpoints` gives regions an address of their own; `base_url` is for
    all of them, with {region} in it where it differs, and serves the model list too.
    """

    region: str = REGION
    regions: tuple[str, ...] = ()
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    endpoints: dict[str, str] = msgspec.field(default_factory=dict)


class Entry(msgspec.Struct, frozen=True):
    """What lets us in: keys that sign each request, or a bearer token. Never shown."""

    keys: AwsKeys | None = None
    bearer: str | None = None

    def __repr__(self) -> str:
        return "Entry(...)"

    @property
    def secrets(self) -> tuple[str, ...]:
        keys = self.keys
        given = (self.bearer, *((keys.access_key, keys.secret_key, keys.session_token) if keys else ()))
        return tuple(secret for secret in given if secret)


def _now() -> datetime:
    return datetime.now(UTC)


class Bedrock:
    """A provider of Amazon Bedrock. Make it with `create`; it opens no socket until it is asked something."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="bedrock",
        type="api",
        display_name="Amazon Bedrock",
        capabilities=Capabilities(images=True, tools=True, vision=True, system_messages=True),
        aliases=("aws", "aws-bedrock", "amazon-bedrock"),
        dialect=bedrock_converse.NAME,
        default_url="https://bedrock-runtime.us-east-1.amazonaws.com",
        key_env=(*_KEY_VARIABLES[:1], _BEARER_VARIABLE),
        needs_key=True,
        is_external=True,
        docs="https://docs.aws.amazon.com/bedrock",
        hint="try again, or see https://health.aws.amazon.com/health/status",
        limits=(
            "The model must be named: a model id, an inference profile's id or an ARN.",
            "Profiles of ~/.aws and a machine's role are not read: give the keys, or variables that hold them.",
        ),
        config_keys=config_keys(BedrockConfig),
        config_aliases={
            **KEY_ALIASES,
            "aws_access_key_id": "access_key",
            "aws_secret_access_key": "secret_key",
            "aws_session_token": "session_token",
            "aws_region": "region",
            "region_name": "region",
        },
    )

    def __init__(self, config: BedrockConfig, entry: Entry, tools: ProviderTools, clock: Callable[[], datetime] = _now) -> None:
        names = tuple(dict.fromkeys((config.region, *config.regions)))
        made = partial(self._region, config=config, entry=entry, tools=tools, clock=clock)
        self._source = Regions([made(name, "bedrock-runtime") for name in names])
        self._catalogue = Regions([made(name, "bedrock") for name in names])
        self._model = config.model
        self._strict = config.strict
        self._generation = config.generation
        self._facts: dict[str, ModelProfile] = {}
        self._said = {"vision": config.vision, "context_length": config.max_context}
        known = self.card.capabilities
        self.capabilities = msgspec.structs.replace(
            known,
            max_context=self._facts_of(config.model).context_length if config.model else config.max_context,
            vision=known.vision if config.vision is None else config.vision,
            images=known.images if config.vision is None else config.vision,
            default_model=config.model,
        )
        self.info = ProviderInfo(
            self.card.id, self.card.type, self.card.display_name, bedrock_converse.NAME, self._source.hosts
        )

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key, AuthFailed for missing keys."""
        try:
            read, bearer = read_config(
                BedrockConfig, cls.card, config, tools.secrets, aliases=cls.card.config_aliases, find_root=_nobody
            )
            return cls(read, _entry(read, bearer, tools.secrets), tools)
        except JackfieldError as error:
            error.provider = cls.card.id
            raise

    def __repr__(self) -> str:
        return f"<{self.card.id} at {', '.join(self.info.hosts)}, model {self._model or 'not chosen'}>"

    @classmethod
    def _region(
        cls,
        name: str,
        service: str,
        *,
        config: BedrockConfig,
        entry: Entry,
        tools: ProviderTools,
        clock: Callable[[], datetime],
    ) -> Region:
        root = _address(name, service, config)
        source = HttpSource(cls.card, config, {}, tools.http, cls._refusal, root=root, secrets=entry.secrets)
        return Region(name, source, _signer(name, source, entry, clock))

    @classmethod
    async def _refusal(cls, reply: RawReply) -> JackfieldError:
        kind = next((value.decode("latin-1") for name, value in reply.headers if name == b"x-amzn-errortype"), "")
        return await read_refusal(reply, cls.card.id, partial(bedrock_converse.decode_error, kind=kind))

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """The answer as events; upstream streams only if `request.stream` is set, with the same events either way."""
        model = self._named(request.model)
        check_fit(request, model, self.card.id, self.capabilities, self._facts_of(model))
        generation = merge_generation(request.generation, self._generation)
        asked = msgspec.structs.replace(request, generation=generation)
        body, warnings = bedrock_converse.encode_request(asked, model=model)
        told(warnings, provider=self.card.id, model=model, strict=self._strict)
        path = f"{_path(model)}/{'converse-stream' if request.stream else 'converse'}"
        reading = _reading(self.card.id, model)
        async with chat_events(self._source, path, body, reading, model=model, warnings=warnings) as events:
            yield events

    async def list_models(self, **wanted: Unpack[Wanted]) -> tuple[ModelProfile, ...]:
        """Models that answer in text, and the inference profiles over them. Raises Upstream errors and AuthFailed."""
        listed = await self._looked("foundation-models?byOutputModality=TEXT")
        profiles = {profile.id: profile for profile in decode_models(listed, self.card.id)}

        async def page(query: str) -> tuple[list[ModelProfile], str | None]:
            return decode_profiles(await self._looked(query), profiles, self.card.id)

        found = await all_pages(page, "inference-profiles?maxResults=1000", "nextToken")
        profiles |= {profile.id: profile for profile in found}
        self._facts = {name: self._merged(profile) for name, profile in profiles.items()}
        return select(self._facts.values(), **wanted)

    async def _looked(self, path: str) -> bytes:
        reply = await self._catalogue.get(path, operation="list models")
        try:
            return await reply.read()
        except JackfieldError as error:
            raise self._catalogue.failed(error, "list models", None) from error.__cause__

    async def probe(self) -> ProbeResult:
        """Asks for the model list, never for an answer."""
        return await probe_by_list(self.list_models, self.card.id, self._model)

    async def count_tokens(self, request: ChatRequest) -> int:
        """Tokens of the whole prompt. Spends nothing; not every model can be asked."""
        model = self._named(request.model)
        body, _ = bedrock_converse.encode_request(request, model=model)
        reply = await self._source.post(f"{_path(model)}/count-tokens", bedrock_converse.encode_count(body), model=model)
        try:
            return decode_count(await reply.read())
        except JackfieldError as error:
            raise self._source.failed(error, "count tokens", model) from error.__cause__

    async def aclose(self) -> None:
        """The connections belong to the shared client, which outlives a slot."""
        await self._source.aclose()
        await self._catalogue.aclose()

    def _named(self, asked: str | None) -> str:
        model = asked or self._model
        if not model:
            raise BadRequest(
                "no model is named: give one in the request or in the slot's config, such as us.amazon.nova-lite-v1:0",
                provider=self.card.id,
                param="model",
            )
        return model

    def _facts_of(self, model: str) -> ModelProfile:
        return self._facts.get(model) or self._merged(ModelProfile(model))

    def _merged(self, profile: ModelProfile) -> ModelProfile:
        """What the person says counts before what the source lists, and that before what is published."""
        profile = completed(profile, documented(self.card.id, profile.id))
        return corrected(profile, **self._said)


def _path(model: str) -> str:
    """An id or an ARN holds colons and slashes: in the address they are encoded."""
    return f"model/{quote(model, safe='')}"


def _reading(provider: str, model: str) -> Reading:
    def whole(body: bytes) -> ChatReply:
        return bedrock_converse.decode_reply(body, provider=provider, model=model)

    def decoder() -> bedrock_converse.StreamDecoder:
        return bedrock_converse.StreamDecoder(provider, model=model)

    return Reading(whole, decoder, (bedrock_converse.STREAM_TYPE,))


def _signer(region: str, source: HttpSource, entry: Entry, clock: Callable[[], datetime]) -> Sign:
    async def sign(method: str, path: str, body: bytes) -> Mapping[str, str]:
        if entry.keys is None:
            return {"authorization": f"Bearer {entry.bearer}"} if entry.bearer else {}
        target = f"{source.endpoint.base_path}/{path}"
        return signed_headers(
            method, source.endpoint.authority, target, body, keys=entry.keys, region=region, service=SERVICE, at=clock()
        )

    return sign


def _nobody(config: BedrockConfig) -> str:
    """The usual variables are several here, and are read by `_entry`."""
    return ""


def _entry(config: BedrockConfig, bearer: str | None, secrets: SecretSource) -> Entry:
    """What the config refers to, or what the usual variables hold where requests go to AWS itself. Raises AuthFailed."""
    given = (config.access_key, config.secret_key, config.session_token)
    if bearer is not None:
        return Entry(bearer=bearer)
    if any(given):
        access, secret, session = (secrets.resolve(name) if name else None for name in given)
    elif config.base_url is None and not config.endpoints:
        access, secret, session = (_variable(name, secrets) for name in _KEY_VARIABLES)
        if access is None and (token := _variable(_BEARER_VARIABLE, secrets)) is not None:
            return Entry(bearer=token)
    else:
        return Entry()
    if not access or not secret:
        missing = "access_key" if not access else "secret_key"
        raise AuthFailed(
            f"no {missing}: set {_KEY_VARIABLES[0]} and {_KEY_VARIABLES[1]} (or {_BEARER_VARIABLE}), or plug it with "
            "access_key and secret_key (env:NAME, keyring:NAME or file:NAME)",
            param=missing,
        )
    return Entry(AwsKeys(access, secret, session))


def _variable(name: str, secrets: SecretSource) -> str | None:
    try:
        return secrets.resolve(f"env:{name}")
    except AuthFailed:
        return None


def _address(region: str, service: str, config: BedrockConfig) -> str:
    if region in config.endpoints:
        return config.endpoints[region].rstrip("/")
    if config.base_url is not None:
        return config.base_url.replace("{region}", region).rstrip("/")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{service}.{region}.{domain}"


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[ListsModels], type[Probes], type[CountsTokens]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    made = Bedrock
    return made, made, made, made, made
