"""Ollama on a machine, with the models on its disk and in its memory; and its maker's cloud.

Knows what each has beyond the API that they share (ollama_api.py). Source: docs.ollama.com/api (October 2026).
"""

from collections.abc import AsyncGenerator
from typing import ClassVar

import msgspec

from jackfield.core.contracts import (
    DeletesModels,
    Embeds,
    ListsModels,
    LoadedModel,
    LoadsModels,
    PassesThrough,
    Probes,
    Provider,
    ProviderCard,
    ProviderType,
    PullProgress,
    PullsModels,
)
from jackfield.core.errors import NotSupported
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import EmbedReply, EmbedRequest
from jackfield.dialects import ollama, ollama_embeddings
from jackfield.providers.http_config import KEY_ALIASES, config_keys
from jackfield.providers.http_json import read_reply
from jackfield.providers.left_out import told
from jackfield.providers.ollama_api import OllamaApi, OllamaConfig

_CAPABILITIES = Capabilities(images=True, tools=True, json_mode=True, system_messages=True)
_LIMITS = (
    "tool_choice and user are not supported: the model chooses",
    "images only as data, not by their address",
    "the window is what num_ctx says (4096 tokens unless told otherwise), whatever the model could hold",
)


class Ollama(OllamaApi):
    """A server: it makes vectors too, and its models come and go."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="ollama",
        type="local",
        display_name="Ollama",
        capabilities=msgspec.structs.replace(_CAPABILITIES, embeddings=True, supported_tasks=("text-generation", "embeddings")),
        dialect=ollama.NAME,
        default_url="http://localhost:11434",
        default_port=11434,
        docs="https://docs.ollama.com/api",
        hint="start it: ollama serve",
        limits=(*_LIMITS, "the first answer waits until the model is loaded"),
        config_keys=config_keys(OllamaConfig),
        config_aliases=dict(KEY_ALIASES),
    )

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """Raises BadRequest for tokens instead of text, NotSupported for a model that makes no vectors."""
        model = request.model or self._model or await self._chosen_model()
        body, warnings = ollama_embeddings.encode_embed(request, model)
        told(warnings, provider=self.card.id, model=model, strict=self._config.strict)
        reply = await self._source.post(ollama_embeddings.PATH, body, model=model)
        count = len(request.inputs)
        return await read_reply(
            self._source, reply, lambda read: ollama_embeddings.decode_embed(read, count, model), "embed", model
        )

    async def loaded_models(self) -> tuple[LoadedModel, ...]:
        """What is in memory now."""
        return await self._shelf.running()

    def pull_model(self, model: str) -> AsyncGenerator[PullProgress, None]:
        """Has it fetched to its disk. Raises, while iterating, what the source says went wrong."""
        return self._shelf.pull(model)

    async def delete_model(self, model: str) -> None:
        """Removes it from its disk. Raises ModelNotFound."""
        await self._shelf.delete(model)

    async def copy_model(self, model: str, new_name: str) -> None:
        """A second name for a model. Raises ModelNotFound."""
        await self._shelf.copy(model, new_name)

    async def load_model(self, model: str, hardware: str | None = None) -> None:
        """Into memory, for as long as `keep_alive` says. Raises ModelNotFound, NotSupported for any `hardware`."""
        if hardware is not None:
            raise NotSupported(
                "its server chooses the hardware, and the next request would choose anew: say options.num_gpu in each",
                provider=self.card.id,
                param="hardware",
            )
        await self._shelf.load(model)

    async def unload_model(self, model: str) -> None:
        """Out of memory. Raises ModelNotFound."""
        await self._shelf.unload(model)


class OllamaCloud(OllamaApi):
    """The same API, served by its maker: chat, with models that are there."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="ollama-cloud",
        type="api",
        display_name="Ollama Cloud",
        capabilities=_CAPABILITIES,
        dialect=ollama.NAME,
        default_url="https://ollama.com",
        key_env=("OLLAMA_API_KEY",),
        needs_key=True,
        is_external=True,
        docs="https://docs.ollama.com/cloud",
        hint="try again, or see https://ollama.com",
        limits=_LIMITS[:2],
        config_keys=config_keys(OllamaConfig),
        config_aliases=dict(KEY_ALIASES),
    )


def _satisfies() -> tuple[
    type[ProviderType],
    type[ProviderType],
    type[Provider],
    type[PassesThrough],
    type[ListsModels],
    type[Probes],
    type[Embeds],
    type[LoadsModels],
    type[PullsModels],
    type[DeletesModels],
]:
    """Never called: here mypy proves that the class keeps its contracts."""
    made = Ollama
    return made, OllamaCloud, made, made, made, made, made, made, made, made
