"""The one tree of settings: names, types, ranges, defaults and a sentence for each, and nothing else.

Knows no file, no environment and no flag (settings_load.py does). The sentences feed the JSON Schema, the example file and
`jackfield config show`; a key added here appears in all of them.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from jackfield.core.ids import MAX_SLOTS
from jackfield.core.modes import OperatingMode
from jackfield.routing.limits import LimitSettings

Consent = Literal["ask", "allow", "deny"]
REFERENCE_PATTERN = r"^(env|keyring|file):[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}$"
SecretReference = Annotated[str, Meta(pattern=REFERENCE_PATTERN)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[float, Meta(gt=0)]
Seconds = Positive
FilledText = Annotated[str, Meta(min_length=1)]
ProviderUrl = Annotated[str, Meta(pattern=r"^(https?|unix)://")]
Origin = Annotated[str, Meta(pattern=r"^https?://[^/*?#@\s]+$")]
ProxyUrl = Annotated[str, Meta(pattern=r"^https?://")]


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gateway listens and what it takes."""

    host: Annotated[
        str, Meta(min_length=1, description="Address to listen on. Other than loopback needs expose and api_key.")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 7311
    expose: Annotated[bool, Meta(description="Allow an address that other machines can reach.")] = False
    api_key: Annotated[
        SecretReference | None,
        Meta(description="Key that clients must send, as a reference: env:NAME, keyring:NAME or file:NAME."),
    ] = None
    api_keys: Annotated[
        dict[str, SecretReference],
        Meta(description="Further keys that clients may send, by the name that limits and reports know them by."),
    ] = {}
    cors_origins: Annotated[
        tuple[Origin, ...],
        Meta(description="Origins whose pages may use the gateway from a browser, such as http://localhost:5173; else none."),
    ] = ()
    max_body_bytes: Annotated[int, Meta(ge=1024, description="Largest request body, in bytes.")] = 32 * 1024 * 1024
    websocket: Annotated[bool, Meta(description="Serve WebSockets at /ws.")] = True
    heartbeat_s: Annotated[
        float, Meta(ge=0, description="Seconds without a word in a stream after which the client gets a sign of life; 0: none.")
    ] = 15.0
    shutdown_grace_s: Annotated[float, Meta(ge=0, description="Seconds that running answers get when the gateway stops.")] = (
        10.0
    )


class SlotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is plugged into one slot when the gateway starts."""

    provider: Annotated[str, Meta(min_length=1, description="Provider id or alias, as `jackfield providers list` shows it.")]
    config: Annotated[dict[str, Any], Meta(description="The provider's own keys, over those of providers.<id>.")] = {}
    model: Annotated[str | None, Meta(description="Model that this slot plays.")] = None
    name: Annotated[str | None, Meta(description="Name of the slot; clients may use it as a model.")] = None
    role: Annotated[
        Literal["chat", "embed", "classify", "rerank"],
        Meta(description="What the slot is for: only chat slots answer together."),
    ] = "chat"
    consent: Annotated[Consent, Meta(description="May prompts go to this provider's hosts? allow answers the question.")] = (
        "ask"
    )


class ProviderBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is known of one provider. Times are seconds. `parameters` and `own` hold keys that the file writes flat.

    `enabled` None means "not said": nothing is contacted because of this block, its values apply once the provider is
    plugged or found. True plugs it at start. False keeps it from being contacted at all.
    """

    enabled: Annotated[
        bool | None, Meta(description="true: plugged at start. false: never contacted. Left out: used when plugged or found.")
    ] = None
    consent: Annotated[Consent, Meta(description="May prompts go to this provider's hosts? allow answers the question.")] = (
        "ask"
    )
    base_url: Annotated[ProviderUrl | None, Meta(description="Where it is, with or without /v1.")] = None
    host: Annotated[FilledText | None, Meta(description="Host, where only that differs from the default.")] = None
    port: Annotated[Port | None, Meta(description="Port, where only that differs from the default.")] = None
    model: Annotated[str | None, Meta(description="Default model.")] = None
    api_key: Annotated[
        SecretReference | None, Meta(description="Reference to the key: env:NAME, keyring:NAME or file:NAME.")
    ] = None
    timeout: Annotated[Seconds | None, Meta(description="Longest whole answer, seconds.")] = None
    connect_timeout: Annotated[Seconds | None, Meta(description="Longest wait for a connection, seconds.")] = None
    first_byte_timeout: Annotated[Seconds | None, Meta(description="Longest wait for the first byte, seconds.")] = None
    idle_timeout: Annotated[Seconds | None, Meta(description="Longest silence between two chunks, seconds.")] = None
    verify_tls: Annotated[bool | None, Meta(description="Check the server's certificate (alias verify_ssl). false warns.")] = (
        None
    )
    proxy: Annotated[ProxyUrl | None, Meta(description="HTTP proxy for this provider.")] = None
    headers: Annotated[dict[str, str] | None, Meta(description="Headers sent with each request.")] = None
    extra_body: Annotated[dict[str, Any] | None, Meta(description="Fields added to each request body.")] = None
    quirks: Annotated[dict[str, Any] | None, Meta(description="How its wire format differs from OpenAI's.")] = None
    strict: Annotated[bool | None, Meta(description="Refuse parameters that it cannot take instead of warning.")] = None
    parameters: dict[str, Any] = {}
    own: dict[str, Any] = {}

    @property
    def config(self) -> dict[str, Any]:
        """What the provider's `create` takes: the keys that were given, without those that only settings read."""
        names = [name for name in self.__struct_fields__ if name not in ("enabled", "consent", "parameters", "own")]
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return given | self.parameters | self.own


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All provider blocks by canonical id; in the file they stand beside `active`."""

    active: Annotated[str | None, Meta(description="The default provider.")] = None
    blocks: dict[str, ProviderBlock] = {}

    def block(self, provider_id: str) -> ProviderBlock:
        """What was said about a provider; the empty block where nothing was."""
        return self.blocks.get(provider_id) or ProviderBlock()

    @property
    def wanted(self) -> tuple[str, ...]:
        """Ids to plug at start: the active one first, then each `enabled: true`."""
        enabled = [provider_id for provider_id, block in self.blocks.items() if block.enabled]
        first = [self.active] if self.active and self.block(self.active).enabled is not False else []
        return tuple(dict.fromkeys(first + enabled))

    @property
    def forbidden(self) -> frozenset[str]:
        """Ids that say `enabled: false`: neither discovery nor start-up contacts them."""
        return frozenset(provider_id for provider_id, block in self.blocks.items() if block.enabled is False)


class LedgerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: Annotated[bool, Meta(description="Write one row per call: numbers, never prompts or answers.")] = True


class DiscoverySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: Annotated[bool, Meta(description="Look for servers on this machine at start.")] = True
    ports: Annotated[tuple[Port, ...], Meta(description="Loopback ports to look at besides the known ones.")] = ()
    peers: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^https?://")], ...], Meta(description="Addresses of other jackfields to look for.")
    ] = ()
    websockets: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^wss?://")], ...], Meta(description="WebSocket endpoints to look for.")
    ] = ()
    auto_plug_local: Annotated[bool, Meta(description="Plug what was found on this machine. Never anything external.")] = True
    hardware: Annotated[bool, Meta(description="Look for GPUs and other devices too.")] = True


class TimeoutSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    connect_s: Annotated[float, Meta(gt=0, description="Seconds to connect to a provider.")] = 5.0
    first_byte_s: Annotated[float, Meta(gt=0, description="Seconds until the first byte of an answer.")] = 120.0
    idle_s: Annotated[float, Meta(gt=0, description="Seconds of silence within an answer.")] = 60.0
    total_s: Annotated[float, Meta(gt=0, description="Seconds for a whole answer.")] = 300.0


class RoutingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    policy: Annotated[str, Meta(description="Who answers where several slots have a model: round_robin, cheapest ...")] = (
        "round_robin"
    )
    retries: Annotated[int, Meta(ge=0, le=10, description="Further attempts for one request, wherever they go.")] = 2
    patience_s: Annotated[float, Meta(ge=0, description="Longest wait, in seconds, before an attempt is repeated.")] = 5.0
    first_token_s: Annotated[
        float, Meta(gt=0, description="Seconds until a stream's first content, where another source could take over.")
    ] = 20.0
    idle_s: Annotated[
        float, Meta(ge=0, description="Seconds without content in a stream; heartbeats are no content. 0: no such limit.")
    ] = 120.0
    min_tokens_per_s: Annotated[
        float, Meta(ge=0, description="A stream that gives fewer tokens a second is given up. 0: no such limit.")
    ] = 0.1
    throughput_window_s: Annotated[float, Meta(gt=0, description="Seconds over which a stream's tokens are counted.")] = 60.0
    fallbacks: Annotated[
        dict[str, tuple[str, ...]], Meta(description="For a model name: the names to try when all that have it fail.")
    ] = {}
    warm_up_s: Annotated[
        float, Meta(ge=0, description="Seconds that a source on this machine may take to start before its first answer.")
    ] = 60.0
    use_cases: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            description="For a kind of work (model use-case/NAME): PROVIDER/MODEL to ask, first choice first; globs, * anybody."
        ),
    ] = {}
    health_checks: Annotated[bool, Meta(description="Look at each plugged source again and again.")] = True
    health_interval_s: Annotated[float, Meta(gt=0, description="Seconds between two looks at each plugged source.")] = 60.0


class CacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: Annotated[
        bool, Meta(description="Answer a request that says temperature 0, or asks for it, from the same one before it.")
    ] = False
    max_bytes: Annotated[int, Meta(ge=0, description="Room for all answers together, in bytes of memory.")] = 64 * 1024 * 1024
    max_answer_bytes: Annotated[int, Meta(ge=0, description="Longest answer that is kept, in bytes.")] = 1024 * 1024
    ttl_s: Annotated[float, Meta(gt=0, description="Seconds after which an answer is forgotten.")] = 3600.0
    semantic_slot: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Slot that makes the vectors for answers by meaning, if any (pip install 'jackfield[semantic]')."),
    ] = None
    semantic_threshold: Annotated[
        float, Meta(ge=0.5, le=1, description="Least cosine similarity of two questions that have one answer.")
    ] = 0.95


class ResponseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_bytes: Annotated[
        int, Meta(ge=0, description="Room for responses that may be referred to again, in bytes of memory; 0 keeps none.")
    ] = 64 * 1024 * 1024
    ttl_s: Annotated[float, Meta(gt=0, description="Seconds after which a response is forgotten.")] = 86_400.0


class FileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files that clients leave here, and that batches leave for them."""

    max_file_bytes: Annotated[
        int, Meta(ge=0, description="Largest file, in bytes; no upload is over server.max_body_bytes either.")
    ] = 32 * 1024 * 1024
    max_count: Annotated[int, Meta(ge=0, description="Number of files after which no further one is taken; 0 takes none.")] = (
        1000
    )
    max_bytes: Annotated[int, Meta(ge=0, description="Bytes of all files together after which no further one is taken.")] = (
        2 * 1024 * 1024 * 1024
    )
    ttl_s: Annotated[float, Meta(gt=0, description="Seconds after which a file is removed, where nothing else was said.")] = (
        2_592_000.0
    )


class BatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Batches of requests that the gateway answers by itself."""

    concurrency: Annotated[
        int, Meta(ge=1, le=256, description="Lines of all batches asked at once; one while others wait for answers.")
    ] = 4
    retries: Annotated[int, Meta(ge=0, le=20, description="Tries after the first for a line whose failure may pass.")] = 2
    max_requests: Annotated[int, Meta(ge=1, description="Requests in one batch.")] = 50_000
    max_unfinished: Annotated[int, Meta(ge=0, description="Batches that are not over; a further one is turned away.")] = 100


class HedgeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: Annotated[bool, Meta(description="Ask a second source when the first is slower to begin than it usually is.")] = (
        False
    )
    share: Annotated[float, Meta(gt=0, le=0.5, description="Largest part of all requests that may be asked twice.")] = 0.05
    percent: Annotated[
        float, Meta(gt=0, lt=100, description="Percentile of the source's own first-token times that is waited for.")
    ] = 95.0


class TraceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: Annotated[
        bool, Meta(description="One OpenTelemetry span a request, without prompts (pip install 'jackfield[otel]').")
    ] = False
    endpoint: Annotated[
        Annotated[str, Meta(pattern=r"^https?://")] | None,
        Meta(description="OTLP/HTTP collector; left out: the exporter that this process was given."),
    ] = None


class MoneySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sats_per_usd: Annotated[Positive | None, Meta(description="Rate to use instead of the dated one that ships.")] = None


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level that is written.")] = "info"
    format: Annotated[Literal["text", "json"], Meta(description="Lines for people, or one JSON object per line.")] = "text"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set. Objects receive the values they need from here, never the tree."""

    server: ServerSettings = ServerSettings()
    mode: Annotated[
        OperatingMode, Meta(description="What may leave this machine: local_only, burst (consented hosts) or airgapped.")
    ] = OperatingMode.LOCAL_ONLY
    panel_size: Annotated[int, Meta(ge=1, le=MAX_SLOTS, description="Number of slots.")] = 32
    slots: Annotated[dict[int, SlotSettings], Meta(description="What is plugged where, by slot number.")] = {}
    providers: Annotated[ProviderSettings, Meta(description="What is known of each provider, by id, and which is active.")] = (
        ProviderSettings()
    )
    presets: Annotated[tuple[str, ...], Meta(description="TOML files with your own OpenAI-compatible presets.")] = ()
    plugins: Annotated[bool, Meta(description="Load providers from installed packages.")] = True
    store: Annotated[str, Meta(min_length=1, description="Folder for the database, the journal and encrypted keys.")] = (
        "~/.local/share/jackfield"
    )
    models_dir: Annotated[str | None, Meta(description="Folder with model files; default: models in the store.")] = None
    ledger: LedgerSettings = LedgerSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    proxy: Annotated[ProxyUrl | None, Meta(description="HTTP proxy for every provider outside this machine.")] = None
    routing: RoutingSettings = RoutingSettings()
    limits: LimitSettings = LimitSettings()
    cache: CacheSettings = CacheSettings()
    responses: ResponseSettings = ResponseSettings()
    files: FileSettings = FileSettings()
    batches: BatchSettings = BatchSettings()
    hedge: HedgeSettings = HedgeSettings()
    traces: TraceSettings = TraceSettings()
    money: MoneySettings = MoneySettings()
    log: LogSettings = LogSettings()
    reload: Annotated[bool, Meta(description="Take over changes of the settings file while running.")] = True

    @property
    def store_path(self) -> Path:
        return Path(self.store).expanduser()

    @property
    def models_path(self) -> Path:
        return Path(self.models_dir).expanduser() if self.models_dir else self.store_path / "models"


def as_plain(settings: Settings) -> dict[str, Any]:
    """The tree as the file would write it: plain values, provider blocks flat beside `active`, unset block keys left out."""
    plain: dict[str, Any] = msgspec.to_builtins(settings)
    blocks = {provider_id: _flat_block(block) for provider_id, block in settings.providers.blocks.items()}
    plain["providers"] = {"active": settings.providers.active, **blocks}
    plain["slots"] = {str(number): msgspec.to_builtins(slot) for number, slot in settings.slots.items()}
    return plain


def _flat_block(block: ProviderBlock) -> dict[str, Any]:
    flat: dict[str, Any] = msgspec.to_builtins(block)
    parameters, own = flat.pop("parameters", {}), flat.pop("own", {})
    return {**flat, **parameters, **own}
