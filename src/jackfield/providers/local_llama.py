"""The provider "local": a GGUF model inside this process, with no server and no network (extra `[local]`).

It is also how vectors are made without PyTorch (extra `[embed]`, which is the same engine): a GGUF of an embedding model
gives the vectors of the original, so a second way, in numpy, would only be a second thing to keep right.

Knows configs, requests and how the engine's JSON becomes events; threads and loading are providers/llama_engine.py's.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from jackfield.core.contracts import (
    Embeds,
    ListsModels,
    LoadedModel,
    LoadsModels,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
)
from jackfield.core.errors import BadRequest, JackfieldError, ModelNotFound, NotAllowed, NotSupported
from jackfield.core.events import Event
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest, EmbedReply, EmbedRequest, Generation
from jackfield.dialects.openai_chat import ChatQuirks, StreamDecoder, decode_error, encode_request
from jackfield.providers.config import check_counts, merge_generation, read_config
from jackfield.providers.fit import check_fit
from jackfield.providers.gguf import GgufFacts, list_models, read_facts, resolve_model
from jackfield.providers.left_out import with_warnings
from jackfield.providers.llama_engine import (
    CPU,
    Engine,
    EngineSpec,
    check_cache_types,
    hardware_of,
    load_binding,
    loans,
    placed,
)
from jackfield.providers.openai_embeddings import decode_embed, encode_embed
from jackfield.providers.remedies import failed
from jackfield.providers.wsl_paths import path_here

DEFAULT_CONTEXT = 8192
_QUIRKS = ChatQuirks(reasoning_field="reasoning_content", extra_fields=("*",))
_ERROR = '{"error":'
_log = logging.getLogger("jackfield.providers")
LLAMA_ALIASES: Mapping[str, str] = {
    "model_id": "model",
    "path": "model",
    "model_path": "model",
    "default_threads": "threads",
    "n_threads": "threads",
    "default_gpu_layers": "gpu_layers",
    "n_gpu_layers": "gpu_layers",
    "ctx_size": "context_length",
    "context": "context_length",
    "n_ctx": "context_length",
    "num_ctx": "context_length",
    "flash_attn": "flash_attention",
}


class LocalConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may set. `model` is a file, or a name in `models_dir`; counts in tokens, `timeout` seconds for one answer.

    Unset: `threads` all cores, `gpu_layers` all with a GPU and none without, cache types as llama.cpp chooses.
    """

    enabled: bool = True
    model: str | None = None
    models_dir: str | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    context_length: int | None = None
    parallel: int = 2
    batch: int = 512
    flash_attention: bool | None = None
    cache_type_k: str | None = None
    cache_type_v: str | None = None
    embedding: bool = False
    timeout: float = 300.0


class LocalLlama:
    """A model on disk, loaded at the first request and shared by all slots that want it alike."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="local",
        type="local",
        display_name="This process (llama.cpp)",
        capabilities=Capabilities(
            embeddings=True,
            tools=True,
            vision=False,
            json_mode=True,
            system_messages=True,
            hardware_types=("cpu", "cuda", "metal"),
            protocols=("in-process",),
        ),
        aliases=("gguf", "llama-cpp-local"),
        docs="https://github.com/ggml-org/llama.cpp",
        hint="install the engine with: pip install 'jackfield[local]'",
        limits=("GGUF text models", "one model per slot", "embeddings only with `embedding: true`, and then no chat"),
        config_keys=LocalConfig.__struct_fields__,
        config_aliases=dict(LLAMA_ALIASES),
    )

    def __init__(self, config: LocalConfig, generation: Generation, models_dir: str | None) -> None:
        if not config.model:
            raise BadRequest(
                "it needs a model: the path of a GGUF file, or its name in models_dir", provider="local", param="model"
            )
        self._config = config
        self._generation = generation
        self._wanted = config.model
        self._models_dir = config.models_dir or models_dir
        self._name = path_here(config.model).name.removesuffix(".gguf")
        self._engine: Engine | None = None
        self._engine_lock = asyncio.Lock()
        self._is_closed = False
        self.info = ProviderInfo("local", "local", self.card.display_name)
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities,
            embeddings=config.embedding,
            max_context=config.context_length or DEFAULT_CONTEXT,
            default_model=self._name,
            supported_tasks=("feature-extraction",) if config.embedding else ("text-generation",),
        )

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O: whether the file exists is seen by `probe` or the first request. Raises BadRequest naming the key."""
        read, generation = read_config(LocalConfig, config, cls.card.id, LLAMA_ALIASES)
        if not read.enabled:
            raise NotAllowed("it is switched off: set `enabled: true` in its settings to use it", provider=cls.card.id)
        check_counts(read, ("threads", "context_length", "parallel", "batch"), cls.card.id)
        check_cache_types(read, cls.card.id)
        return cls(read, generation, tools.models_dir)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        if self._config.embedding:
            raise NotSupported("this slot holds an embedding model: ask it for embeddings", provider="local")
        self._check_model(request.model)
        check_fit(request, self._name, "local", self.capabilities, None)
        try:
            engine = await self._ready_engine()
            engine.threads.check_room()
            body, warnings = self._encoded(request)
        except JackfieldError as error:
            raise self._failed(error, "chat") from error.__cause__
        async with engine.stream(body, self._config.timeout) as chunks:
            events = self._events(chunks, warnings)
            try:
                yield events
            finally:
                await events.aclose()

    async def _events(self, chunks: AsyncIterator[str], warnings: list[str]) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(_decoded(chunks)) as events:
                async for event in events:
                    yield with_warnings(event, warnings)
        except JackfieldError as error:
            raise self._failed(error, "chat") from error.__cause__

    def _encoded(self, request: ChatRequest) -> tuple[str, list[str]]:
        generation = merge_generation(request.generation, self._generation)
        streamed = msgspec.structs.replace(request, stream=True, include_usage=True, generation=generation, model=None)
        body, warnings = encode_request(streamed, _QUIRKS, model=self._name)
        # With progress reports the engine looks up after every batch of a long prompt, so that it can be stopped there.
        return '{"return_progress":true,' + body.decode().lstrip()[1:], warnings

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """Raises NotSupported unless the slot was plugged with `embedding: true`."""
        if not self._config.embedding:
            raise NotSupported("this slot holds a chat model: plug one with `embedding: true` for embeddings", provider="local")
        self._check_model(request.model)
        try:
            engine = await self._ready_engine()
            engine.threads.check_room()
            answer = await engine.embed(encode_embed(request, self._name).decode(), self._config.timeout)
            if answer.startswith(_ERROR):
                raise _refusal(answer)
            return decode_embed(answer.encode(), request, self._name)
        except JackfieldError as error:
            raise self._failed(error, "embed") from error.__cause__

    async def list_models(self) -> tuple[ModelProfile, ...]:
        """Its own model first, then the other GGUF files of the models folder (which other slots can hold)."""
        own, facts = await self._found()
        others = [path for path in await asyncio.to_thread(list_models, self._models_dir) if path != own]
        mine = ModelProfile(
            self._name,
            name=facts.name,
            context_length=min(facts.context_length or DEFAULT_CONTEXT, self._config.context_length or DEFAULT_CONTEXT),
            vision=False,
            embeddings=self._config.embedding,
            source=str(own),
        )
        return (mine, *(ModelProfile(path.stem, source=str(path)) for path in others))

    async def probe(self) -> ProbeResult:
        """Is the engine installed and the file a GGUF? Loads nothing."""
        try:
            load_binding()
            path, _ = await self._found()
        except JackfieldError as error:
            return ProbeResult(False, None, self._failed(error, "probe").message, code=error.code)
        state = "loaded" if self._engine is not None else "loads at the first request"
        return ProbeResult(True, 0.0, f"{path.name}, {state}", models=(self._name,))

    async def load_model(self, model: str, hardware: str | None = None) -> None:
        """Into memory; onto that hardware, if it is on another. Raises ModelNotFound, NotSupported for hardware it lacks."""
        self._check_model(model)
        try:
            await self._ready_engine(hardware)
        except JackfieldError as error:
            raise self._failed(error, "load") from error.__cause__

    async def unload_model(self, model: str) -> None:
        """Out of memory when its running answers have ended; the next request loads it again. Raises ModelNotFound."""
        self._check_model(model)
        async with self._engine_lock:
            await self._let_go()

    async def loaded_models(self) -> tuple[LoadedModel, ...]:
        engine = self._engine
        if engine is None:
            return ()
        size_bytes = (await asyncio.to_thread(Path(engine.spec.path).stat)).st_size
        hardware = hardware_of(engine.spec)
        is_on_gpu = hardware != CPU and engine.spec.gpu_layers is None
        return (
            LoadedModel(
                self._name,
                size_bytes,
                size_bytes if is_on_gpu else 0,
                context_length=engine.spec.context_length,
                hardware=hardware,
            ),
        )

    async def aclose(self) -> None:
        self._is_closed = True
        async with self._engine_lock:
            await self._let_go()

    async def _let_go(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await loans.give_back(engine)

    async def _found(self) -> tuple[Path, GgufFacts]:
        path = await asyncio.to_thread(resolve_model, self._wanted, self._models_dir)
        return path, await asyncio.to_thread(read_facts, path)

    async def _ready_engine(self, hardware: str | None = None) -> Engine:
        async with self._engine_lock:
            engine = self._engine
            if engine is None or (hardware is not None and hardware != hardware_of(engine.spec)):
                if self._is_closed:
                    raise NotSupported("this slot was unplugged")
                load_binding()
                path, facts = await self._found()
                spec = self._spec(path, facts)
                spec = spec if hardware is None else placed(spec, hardware)
                await self._let_go()
                self._engine = engine = await loans.borrow(spec)
            return engine

    def _spec(self, path: Path, facts: GgufFacts) -> EngineSpec:
        config = self._config
        wanted = config.context_length or DEFAULT_CONTEXT
        if facts.context_length is not None and wanted > facts.context_length:
            if config.context_length is not None:
                _log.warning(
                    "local: %s was trained for %d tokens, not %d: using those", path.name, facts.context_length, wanted
                )
            wanted = facts.context_length
        return EngineSpec(
            path=str(path),
            name=self._name,
            context_length=wanted,
            threads=config.threads or os.cpu_count() or 1,
            parallel=config.parallel,
            gpu_layers=config.gpu_layers,
            flash_attention=config.flash_attention,
            cache_type_k=config.cache_type_k,
            cache_type_v=config.cache_type_v,
            embedding=config.embedding,
            batch=config.batch,
        )

    def _check_model(self, asked: str | None) -> None:
        if asked is not None and asked not in (self._name, self._wanted, f"{self._name}.gguf"):
            raise ModelNotFound(
                f"this slot holds {self._name}, not {asked}: plug that into a slot of its own", provider="local"
            )

    def _failed(self, error: JackfieldError, operation: str) -> JackfieldError:
        return failed(error, self.card, operation, self._name)


async def _decoded(chunks: AsyncIterator[str]) -> AsyncGenerator[Event, None]:
    decoder = StreamDecoder("local")
    async for chunk in chunks:
        if chunk.startswith(_ERROR):
            raise _refusal(chunk)
        for event in decoder.feed(b"data: " + chunk.encode() + b"\n\n"):
            yield event
    for event in [*decoder.feed(b"data: [DONE]\n\n"), *decoder.finish()]:
        yield event


def _refusal(answer: str) -> JackfieldError:
    code = msgspec.json.decode(answer).get("error", {}).get("code", 500)
    return decode_error(code if isinstance(code, int) else 500, answer.encode(), provider="local")


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[ListsModels], type[Probes], type[Embeds], type[LoadsModels]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return LocalLlama, LocalLlama, LocalLlama, LocalLlama, LocalLlama, LocalLlama
