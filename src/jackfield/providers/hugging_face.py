"""Hugging Face: the family's adapter over the inference router's row, and the hub behind it: models looked up and searched.

Knows the hub's two calls and how it says no. A model's name may end in `:provider`: the router reads that, the hub does not.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlencode

import msgspec

from jackfield.core.contracts import Provider, ProviderCard, ProviderTools, ProviderType, RawReply, SearchesModels, SearchWish
from jackfield.core.errors import AuthFailed, JackfieldError, ModelNotFound
from jackfield.core.profiles import ModelProfile
from jackfield.providers.http_json import decoded, read_reply
from jackfield.providers.http_source import HttpSource
from jackfield.providers.openai_compatible import OpenAICompatible
from jackfield.providers.openai_config import OpenAISettings, card_of, read_settings
from jackfield.providers.presets import Preset, load_presets
from jackfield.providers.refusal import read_refusal
from jackfield.transport.http1 import HttpClient

HUB_URL = "https://huggingface.co"
SEARCH_PATH = "api/models"
GATED_HINT = "private or gated models want HF_TOKEN to be set, and their terms accepted on their page"
_TASKS = {
    "text": "text-generation",
    "image": "image-text-to-text",
    "audio": "automatic-speech-recognition",
    "embeddings": "feature-extraction",
}


class HuggingFaceHub:
    """What the hub says of models. `card` is whose key is used; none is sent where `settings` hold none."""

    def __init__(self, card: ProviderCard, settings: OpenAISettings, http: HttpClient, url: str = HUB_URL) -> None:
        auth = {"authorization": f"Bearer {settings.key}"} if settings.key else {}
        self._card = card
        self._source = HttpSource(card, settings.config, {}, http, self._refusal, auth=auth, root=url.rstrip("/"))

    async def search(self, wish: SearchWish) -> tuple[ModelProfile, ...]:
        """Models that a provider serves, by downloads. A modality that the hub has no task for is taken as the task's name."""
        wanted = {
            "search": wish.query or None,
            "inference_provider": wish.provider or "all",
            "pipeline_tag": _TASKS.get(wish.modality, wish.modality) if wish.modality else None,
            "sort": "downloads",
            "limit": wish.limit,
        }
        query = urlencode({name: value for name, value in wanted.items() if value is not None})
        reply = await self._source.get(f"{SEARCH_PATH}?{query}", operation="search models")
        return await read_reply(self._source, reply, decode_search, "search models", None)

    async def info(self, model: str) -> ModelProfile:
        """Raises ModelNotFound for a name that the hub does not know, AuthFailed for one that needs a (better) token."""
        name = hub_name(model)
        try:
            reply = await self._source.look(f"{SEARCH_PATH}/{quote(name, safe='/')}")
            if reply.status >= 300:
                raise await self._refused_model(reply, name)
        except JackfieldError as error:
            raise self._source.failed(error, "look at a model", name) from error.__cause__
        return await read_reply(self._source, reply, decode_info, "look at a model", name)

    async def _refusal(self, reply: RawReply) -> JackfieldError:
        return await read_refusal(reply, self._card.id)

    async def _refused_model(self, reply: RawReply, model: str) -> JackfieldError:
        """The hub answers 401 for names that do not exist too, lest it tell which private ones do."""
        error = await self._refusal(reply)
        if reply.status == 404:
            return ModelNotFound(f"Model {model!r} not found on Huggingface: {GATED_HINT}", param="model")
        if reply.status in (401, 403):
            return AuthFailed(f"Model {model!r} is not open to you on Huggingface, or not there: {GATED_HINT}", param="model")
        return error


class HuggingFace(OpenAICompatible):
    """A provider type of its own for the hub; its chat is every row's."""

    preset: ClassVar[Preset] = load_presets()["huggingface-router"]
    card: ClassVar[ProviderCard] = card_of(preset)
    hub: HuggingFaceHub

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """As every row, with `hub_url` beside its keys. No I/O."""
        rest = {name: value for name, value in config.items() if name != "hub_url"}
        made = super().create(rest, tools)
        settings = read_settings(cls.preset, rest, tools.secrets)
        made.hub = HuggingFaceHub(cls.card, settings, tools.http, str(config.get("hub_url") or HUB_URL))
        return made

    async def search_models(self, wish: SearchWish) -> tuple[ModelProfile, ...]:
        return await self.hub.search(wish)

    async def model_info(self, model: str) -> ModelProfile:
        return await self.hub.info(model)


class _Model(msgspec.Struct):
    id: str
    pipeline_tag: str | None = None
    gated: bool | str = False
    downloads: int = 0


def hub_name(model: str) -> str:
    """The name without the router's `:provider`."""
    return model.partition(":")[0]


def decode_search(body: bytes) -> tuple[ModelProfile, ...]:
    return tuple(map(_profile, decoded(body, list[_Model], "the list of models")))


def decode_info(body: bytes) -> ModelProfile:
    return _profile(decoded(body, _Model, "the model's page"))


def _profile(model: _Model) -> ModelProfile:
    """Only what the page says: its task tells whether it sees or embeds, where it tells it."""
    task = model.pipeline_tag
    gated = "; gated: accept its terms first" if model.gated else ""
    return ModelProfile(
        model.id,
        description=f"{task or 'no task told'}, {model.downloads} downloads{gated}",
        vision=True if task == "image-text-to-text" else None,
        audio=True if task == "automatic-speech-recognition" else None,
        embeddings=True if task == "feature-extraction" else None,
        source=f"{HUB_URL}/{model.id}",
    )


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[SearchesModels]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return HuggingFace, HuggingFace, HuggingFace
