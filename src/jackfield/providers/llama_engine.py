"""llama.cpp inside this process: loads a model and streams its JSON to the event loop.

Knows the engine's Python binding; the threads are providers/model_threads.py's. Chunks go up as JSON text, undecoded. The
binding works through calls in this process, but insists on also listening somewhere: that is a Unix socket whose name is
removed at once, behind a random key.
"""

import importlib
import secrets
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest, MissingExtra, NotSupported, RequestRejected, ServiceFailed
from jackfield.providers.model_threads import Call, Loans, ModelThreads

CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
ALL_LAYERS = 999
CPU = "cpu"
_GPU_KINDS = {"cuda": "cuda", "rocm": "rocm", "hip": "rocm", "metal": "mps", "mtl": "mps"}
"""What llama.cpp's names of devices begin with, and the kind of hardware that this is."""
# A key of the engine's progress reports; as a key it cannot occur inside a JSON string, where its quotes would be escaped.
_PROGRESS = '"prompt_progress":'


class EngineSpec(msgspec.Struct, frozen=True):
    """What tells one loaded engine from another: equal specs share one. `context_length` in tokens, for each of `parallel`."""

    path: str
    name: str
    context_length: int
    threads: int
    parallel: int = 2
    gpu_layers: int | None = None
    flash_attention: bool | None = None
    cache_type_k: str | None = None
    cache_type_v: str | None = None
    embedding: bool = False
    batch: int = 512


def check_cache_types(read: msgspec.Struct, provider: str) -> None:
    """Raises BadRequest for a `cache_type_k` or `cache_type_v` that llama.cpp does not have."""
    for name in ("cache_type_k", "cache_type_v"):
        value = getattr(read, name)
        if value is not None and value not in CACHE_TYPES:
            known = ", ".join(CACHE_TYPES)
            raise BadRequest(f"{name} is one of {known}, got {value!r}", provider=provider, param=name)


def load_binding() -> Any:
    """The xllamacpp module. Raises MissingExtra."""
    try:
        return importlib.import_module("xllamacpp")
    except ImportError:
        raise MissingExtra("llama.cpp for this process is not installed: pip install 'jackfield[local]'") from None


def placed(spec: EngineSpec, hardware: str) -> EngineSpec:
    """The spec for that hardware (cpu, cuda, rocm, mps). Raises NotSupported where this build has none, and MissingExtra."""
    if hardware == CPU:
        return msgspec.structs.replace(spec, gpu_layers=0)
    kinds = gpu_kinds(load_binding())
    if hardware not in kinds:
        raise NotSupported(
            f"llama.cpp as it is installed in this process has no {hardware}, but {', '.join((*kinds, CPU))}", param="hardware"
        )
    return msgspec.structs.replace(spec, gpu_layers=spec.gpu_layers or None)


def hardware_of(spec: EngineSpec) -> str:
    """What such an engine runs on."""
    kinds = gpu_kinds(load_binding())
    return CPU if spec.gpu_layers == 0 or not kinds else kinds[0]


class Engine:
    """A model in memory, made by `loans`; it plays `parallel` requests at once."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.users = 0
        self.threads = ModelThreads(spec.parallel, "llama")
        self._server: Any = None
        self.loading: Future[None] = self.threads.load(self._load)

    def _load(self) -> None:
        binding = load_binding()
        # Once it listens the socket's name is taken away: nobody needs it, and nothing is left behind by a crash.
        with tempfile.TemporaryDirectory(prefix="jackfield-", ignore_cleanup_errors=True) as folder:
            try:
                self._server = binding.Server(_parameters(binding, self.spec, Path(folder, "engine.sock")))
            except RuntimeError as error:
                raise ServiceFailed(
                    f"llama.cpp could not load {Path(self.spec.path).name} ({error}): "
                    "is it a whole GGUF file, and is there enough memory?"
                ) from None

    def stream(self, body: str, timeout_s: float) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Chunks of a chat answer as JSON text. Leaving stops the engine within one batch.

        Raises, while iterating, TimedOut or RequestRejected.
        """
        return self.threads.stream(partial(self._run, body), timeout_s)

    def _run(self, body: str, call: Call[str]) -> None:
        def take(chunk: str) -> bool:
            return call.is_stopped() if _PROGRESS in chunk else call.take(chunk)

        try:
            self._server.handle_chat_completions(body, take)
        except (ValueError, RuntimeError) as error:
            raise RequestRejected(f"llama.cpp refused the request: {error}") from None

    async def embed(self, body: str, timeout_s: float) -> str:
        """The JSON text of an embeddings answer, or of an error object. Raises TimedOut, RequestRejected."""
        return await self.threads.answer(partial(self._embed, body), timeout_s)

    def _embed(self, body: str) -> str:
        try:
            answer: str = self._server.handle_embeddings(body)
        except (ValueError, RuntimeError) as error:
            raise RequestRejected(f"llama.cpp refused the request: {error}") from None
        return answer

    def close(self) -> None:
        """Blocking: waits for running requests, which must have been stopped, then frees the model."""
        self.threads.close()
        self._server = None


loans: Loans[EngineSpec, Engine] = Loans(Engine)
"""Engines of this process by their spec. Borrowing raises MissingExtra or ServiceFailed."""


def _parameters(binding: Any, spec: EngineSpec, socket: Path) -> Any:
    given = binding.CommonParams()
    given.model.path = spec.path
    given.model_alias = {spec.name}
    given.n_ctx = spec.context_length * spec.parallel
    given.n_parallel = spec.parallel
    given.n_batch = given.n_ubatch = spec.batch
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = spec.threads
    given.n_gpu_layers = spec.gpu_layers if spec.gpu_layers is not None else (ALL_LAYERS if _has_gpu(binding) else 0)
    given.embedding = spec.embedding
    if spec.flash_attention is not None:
        kind = binding.llama_flash_attn_type
        given.flash_attn_type = (
            kind.LLAMA_FLASH_ATTN_TYPE_ENABLED if spec.flash_attention else kind.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
    if spec.cache_type_k is not None:
        given.cache_type_k = _cache_type(binding, spec.cache_type_k)
    if spec.cache_type_v is not None:
        given.cache_type_v = _cache_type(binding, spec.cache_type_v)
    given.verbosity = -1
    given.warmup = False
    given.ui = False
    given.offline = True
    given.n_threads_http = 1
    given.hostnames = [str(socket)]
    given.api_keys = [secrets.token_urlsafe(32)]
    return given


def _has_gpu(binding: Any) -> bool:
    return bool(gpu_kinds(binding))


def gpu_kinds(binding: Any) -> list[str]:
    """The kinds of the GPUs that it sees, as jackfield calls them where it has a name for them."""
    gpu = binding.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_GPU
    names = [device["name"].lower() for device in binding.get_device_info() if device["type"] == gpu]
    found = (next((kind for start, kind in _GPU_KINDS.items() if name.startswith(start)), name) for name in names)
    return list(dict.fromkeys(found))


def _cache_type(binding: Any, name: str) -> Any:
    if name not in CACHE_TYPES:
        raise BadRequest(f"a cache type is one of {', '.join(CACHE_TYPES)}, got {name!r}", param="cache_type")
    return getattr(binding.ggml_type, f"GGML_TYPE_{name.upper()}")
