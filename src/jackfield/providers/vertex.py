"""Gemini models on Google Cloud's Vertex AI: the same dialect by project and region, with an access token for a key.

Knows Vertex's addresses and what differs from the Gemini API: who lets us in, how embeddings and counts are asked for, and that
another region can answer where one is busy. Source: https://cloud.google.com/vertex-ai/generative-ai/docs (October 2026).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self
from urllib.parse import quote

import msgspec

from jackfield.core.contracts import (
    CountsTokens,
    Embeds,
    ListsModels,
    PassesThrough,
    Probes,
    Provider,
    ProviderCard,
    ProviderTools,
    ProviderType,
)
from jackfield.core.errors import AuthFailed, BadRequest, JackfieldError
from jackfield.core.profiles import ModelProfile
from jackfield.core.requests import EmbedReply, EmbedRequest
from jackfield.dialects import gemini, gemini_embeddings
from jackfield.providers.gemini import GEMINI_CAPABILITIES, Gemini, GeminiConfig
from jackfield.providers.google_tokens import GoogleTokens
from jackfield.providers.http_config import KEY_ALIASES, config_keys, read_config
from jackfield.providers.http_json import read_reply
from jackfield.providers.http_source import HttpSource
from jackfield.providers.regions import Region, Regions

PUBLISHER = "publishers/google/models"
REGION = "us-central1"
LIST_VERSION = "v1beta1"


class VertexConfig(GeminiConfig, frozen=True, kw_only=True):
    """`project` and `region` say where; `regions` are asked in turn after it. `credentials_file` is a service account's key or
    `gcloud`'s file; `api_key` refers to such a file's text, its path, or a ready access token. `endpoints` gives regions an
    address of their own; `base_url` is for all of them, with {region} in it where it differs."""

    project: str | None = None
    region: str = REGION
    regions: tuple[str, ...] = ()
    credentials_file: str | None = None
    endpoints: dict[str, str] = msgspec.field(default_factory=dict)


class Vertex(Gemini):
    """A provider of Gemini models on Vertex AI. Credentials are read, and exchanged for a token, when it is first asked."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="vertex",
        type="api",
        display_name="Google Vertex AI",
        capabilities=msgspec.structs.replace(GEMINI_CAPABILITIES, default_model="gemini-2.5-flash"),
        aliases=("vertex-ai", "vertexai", "google-vertex", "gcp", "google-cloud"),
        dialect=gemini.NAME,
        default_url="https://aiplatform.googleapis.com/v1",
        key_env=("GOOGLE_APPLICATION_CREDENTIALS",),
        is_external=True,
        docs="https://cloud.google.com/vertex-ai/generative-ai/docs",
        hint="try again, or see https://status.cloud.google.com",
        limits=("Credentials of other clouds (workload identity) and of a machine's metadata server are not understood.",),
        config_keys=config_keys(VertexConfig),
        config_aliases={**KEY_ALIASES, "location": "region", "project_id": "project"},
    )

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key, AuthFailed for a reference that leads nowhere."""
        try:
            read, key = read_config(
                VertexConfig, cls.card, config, tools.secrets, aliases=cls.card.config_aliases, find_root=_whose_variable
            )
            if not read.project:
                raise BadRequest("vertex needs a project: the id of the Google Cloud project that pays", param="project")
            secret, file = _credentials(read, key)
            read = msgspec.structs.replace(read, secrets=tuple(item for item in read.secrets if item != file))
            tokens = GoogleTokens(tools.http, secret=secret, file=file)
            regions = Regions([cls._region(name, read, tokens, tools) for name in dict.fromkeys((read.region, *read.regions))])
            return cls(read, regions, regions.hosts)
        except JackfieldError as error:
            error.provider = cls.card.id
            raise

    @classmethod
    def _region(cls, name: str, config: VertexConfig, tokens: GoogleTokens, tools: ProviderTools) -> Region:
        project = {"x-goog-user-project": config.project or ""}

        async def sign(method: str, path: str, body: bytes) -> dict[str, str]:
            return {"authorization": f"Bearer {await tokens.token()}"}

        def watch(error: JackfieldError) -> None:
            if isinstance(error, AuthFailed):
                tokens.forget()

        root = f"{_address(name, config)}/v1/projects/{quote(config.project or '', safe='')}/locations/{name}"
        return Region(name, HttpSource(cls.card, config, project, tools.http, cls._refusal, root=root, watch=watch), sign)

    def _path(self, model: str) -> str:
        return quote(model if "/" in model else f"{PUBLISHER}/{model}", safe="/")

    async def _page(self, path: str) -> tuple[list[ModelProfile], str]:
        """The list is not the project's: it stands beside the regions' own API."""
        return await super()._page(f"/{LIST_VERSION}/{path.replace('models', PUBLISHER, 1)}")

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """As Gemini's, by Vertex's own call."""
        model = self._embedder(request.model)
        body = gemini_embeddings.encode_predict(request)
        reply = await self._source.post(f"{self._path(model)}:predict", body, model=model)
        decode = partial(gemini_embeddings.decode_predict, count=len(request.inputs), model=model)
        return await read_reply(self._source, reply, decode, "embed", model)

    def _count_body(self, body: bytes, model: str) -> bytes:
        return body


def _whose_variable(config: VertexConfig) -> str:
    """Google's own address where requests go to Google, so that the usual variable is read for it and for nobody else."""
    return (
        Vertex.card.default_url or "" if config.base_url is None and not config.endpoints else _address(config.region, config)
    )


def _credentials(config: VertexConfig, key: str | None) -> tuple[str | None, str | None]:
    """A secret text and a file's path, at most one of them. What the config says counts before the usual variable."""
    if config.credentials_file is not None and config.api_key is None:
        return None, config.credentials_file
    if key is not None and not key.lstrip().startswith("{") and key.endswith(".json"):
        return None, key
    return key, None


def _address(region: str, config: VertexConfig) -> str:
    if region in config.endpoints:
        return config.endpoints[region].rstrip("/")
    if config.base_url is not None:
        return config.base_url.replace("{region}", region).rstrip("/")
    return "https://aiplatform.googleapis.com" if region == "global" else f"https://{region}-aiplatform.googleapis.com"


def _satisfies() -> tuple[
    type[ProviderType],
    type[Provider],
    type[PassesThrough],
    type[ListsModels],
    type[Probes],
    type[Embeds],
    type[CountsTokens],
]:
    """Never called: here mypy proves that the class keeps its contracts."""
    made = Vertex
    return made, made, made, made, made, made, made
