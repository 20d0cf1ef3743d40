"""The settings of one OpenAI-compatible provider, and what follows from them before anything is connected.

Knows keys, defaults and where a key may be sent; does no I/O beyond asking the given secret source.
"""

import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from jackfield.core.contracts import ProviderCard, SecretSource
from jackfield.core.errors import AuthFailed, BadRequest, MissingExtra, NotAllowed
from jackfield.core.parameters import did_you_mean
from jackfield.core.requests import Generation
from jackfield.dialects.openai_chat import NAME, ChatQuirks
from jackfield.providers.address import api_root, is_loopback
from jackfield.providers.config import read_config
from jackfield.providers.presets import Preset
from jackfield.store.references import schemed_reference
from jackfield.transport.http1 import Timeouts

KEY_ALIASES: Mapping[str, str] = {
    "verify_ssl": "verify_tls",
    "url": "base_url",
    "endpoint": "base_url",
    "model_id": "model",
    "key": "api_key",
    "context_length": "max_context",
}
_PLATFORM = {"linux": "linux", "darwin": "macos", "win32": "windows"}


class OpenAIConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may set. Times in seconds; `api_key` is a secret's reference (`env:NAME`, `keyring:NAME`, `file:NAME`).

    `path` is the API's root on the server, where the rule of providers/address.py would guess wrong; `extra_body` are JSON
    fields sent with every request that does not set them itself; `strict` turns warnings into errors.
    """

    enabled: bool = True
    mode: str = "api"
    base_url: str | None = None
    host: str | None = None
    port: int | None = None
    path: str | None = None
    api_key: str | None = None
    model: str | None = None
    timeout: float | None = None
    connect_timeout: float | None = None
    first_byte_timeout: float | None = None
    idle_timeout: float | None = None
    verify_tls: bool = True
    proxy: str | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    quirks: dict[str, Any] = msgspec.field(default_factory=dict)
    extra_body: dict[str, Any] = msgspec.field(default_factory=dict)
    max_context: int | None = None
    vision: bool | None = None
    strict: bool = False


class OpenAISettings(msgspec.Struct, frozen=True):
    """A config after reading: whole, checked, its references resolved.

    `key` and what stands in `headers` may be secrets: never shown. `secrets` are those that were resolved.
    """

    config: OpenAIConfig
    generation: Generation
    root: str
    key: str | None
    headers: dict[str, str]
    secrets: tuple[str, ...]
    timeouts: Timeouts
    quirks: ChatQuirks

    def __repr__(self) -> str:
        return f"OpenAISettings(root={self.root!r}, model={self.config.model!r})"


def read_settings(preset: Preset, config: Mapping[str, Any], secrets: SecretSource) -> OpenAISettings:
    """Raises BadRequest (naming the key), AuthFailed (no key where one is needed), NotAllowed (switched off), MissingExtra."""
    read, generation = read_config(OpenAIConfig, config, preset.id, KEY_ALIASES)
    if not read.enabled:
        raise NotAllowed("it is switched off: set `enabled: true` in its settings to use it", provider=preset.id)
    if read.mode != "api":
        raise _no_direct_mode(preset, read.mode)
    root = api_root(preset, read.base_url, read.host, read.port, read.path)
    key = _key(preset, read.api_key, root, secrets)
    headers, in_headers = _headers(read.headers, secrets)
    return OpenAISettings(
        read,
        generation,
        root,
        key,
        headers,
        (*in_headers, *((key,) if key else ())),
        _timeouts(preset, read),
        _quirks(preset, read),
    )


def _no_direct_mode(preset: Preset, mode: str) -> BadRequest | MissingExtra:
    if mode == "direct" and preset.direct_note:
        return MissingExtra(preset.direct_note, provider=preset.id)
    return BadRequest(f"mode must be 'api', got {mode!r}", provider=preset.id, param="mode")


def _key(preset: Preset, reference: str | None, root: str, secrets: SecretSource) -> str | None:
    """The key to send to `root`. A row's own variable is read only for the row's own host or this machine."""
    if reference is not None:
        return secrets.resolve(reference)
    host = urlsplit(root).hostname or ""
    own = urlsplit(preset.url or "").hostname
    if not preset.key_env or not (host == own or (is_loopback(host) and own is not None and is_loopback(own))):
        return None
    for name in preset.key_env:
        try:
            return secrets.resolve(f"env:{name}")
        except AuthFailed:
            continue
    if not preset.wants_key:
        return None
    raise AuthFailed(
        f"no key: set {preset.key_env[0]}, or plug it with api_key (env:NAME, keyring:NAME or file:NAME)",
        provider=preset.id,
        param="api_key",
    )


def _headers(given: Mapping[str, str], secrets: SecretSource) -> tuple[dict[str, str], list[str]]:
    """The headers with secrets where references stand ("Bearer env:NAME", "file:NAME"), and those secrets."""
    headers: dict[str, str] = {}
    found: list[str] = []
    for name, value in given.items():
        parts = schemed_reference(value)
        if parts is None:
            headers[name] = value
        else:
            scheme, reference = parts
            found.append(secrets.resolve(reference))
            headers[name] = scheme + found[-1]
    return headers, found


def _timeouts(preset: Preset, config: OpenAIConfig) -> Timeouts:
    given = {
        "total_s": config.timeout,
        "connect_s": config.connect_timeout,
        "first_byte_s": config.first_byte_timeout or preset.first_byte_timeout_s,
        "idle_s": config.idle_timeout,
    }
    for name, value in given.items():
        if value is not None and not value > 0:
            raise BadRequest(f"a timeout must be above 0 seconds, got {value:g}", provider=preset.id, param=name)
    return Timeouts(**{name: float(value) for name, value in given.items() if value is not None})


def _quirks(preset: Preset, config: OpenAIConfig) -> ChatQuirks:
    """The row's quirks, changed by the config's; what `extra_body` names may be sent, since somebody asked for it."""
    known = ChatQuirks.__struct_fields__
    given = config.quirks
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            raise BadRequest(f"unknown quirk {name!r}{hint}: known are {', '.join(known)}", provider=preset.id, param="quirks")
    try:
        quirks = msgspec.convert({**msgspec.to_builtins(preset.quirks), **given}, ChatQuirks)
    except msgspec.ValidationError as error:
        raise BadRequest(f"quirks: {error}", provider=preset.id, param="quirks") from None
    return msgspec.structs.replace(quirks, extra_fields=(*quirks.extra_fields, *config.extra_body))


def card_of(preset: Preset, platform: str = sys.platform) -> ProviderCard:
    """The row as a card: facts only, nothing is contacted. The platform's note joins the limits where it applies."""
    limits = preset.limits
    if preset.platform_note and _PLATFORM.get(platform) not in preset.platforms:
        limits = (*limits, preset.platform_note)
    host = urlsplit(preset.url or "").hostname
    return ProviderCard(
        id=preset.id,
        type=preset.type,
        display_name=preset.title,
        capabilities=msgspec.structs.replace(preset.capabilities, default_model=preset.default_model),
        aliases=preset.aliases,
        dialect=NAME,
        default_url=preset.url,
        default_port=preset.port,
        key_env=preset.key_env,
        needs_key=preset.wants_key,
        is_external=host is not None and not is_loopback(host),
        docs=preset.docs,
        hint=preset.hint,
        limits=limits,
        config_keys=OpenAIConfig.__struct_fields__,
        config_aliases=dict(KEY_ALIASES),
    )
