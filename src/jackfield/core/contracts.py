"""What one room asks of another: the Provider contract, the capability protocols beside it, and what providers are given.

Required of a provider are three things: `info`, `open`, `aclose`. Everything else is an optional protocol, asked for with
`isinstance` once, at plug time, never on the request path. No method raises NotImplementedError and no flag repeats what a
protocol already says.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.core.events import ChatReply, Event
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.quotas import Quota
from jackfield.core.requests import (
    ChatRequest,
    EmbedReply,
    EmbedRequest,
    ImageEditRequest,
    ImageReply,
    ImageRequest,
    ModerateReply,
    ModerateRequest,
    RerankReply,
    RerankRequest,
    SpeakReply,
    SpeakRequest,
    StoredFile,
    TranscribeReply,
    TranscribeRequest,
    Upload,
)

ProviderKind = Literal["api", "decentralized", "local", "p2p"]
PROVIDER_KINDS: tuple[ProviderKind, ...] = ("api", "decentralized", "local", "p2p")


class ProviderInfo(msgspec.Struct, frozen=True):
    """Facts of a live provider that never change. `dialect` is its native wire format, None for engines in this process.

    `hosts` are the "host:port" pairs that prompts go to ("" entries never occur; empty = this process only).
    `simulated` marks answers that no model made. `also_speaks` are further dialects whose requests it takes as they are.
    """

    id: str
    type: ProviderKind
    display_name: str
    dialect: str | None = None
    hosts: tuple[str, ...] = ()
    simulated: bool = False
    also_speaks: tuple[str, ...] = ()


@runtime_checkable
class Provider(Protocol):
    """Anything that answers a chat request: an API, an engine, a chain, a concerto, a person."""

    @property
    def info(self) -> ProviderInfo: ...

    def open(self, request: ChatRequest) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """The answer as an event stream (laws in core/events.py), whether `request.stream` is set or not.

        Leaving the block, for any reason, closes upstream before it returns. Raises any JackfieldError, on entering the
        block (before the answer began) or while iterating (after).
        """
        ...

    async def aclose(self) -> None:
        """Frees sockets and memory. Idempotent."""
        ...


class RawCall(msgspec.Struct):
    """A request that stays in its own dialect: its top-level JSON fields, undecoded.

    `path` is relative to the API's root ("chat/completions"). `model` replaces the body's model, None keeps the provider's
    default. For a stream the provider asks upstream for a usage chunk whether or not the client did; who relays takes it out.
    `headers` are those of the client that belong to its request's form ("anthropic-beta"), names in lower case.
    """

    path: str
    fields: dict[str, msgspec.Raw]
    model: str | None
    stream: bool
    headers: dict[str, str] = {}


class RawReply(Protocol):
    """An upstream answer in its own bytes. After `read` or the empty chunk it is finished; `aclose` before that cuts it."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...
    async def read(self) -> bytes:
        """The whole body."""
        ...

    async def chunk(self) -> bytes:
        """What has arrived, as soon as anything has; b"" at the end. Raises Upstream errors."""
        ...

    async def aclose(self) -> None:
        """Idempotent. Cuts the connection if the answer is not yet whole."""
        ...


class AnswerEvents(ABC):
    """An answer's events from a source that has more of them at hand than the next. For a provider any async iterator will do.

    A class and no protocol, because it is asked for on the request path.
    """

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[Event]: ...

    @abstractmethod
    async def __anext__(self) -> Event: ...

    @abstractmethod
    def ready(self) -> Sequence[Event]:
        """Takes the events that came beside the last one: nobody has to be waited for."""

    @abstractmethod
    async def whole(self) -> ChatReply | None:
        """Takes the answer, if it came whole and no event was taken yet; None for a stream. Raises what iterating would."""


@runtime_checkable
class PassesThrough(Protocol):
    """Takes requests of its own dialect (`info.dialect`, `info.also_speaks`) as they are and gives back the upstream's bytes.

    A status of 400 or more never comes back: it is raised as the mapped error.
    """

    async def pass_through(self, call: RawCall) -> RawReply: ...


@runtime_checkable
class ListsModels(Protocol):
    async def list_models(self) -> tuple[ModelProfile, ...]:
        """What the source offers now. Raises Upstream errors; never a silent empty list for a source that is down."""
        ...


class ProbeResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a look at a source told. `latency_s` seconds; `detail` is for a person, with a hint when it is down.

    `authorized` False: it refused our key; None: that cannot be told. `code`: the error's, where one is known to be behind it.
    """

    is_ready: bool
    latency_s: float | None = None
    detail: str = ""
    version: str | None = None
    models: tuple[str, ...] = ()
    authorized: bool | None = None
    code: str | None = None


@runtime_checkable
class Probes(Protocol):
    async def probe(self) -> ProbeResult:
        """Is it there, and does it know us? Spends no money; never raises an Upstream error, it reports it."""
        ...


@runtime_checkable
class Embeds(Protocol):
    async def embed(self, request: EmbedRequest) -> EmbedReply: ...


@runtime_checkable
class Reranks(Protocol):
    async def rerank(self, request: RerankRequest) -> RerankReply: ...


@runtime_checkable
class Moderates(Protocol):
    async def moderate(self, request: ModerateRequest) -> ModerateReply: ...


@runtime_checkable
class Draws(Protocol):
    async def draw(self, request: ImageRequest) -> ImageReply: ...


@runtime_checkable
class EditsImages(Protocol):
    async def edit_image(self, request: ImageEditRequest) -> ImageReply: ...


@runtime_checkable
class Transcribes(Protocol):
    async def transcribe(self, request: TranscribeRequest) -> TranscribeReply: ...


@runtime_checkable
class TranslatesSpeech(Protocol):
    async def translate_speech(self, request: TranscribeRequest) -> TranscribeReply:
        """What was said, in English."""
        ...


@runtime_checkable
class Speaks(Protocol):
    async def speak(self, request: SpeakRequest) -> SpeakReply: ...


class SpeechStream(Protocol):
    """Sound while it is made: the first of it has come. After the empty chunk it is finished; `aclose` before that cuts it."""

    media_type: str

    async def chunk(self) -> bytes:
        """What has come, as soon as anything has; b"" at the end. Raises Upstream errors."""
        ...

    async def aclose(self) -> None:
        """Idempotent."""
        ...


@runtime_checkable
class StreamsSpeech(Protocol):
    async def stream_speech(self, request: SpeakRequest) -> SpeechStream: ...


@runtime_checkable
class CountsTokens(Protocol):
    async def count_tokens(self, request: ChatRequest) -> int: ...


@runtime_checkable
class Converses(Protocol):
    def converse(self, model: str | None) -> AbstractAsyncContextManager[Any]:
        """A two-way realtime session."""
        ...


class LoadedModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model in memory. `expires_at` is when it will be unloaded, as the source writes times; `hardware` what it runs on."""

    model: str
    size_bytes: int = 0
    gpu_bytes: int = 0
    expires_at: str | None = None
    context_length: int | None = None
    hardware: str | None = None


@runtime_checkable
class LoadsModels(Protocol):
    """Has models in memory, and says which."""

    async def load_model(self, model: str, hardware: str | None = None) -> None:
        """Into memory; done when it can answer. `hardware` (cpu, cuda, rocm, mps): where it must run; None: the source chooses.

        Raises ModelNotFound, NotSupported with param "hardware" where that is not the source's to choose.
        """
        ...

    async def unload_model(self, model: str) -> None:
        """Out of memory; no matter if it is in none. Raises ModelNotFound."""
        ...

    async def loaded_models(self) -> tuple[LoadedModel, ...]: ...


class PullProgress(msgspec.Struct, frozen=True, omit_defaults=True):
    """`total_bytes` None while unknown."""

    status: str
    done_bytes: int = 0
    total_bytes: int | None = None

    @property
    def percent(self) -> float | None:
        """0 to 100, None while the total is unknown."""
        return min(100.0, 100 * self.done_bytes / self.total_bytes) if self.total_bytes else None


@runtime_checkable
class PullsModels(Protocol):
    def pull_model(self, model: str) -> AsyncIterator[PullProgress]: ...


@runtime_checkable
class DeletesModels(Protocol):
    async def delete_model(self, model: str) -> None:
        """Removes it from the source's disk. Raises ModelNotFound."""
        ...


@runtime_checkable
class Verifies(Protocol):
    async def verify(self, proof: Mapping[str, Any]) -> bool: ...


@runtime_checkable
class ReportsCredit(Protocol):
    async def credit(self) -> Mapping[str, Any]: ...


@runtime_checkable
class ReportsQuota(Protocol):
    def quota(self) -> Quota | None:
        """What the source last said of its own rate limits; asks nobody. None while it has said nothing."""
        ...


@runtime_checkable
class FineTunes(Protocol):
    async def start_tuning(self, model: str, file_id: str) -> str:
        """Starts to train `model` on an uploaded file; the job's id."""
        ...

    async def tuning_status(self, job_id: str) -> Mapping[str, Any]:
        """At least `status` (the source's word) and `fine_tuned_model`: the name to plug, None until there is one."""
        ...


@runtime_checkable
class KeepsFiles(Protocol):
    """Files that a source keeps for later requests: batches, training, documents."""

    async def upload_file(self, upload: Upload, purpose: str) -> StoredFile: ...
    async def list_files(self) -> tuple[StoredFile, ...]: ...
    async def file_info(self, file_id: str) -> StoredFile: ...
    async def read_file(self, file_id: str) -> bytes: ...
    async def delete_file(self, file_id: str) -> None: ...


class BatchTask(msgspec.Struct, frozen=True):
    """One request of a batch. `id` is the caller's own, unique in its batch."""

    id: str
    request: ChatRequest


class BatchState(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a batch has come. `counts` by outcome, in the provider's words; times in Unix seconds, 0 if not told."""

    id: str
    state: Literal["running", "cancelling", "ended"]
    counts: dict[str, int] = {}
    created: int = 0
    expires: int = 0


class BatchOutcome(msgspec.Struct, frozen=True):
    """What became of one task: exactly one of `reply` and `error`. Outcomes come in any order."""

    id: str
    reply: ChatReply | None = None
    error: JackfieldError | None = None


@runtime_checkable
class CompletesBatch(Protocol):
    """Answers several requests in one go, as engines do that compute a batch together; the slot gathers them.

    `Capabilities.max_batch_size` says how many at most. Streams, and bytes that pass through, are not gathered.
    """

    async def complete_batch(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply | JackfieldError]:
        """An outcome for each request, in their order: an answer that failed by itself is an error in its place.

        Raises what went wrong with all of them.
        """
        ...


@runtime_checkable
class Batches(Protocol):
    """Answers many requests at its leisure, usually for less. All raise NotFound for a batch that is not there."""

    async def start_batch(self, tasks: Sequence[BatchTask]) -> BatchState: ...
    async def batch_state(self, batch_id: str) -> BatchState: ...
    async def cancel_batch(self, batch_id: str) -> BatchState: ...
    def batch_outcomes(self, batch_id: str) -> AsyncIterator[BatchOutcome]:
        """Raises Conflict while the batch is running."""
        ...


@runtime_checkable
class ListsBatches(Protocol):
    async def list_batches(self) -> tuple[BatchState, ...]:
        """Those that the source still knows, whoever started them."""
        ...


class SearchWish(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which models to look for: words in a name, who serves them, what goes in or comes out ("text", "image", "audio")."""

    query: str = ""
    provider: str | None = None
    modality: str | None = None
    limit: int = 20


@runtime_checkable
class SearchesModels(Protocol):
    async def search_models(self, wish: SearchWish) -> tuple[ModelProfile, ...]:
        """Only models that are known to fit; the best known first."""
        ...


@runtime_checkable
class ReportsGenerations(Protocol):
    async def generation(self, generation_id: str) -> Mapping[str, Any]:
        """What the source says of an answer it gave: at least `tokens_prompt`, `tokens_completion` and `total_cost`."""
        ...


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is asked. `asked_at` and `due_at` are Unix seconds."""

    id: str
    prompt: str
    system: str | None
    asked_at: float
    due_at: float
    price_msat: int


@runtime_checkable
class AsksPeople(Protocol):
    """Its answers are given by somebody, through us."""

    def questions(self) -> tuple[Question, ...]: ...
    def answer(self, question_id: str, text: str) -> None:
        """Raises NotFound for a question that is not waiting, BadRequest for an answer that is none."""
        ...


class ProviderCard(msgspec.Struct, frozen=True):
    """What is known of a provider type before any instance exists: shown in lists, without network.

    `key_env` names the environment variable (aliases after it) that usually holds its key; `default_url` where it usually is;
    `config_aliases` maps other spellings of config keys to those in `config_keys`.
    """

    id: str
    type: ProviderKind
    display_name: str
    capabilities: Capabilities = Capabilities()
    aliases: tuple[str, ...] = ()
    dialect: str | None = None
    default_url: str | None = None
    default_port: int | None = None
    key_env: tuple[str, ...] = ()
    needs_key: bool = False
    is_external: bool = False
    docs: str | None = None
    hint: str | None = None
    limits: tuple[str, ...] = ()
    config_keys: tuple[str, ...] = ()
    config_aliases: dict[str, str] = {}


class SecretSource(Protocol):
    """Resolves references such as `env:GROQ_API_KEY` or `keyring:jackfield/slot-3`. Never holds a literal in its repr."""

    def resolve(self, reference: str) -> str:
        """Raises AuthFailed naming the reference when nothing is behind it."""
        ...


class ProviderTools(Protocol):
    """What the composition root hands to every provider at birth; providers read no environment and open no other doors.

    `http` is a jackfield.transport.http1.HttpClient and `web` a jackfield.transport.web.WebClient, typed Any here because
    core may not know them.
    """

    @property
    def http(self) -> Any: ...
    @property
    def web(self) -> Any: ...
    @property
    def secrets(self) -> SecretSource: ...
    @property
    def models_dir(self) -> str | None: ...
    @property
    def environ(self) -> Mapping[str, str]:
        """The person's variables, for the programs of theirs that a provider starts; nothing else is read from here."""
        ...


class ProviderType(Protocol):
    """What the registrar takes: usually a class. `card` needs no instance; `create` does no I/O.

    `create` raises BadRequest for a config it does not understand (naming the key, with a did-you-mean) and AuthFailed for
    a missing key. `config` values are plain JSON; a secret is a reference string under `api_key`.
    """

    card: ClassVar[ProviderCard]

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self: ...
