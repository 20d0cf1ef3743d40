"""The settings of one OpenAI-compatible provider, and what follows from them before anything is connected.

Knows keys, defaults and where a key may be sent; does no I/O beyond asking the given secret source.
"""

import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from jackfield.core.contracts import ProviderCard, SecretSource
from jackfield.core.errors import BadRequest, MissingExtra
from jackfield.core.parameters import did_you_mean
from jackfield.dialects.openai_chat import NAME, ChatQuirks
from jackfield.providers.address import api_root, is_loopback
from jackfield.providers.http_config import KEY_ALIASES, HttpConfig, config_keys, read_config, timeouts_of
from jackfield.providers.presets import CallName, Preset
from jackfield.transport.http1 import Timeouts

_PLATFORM = {"linux": "linux", "darwin": "macos", "win32": "windows"}


class OpenAIConfig(HttpConfig, frozen=True, kw_only=True):
    """What a person may set beside the keys of every provider over HTTP.

    `path` is the API's root on the server, where the rule of providers/address.py would guess wrong; `extra_body` are JSON
    fields sent with every request that does not set them itself; `prefill` says whether it goes on after a last message by the
    assistant, without repeating it. `call_models` names the model of a call beside chat: embeddings, images, speech ...
    """

    mode: str = "api"
    path: str | None = None
    prefill: bool | None = None
    quirks: dict[str, Any] = msgspec.field(default_factory=dict)
    extra_body: dict[str, Any] = msgspec.field(default_factory=dict)
    call_models: dict[CallName, str] = msgspec.field(default_factory=dict)

    __repr__ = HttpConfig.__repr__


class OpenAISettings(msgspec.Struct, frozen=True):
    """A config after reading: whole, checked, its references resolved. `key` may be a secret: never shown."""

    config: OpenAIConfig
    root: str
    key: str | None
    timeouts: Timeouts
    quirks: ChatQuirks

    def __repr__(self) -> str:
        return f"OpenAISettings(root={self.root!r}, model={self.config.model!r})"


def read_settings(preset: Preset, config: Mapping[str, Any], secrets: SecretSource) -> OpenAISettings:
    """Raises BadRequest (naming the key), AuthFailed (no key where one is needed), NotAllowed (switched off), MissingExtra."""

    def root(read: OpenAIConfig) -> str:
        return _root(preset, read)

    read, key = read_config(OpenAIConfig, card_of(preset), config, secrets, find_root=root)
    times = timeouts_of(read, preset.id, preset.first_byte_timeout_s)
    return OpenAISettings(read, _root(preset, read), key, times, _quirks(preset, read))


def _root(preset: Preset, read: OpenAIConfig) -> str:
    if read.mode != "api":
        raise _no_direct_mode(preset, read.mode)
    return api_root(preset, read.base_url, read.host, read.port, read.path)


def _no_direct_mode(preset: Preset, mode: str) -> BadRequest | MissingExtra:
    if mode == "direct" and preset.direct_note:
        return MissingExtra(preset.direct_note, provider=preset.id)
    return BadRequest(f"mode must be 'api', got {mode!r}", provider=preset.id, param="mode")


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
        config_keys=config_keys(OpenAIConfig),
        config_aliases=dict(KEY_ALIASES),
    )
