"""The provider "local_transformers": a Hugging Face model inside this process, by PyTorch (extra `[transformers]`).

Knows configs, requests and events; the model and its thread are providers/transformers_engine.py's. It never uses the
network: a model is on this machine's disk, or the error says how to bring it here as the operating mode allows.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Self, assert_never

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
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, Started, TextDelta, UsageReported
from jackfield.core.modes import OperatingMode
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest, EmbedReply, EmbedRequest, Generation
from jackfield.core.usage import Usage
from jackfield.providers.config import check_counts, merge_generation, read_config
from jackfield.providers.fit import check_fit
from jackfield.providers.hf_models import HfFacts, list_folders, read_folder, resolve_folder
from jackfield.providers.remedies import failed
from jackfield.providers.torch_device import check_device
from jackfield.providers.torch_model import PIP_LINE, TYPES, TorchSpec, check_hardware
from jackfield.providers.transformers_engine import (
    Began,
    Ended,
    Piece,
    TransformersEngine,
    cache_folder,
    check_installed,
    loans,
)
from jackfield.providers.transformers_question import not_passed_on, question_of
from jackfield.providers.wsl_paths import path_here

ID = "local_transformers"
DEFAULT_CONTEXT = 8192
_ALIASES: Mapping[str, str] = {
    "model_id": "model",
    "path": "model",
    "model_path": "model",
    "models_path": "models_dir",
    "torch_dtype": "dtype",
    "ctx_size": "context_length",
    "context": "context_length",
    "n_ctx": "context_length",
    "num_ctx": "context_length",
}
_log = logging.getLogger("jackfield.providers")


class TransformersConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may set. `model` is a folder, a name in `models_dir`, or a model in the hub's cache (`ORG/NAME`).

    `cache_dir` is that cache, unset where the hub's own library has it; `device` auto, cpu, cuda, cuda:N, rocm or mps; `dtype`
    auto is the type that the files have. `context_length` in tokens; `timeout` seconds for one answer.
    """

    enabled: bool = True
    model: str | None = None
    models_dir: str | None = None
    cache_dir: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    context_length: int | None = None
    embedding: bool = False
    trust_remote_code: bool = False
    timeout: float = 300.0


class LocalTransformers:
    """A model on disk, loaded at the first request and shared by all slots that want it alike."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id=ID,
        type="local",
        display_name="This process (transformers)",
        capabilities=Capabilities(
            embeddings=True,
            tools=False,
            vision=False,
            json_mode=False,
            system_messages=True,
            hardware_types=("cpu", "cuda", "rocm", "mps"),
            protocols=("in-process",),
            prefill=True,
        ),
        aliases=("transformers", "hf-local"),
        docs="https://huggingface.co/docs/transformers",
        hint=f"install PyTorch and transformers with: {PIP_LINE}",
        limits=(
            "text models, one request at a time for each model",
            "no tools, no JSON mode, no log probabilities",
            "stops within one token, but not while it reads a long prompt",
            "embeddings only with `embedding: true`, and then no chat",
            "a model's own Python code runs only with `trust_remote_code: true`",
        ),
        config_keys=TransformersConfig.__struct_fields__,
        config_aliases=dict(_ALIASES),
    )

    def __init__(self, config: TransformersConfig, generation: Generation, wanted: str, tools: ProviderTools) -> None:
        self._config = config
        self._generation = generation
        self._wanted = wanted
        self._models_dir = config.models_dir or tools.models_dir
        self._gate = tools.http.gate
        path = path_here(wanted)
        self._name = path.name if path.is_absolute() else wanted
        self._window = config.context_length or DEFAULT_CONTEXT
        self._engine: TransformersEngine | None = None
        self._engine_lock = asyncio.Lock()
        self._is_closed = False
        self.info = ProviderInfo(ID, "local", self.card.display_name)
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities,
            embeddings=config.embedding,
            prefill=not config.embedding,
            max_context=self._window,
            default_model=self._name,
            supported_tasks=("feature-extraction",) if config.embedding else ("text-generation",),
        )

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O: whether the folder exists is seen by `probe` or the first request. Raises BadRequest naming the key."""
        read, generation = read_config(TransformersConfig, config, ID, _ALIASES)
        if not read.enabled:
            raise NotAllowed("it is switched off: set `enabled: true` in its settings to use it", provider=ID)
        if not read.model:
            raise BadRequest("it needs a model: a folder, or a name like ORG/NAME", provider=ID, param="model")
        check_counts(read, ("context_length",), ID)
        if read.dtype not in TYPES:
            raise BadRequest(f"dtype is one of {', '.join(TYPES)}, got {read.dtype!r}", provider=ID, param="dtype")
        try:
            check_device(read.device)
        except BadRequest as error:
            error.provider = ID
            raise
        if read.trust_remote_code:
            _log.warning("%s: %s may run Python code of its own in this process (trust_remote_code: true)", ID, read.model)
        return cls(read, generation, read.model, tools)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        if self._config.embedding:
            raise NotSupported("this slot holds an embedding model: ask it for embeddings", provider=ID)
        self._check_model(request.model)
        check_fit(request, self._name, ID, self.capabilities, None)
        generation = merge_generation(request.generation, self._generation)
        warnings = not_passed_on(generation)
        question = question_of(request, generation, ID)
        try:
            engine = await self._ready_engine()
            engine.threads.check_room()
        except JackfieldError as error:
            raise self._failed(error, "chat") from error.__cause__
        async with engine.stream(question, self._window, self._config.timeout) as pieces:
            events = self._events(pieces, warnings)
            try:
                yield events
            finally:
                await events.aclose()

    async def _events(self, pieces: AsyncIterator[Piece], warnings: list[str]) -> AsyncGenerator[Event, None]:
        try:
            async for piece in pieces:
                match piece:
                    case Began(prompt_tokens, further):
                        told = [*warnings, *further]
                        extra = {"warnings": told} if told else {}
                        yield Started(self._name, f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), extra)
                        yield PartStarted(0, "text")
                    case str():
                        yield TextDelta(0, piece)
                    case Ended(reason, completion_tokens):
                        yield PartEnded(0)
                        yield UsageReported(Usage(prompt_tokens, completion_tokens))
                        yield Finished(reason)
                    case _:
                        assert_never(piece)
        except JackfieldError as error:
            raise self._failed(error, "chat") from error.__cause__

    async def embed(self, request: EmbedRequest) -> EmbedReply:
        """Raises NotSupported unless the slot was plugged with `embedding: true`, or for another number of dimensions."""
        if not self._config.embedding:
            raise NotSupported("this slot holds a chat model: plug one with `embedding: true` for embeddings", provider=ID)
        self._check_model(request.model)
        try:
            engine = await self._ready_engine()
            engine.threads.check_room()
            made = await engine.embed(request.inputs, self._window, self._config.timeout)
        except JackfieldError as error:
            raise self._failed(error, "embed") from error.__cause__
        size = len(made.vectors[0]) if made.vectors else 0
        if request.dimensions is not None and request.dimensions != size:
            raise NotSupported(
                f"{self._name} makes vectors of {size} numbers, no others: leave dimensions out",
                provider=ID,
                param="dimensions",
            )
        return EmbedReply(made.vectors, self._name, Usage(prompt_tokens=made.tokens))

    async def list_models(self) -> tuple[ModelProfile, ...]:
        """Its own model first, then the others of the models folder and of the hub's cache (which other slots can hold)."""
        own, facts = await self._found()
        mine = ModelProfile(
            self._name,
            context_length=min(facts.context_length or DEFAULT_CONTEXT, self._window),
            vision=False,
            embeddings=self._config.embedding,
            source=str(own),
        )
        others = await asyncio.to_thread(lambda: list_folders(self._models_dir, self._cache()))
        return (
            mine,
            *(ModelProfile(name, source=str(path)) for name, path in others.items() if path != own and name != self._name),
        )

    async def probe(self) -> ProbeResult:
        """Are the libraries installed and is the model's folder there? Imports and loads nothing."""
        try:
            check_installed()
            await self._found()
        except JackfieldError as error:
            return ProbeResult(False, None, self._failed(error, "probe").message, code=error.code)
        state = "loads at the first request" if self._engine is None else f"loaded on {self._engine.model.device.hardware}"
        return ProbeResult(True, 0.0, f"{self._name}, {state}", models=(self._name,))

    async def load_model(self, model: str, hardware: str | None = None) -> None:
        """Into memory; onto that hardware, if it is on another. Raises ModelNotFound, NotSupported for hardware it lacks."""
        self._check_model(model)
        try:
            if hardware not in (None, "cpu"):
                await asyncio.to_thread(check_hardware, str(hardware))
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
        hardware = engine.model.device.hardware
        size_bytes = await asyncio.to_thread(_weights_bytes, Path(engine.spec.path))
        gpu_bytes = 0 if hardware == "cpu" else size_bytes
        return (LoadedModel(self._name, size_bytes, gpu_bytes, context_length=self._window, hardware=hardware),)

    async def aclose(self) -> None:
        self._is_closed = True
        async with self._engine_lock:
            await self._let_go()

    async def _let_go(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await loans.give_back(engine)

    async def _found(self) -> tuple[Path, HfFacts]:
        """Raises ModelNotFound with the way to bring the model here, NotSupported for one that does not write."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> tuple[Path, HfFacts]:
        try:
            folder = resolve_folder(self._wanted, self._models_dir, self._cache())
        except ModelNotFound as error:
            raise ModelNotFound(f"{error.message}; {self._how_to_bring()}", param="model") from None
        facts = read_folder(folder)
        if facts.writes_text is False and not self._config.embedding:
            raise NotSupported(f"{self._name} is a {facts.architecture}, which does not chat: set embedding: true for vectors")
        return folder, facts

    def _cache(self) -> Path:
        return path_here(self._config.cache_dir) if self._config.cache_dir else cache_folder()

    def _how_to_bring(self) -> str:
        if path_here(self._wanted).is_absolute():
            return "give the folder that holds its config.json"
        if self._gate.mode is OperatingMode.BURST:
            return f"fetch it with: hf download {self._wanted}"
        where = f"{self._models_dir}/{self._wanted}" if self._models_dir else "your models_dir"
        return (
            f"in {self._gate.mode} mode nothing is fetched: on a machine with network run "
            f"`hf download {self._wanted} --local-dir {self._wanted}` and copy that folder to {where}"
        )

    async def _ready_engine(self, hardware: str | None = None) -> TransformersEngine:
        async with self._engine_lock:
            engine = self._engine
            if engine is None or hardware not in (None, engine.model.device.hardware):
                if self._is_closed:
                    raise NotSupported("this slot was unplugged")
                check_installed()
                folder, facts = await self._found()
                self._fit_window(facts)
                config = self._config
                device = config.device if hardware is None or config.device.startswith(hardware) else hardware
                spec = TorchSpec(str(folder), self._name, device, config.dtype, config.embedding, config.trust_remote_code)
                await self._let_go()
                self._engine = engine = await loans.borrow(spec)
            return engine

    def _fit_window(self, facts: HfFacts) -> None:
        if facts.context_length is not None and self._window > facts.context_length:
            if self._config.context_length is not None:
                said = "%s: %s was trained for %d tokens, not %d: using those"
                _log.warning(said, ID, self._name, facts.context_length, self._window)
            self._window = facts.context_length

    def _check_model(self, asked: str | None) -> None:
        if asked is not None and asked not in (self._name, self._wanted):
            raise ModelNotFound(f"this slot holds {self._name}, not {asked}: plug that into a slot of its own", provider=ID)

    def _failed(self, error: JackfieldError, operation: str) -> JackfieldError:
        return failed(error, self.card, operation, self._name)


def _weights_bytes(folder: Path) -> int:
    """What its files of weights have on the disk."""
    return sum(path.stat().st_size for kind in ("*.safetensors", "*.bin") for path in folder.glob(kind))


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[ListsModels], type[Probes], type[Embeds], type[LoadsModels]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    made = LocalTransformers
    return made, made, made, made, made, made
