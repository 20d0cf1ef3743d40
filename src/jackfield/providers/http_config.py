"""The settings that every provider over HTTP has, and what follows from them before anything is connected.

Knows keys, defaults, times and where a key may be sent; does no I/O beyond asking the given secret source. What one provider
adds are fields of a subclass.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from jackfield.core.contracts import ProviderCard, SecretSource
from jackfield.core.errors import AuthFailed, BadRequest, NotAllowed
from jackfield.core.requests import Generation
from jackfield.providers import config as person
from jackfield.providers.address import is_loopback, joined_root
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
_FOUND = ("generation", "secrets")


class HttpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a person may set. Times in seconds; `api_key` is a secret's reference (`env:NAME`, `keyring:NAME`, `file:NAME`).

    `strict` turns warnings into errors. `generation` (the defaults among the keys) and `secrets` (what the references led to)
    are no keys: `read_config` fills them, and resolves the references in `headers`.
    """

    enabled: bool = True
    base_url: str | None = None
    host: str | None = None
    port: int | None = None
    api_key: str | None = None
    model: str | None = None
    timeout: float | None = None
    connect_timeout: float | None = None
    first_byte_timeout: float | None = None
    idle_timeout: float | None = None
    verify_tls: bool = True
    proxy: str | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    max_context: int | None = None
    vision: bool | None = None
    strict: bool = False
    generation: Generation = Generation()
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r}, model={self.model!r})"


Kind = TypeVar("Kind", bound=HttpConfig)


def config_keys(kind: type[HttpConfig]) -> tuple[str, ...]:
    """The keys that a person may set, for a card."""
    return tuple(name for name in kind.__struct_fields__ if name not in _FOUND)


def read_config(
    kind: type[Kind],
    card: ProviderCard,
    config: Mapping[str, Any],
    secrets: SecretSource,
    *,
    aliases: Mapping[str, str] = KEY_ALIASES,
    find_root: Callable[[Kind], str] | None = None,
) -> tuple[Kind, str | None]:
    """`config` as a `kind`, its references resolved, and the key to send (None: without one).

    `find_root` tells where requests will go, where `root_of` would not. Raises BadRequest (naming the key), AuthFailed (no
    key where one is needed), NotAllowed (switched off).
    """
    read, generation = person.read_config(kind, config, card.id, aliases, hidden=_FOUND)
    if not read.enabled:
        raise NotAllowed("it is switched off: set `enabled: true` in its settings to use it", provider=card.id)
    root = find_root(read) if find_root else root_of(card, read)
    key = key_for(card, read.api_key, root, secrets)
    headers, found = _resolved(read.headers, secrets)
    known = (*found, *((key,) if key else ()))
    return msgspec.structs.replace(read, generation=generation, headers=headers, secrets=known), key


def root_of(card: ProviderCard, config: HttpConfig, *, endings: Iterable[str] = ()) -> str:
    """The URL that request paths are appended to: what the person wrote, completed by the card's own URL.

    A written path that ends in one of `endings` (a pasted call) is cut there; one without a version gets the card's own.
    Raises BadRequest.
    """
    written = config.base_url
    if written is None and (config.host is not None or config.port is not None):
        if card.default_port is None:
            raise BadRequest(f"{card.id} is not a local server: give base_url instead of host and port", param="port")
        host = config.host or "127.0.0.1"
        shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
        written = f"http://{shown}:{config.port or card.default_port}"
    if written is None and card.default_url is None:
        raise BadRequest(f"{card.id} needs a base_url: give it when plugging", param="base_url")
    return joined_root(written or card.default_url or "", card.default_url, tuple(endings))


def key_for(card: ProviderCard, reference: str | None, root: str, secrets: SecretSource) -> str | None:
    """The key to send to `root`. A card's own variable is read only for the card's own host or this machine."""
    if reference is not None:
        return secrets.resolve(reference)
    host = urlsplit(root).hostname or ""
    own = urlsplit(card.default_url or "").hostname
    if not card.key_env or not (host == own or (is_loopback(host) and own is not None and is_loopback(own))):
        return None
    for name in card.key_env:
        try:
            return secrets.resolve(f"env:{name}")
        except AuthFailed:
            continue
    if not card.needs_key:
        return None
    raise AuthFailed(
        f"no key: set {card.key_env[0]}, or plug it with api_key (env:NAME, keyring:NAME or file:NAME)",
        provider=card.id,
        param="api_key",
    )


def _resolved(given: Mapping[str, str], secrets: SecretSource) -> tuple[dict[str, str], list[str]]:
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


def timeouts_of(config: HttpConfig, provider: str, first_byte_s: float | None = None) -> Timeouts:
    """The config's times; `first_byte_s` is the provider's own where the person says nothing. Raises BadRequest."""
    given = {
        "total_s": config.timeout,
        "connect_s": config.connect_timeout,
        "first_byte_s": config.first_byte_timeout or first_byte_s,
        "idle_s": config.idle_timeout,
    }
    for name, value in given.items():
        if value is not None and not value > 0:
            raise BadRequest(f"a timeout must be above 0 seconds, got {value:g}", provider=provider, param=name)
    return Timeouts(**{name: float(value) for name, value in given.items() if value is not None})
