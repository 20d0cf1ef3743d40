"""llama.cpp inside this process: loads a model once for all who want it alike, and streams its JSON to the event loop.

Knows the engine's Python binding and threads; chunks go up as JSON text, undecoded. The binding works through calls in this
process, but insists on also listening somewhere: that is a Unix socket whose name is removed at once, behind a random key.
"""

import asyncio
import importlib
import secrets
import tempfile
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from jackfield.core.errors import BadRequest, MissingExtra, Overloaded, RequestRejected, ServiceFailed, TimedOut

Made = TypeVar("Made")
MAX_WAITING = 64
MAX_CHUNKS_AHEAD = 64
STOP_WITHIN_S = 5.0
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
ALL_LAYERS = 999
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


def load_binding() -> Any:
    """The xllamacpp module. Raises MissingExtra."""
    try:
        return importlib.import_module("xllamacpp")
    except ImportError:
        raise MissingExtra("llama.cpp for this process is not installed: pip install 'jackfield[local]'") from None


class _Call:
    """One request's way between the engine's thread and the loop: at most `MAX_CHUNKS_AHEAD` chunks wait in between."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = threading.Semaphore(MAX_CHUNKS_AHEAD)
        self._chunks: deque[str] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._problem: BaseException | None = None
        self._stop = threading.Event()

    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        self._stop.set()

    def take(self, chunk: str) -> bool:
        """In the engine's thread, for each chunk; True tells the engine to stop."""
        if self.is_stopped():
            return True
        if _PROGRESS in chunk:
            return False
        while not self._room.acquire(timeout=0.05):
            if self.is_stopped():
                return True
        return not self._tell(self._arrive, chunk)

    def end(self, problem: BaseException | None) -> None:
        """In the engine's thread, once."""
        self._tell(self._finish, problem)

    def _tell(self, what: Any, value: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(what, value)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._stop.set()
        return not self.is_stopped()

    def _arrive(self, chunk: str) -> None:
        self._chunks.append(chunk)
        self._news.set()

    def _finish(self, problem: BaseException | None) -> None:
        self._ended = True
        self._problem = self._problem or problem
        self._news.set()

    def expire(self, timeout_s: float) -> None:
        self._stop.set()
        self._finish(TimedOut(f"the model was not done within {timeout_s:g} s"))

    async def chunks(self) -> AsyncIterator[str]:
        while True:
            while self._chunks:
                self._room.release()
                yield self._chunks.popleft()
            if self._ended:
                if self._problem is not None:
                    raise self._problem
                return
            self._news.clear()
            await self._news.wait()


class Engine:
    """A model in memory, made by `borrow`. Requests beyond `parallel` wait their turn; `check_room` refuses a crowd."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.users = 0
        self._pool = ThreadPoolExecutor(spec.parallel, thread_name_prefix="jackfield-llama")
        self._server: Any = None
        self._busy = 0
        self._counting = threading.Lock()
        self.loading: Future[None] = self._pool.submit(self._load)

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

    def check_room(self) -> None:
        """Raises Overloaded when too many wait already."""
        if self._busy >= self.spec.parallel + MAX_WAITING:
            raise Overloaded("too many requests wait for this model", retry_after_s=1.0)

    @asynccontextmanager
    async def stream(self, body: str, timeout_s: float) -> AsyncIterator[AsyncIterator[str]]:
        """Chunks of a chat answer as JSON text. Leaving stops the engine within one batch.

        Raises, while iterating, TimedOut or RequestRejected.
        """
        call = _Call()
        work = self._submit(self._run, body, call)
        expiry = asyncio.get_running_loop().call_later(timeout_s, call.expire, timeout_s)
        try:
            yield call.chunks()
        finally:
            expiry.cancel()
            call.stop()
            if not work.cancel():
                await asyncio.wait([asyncio.wrap_future(work)], timeout=STOP_WITHIN_S)

    def _submit(self, work: Callable[..., Made], *given: Any) -> Future[Made]:
        with self._counting:
            self._busy += 1
        future = self._pool.submit(work, *given)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[Any]) -> None:
        with self._counting:
            self._busy -= 1

    def _run(self, body: str, call: _Call) -> None:
        problem: BaseException | None = None
        try:
            if not call.is_stopped():
                self._server.handle_chat_completions(body, call.take)
        except (ValueError, RuntimeError) as error:
            problem = RequestRejected(f"llama.cpp refused the request: {error}")
        finally:
            call.end(problem)

    async def embed(self, body: str, timeout_s: float) -> str:
        """The JSON text of an embeddings answer, or of an error object. Raises TimedOut, RequestRejected."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(self._submit(self._embed, body))
        except TimeoutError:
            raise TimedOut(f"the model was not done within {timeout_s:g} s") from None

    def _embed(self, body: str) -> str:
        try:
            answer: str = self._server.handle_embeddings(body)
        except (ValueError, RuntimeError) as error:
            raise RequestRejected(f"llama.cpp refused the request: {error}") from None
        return answer

    def close(self) -> None:
        """Blocking: waits for running requests, which must have been stopped, then frees the model."""
        self._pool.shutdown(wait=True)
        self._server = None


_lock = threading.Lock()
_engines: dict[EngineSpec, Engine] = {}


async def borrow(spec: EngineSpec) -> Engine:
    """The engine for `spec`, loaded now if nobody has it yet. Give it back. Raises MissingExtra, ServiceFailed."""
    with _lock:
        engine = _engines.get(spec)
        if engine is None:
            engine = _engines[spec] = Engine(spec)
        engine.users += 1
    try:
        await asyncio.shield(asyncio.wrap_future(engine.loading))
    except BaseException:
        await give_back(engine)
        raise
    return engine


async def give_back(engine: Engine) -> None:
    """Frees the model when the last user gives it back."""
    with _lock:
        engine.users -= 1
        if engine.users > 0:
            return
        _engines.pop(engine.spec, None)
    await asyncio.shield(asyncio.to_thread(engine.close))


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
    gpu = binding.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_GPU
    return any(device["type"] == gpu for device in binding.get_device_info())


def _cache_type(binding: Any, name: str) -> Any:
    if name not in CACHE_TYPES:
        raise BadRequest(f"a cache type is one of {', '.join(CACHE_TYPES)}, got {name!r}", param="cache_type")
    return getattr(binding.ggml_type, f"GGML_TYPE_{name.upper()}")
