"""What the settings say about providers, put under the config of whatever is plugged, however it came to be plugged.

A slot's own config wins, then the provider's block, then the global timeouts and proxy where somebody set them.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from jackfield.app.settings import Loaded
from jackfield.core.contracts import ProviderCard
from jackfield.core.errors import ModeForbids, NotAllowed
from jackfield.slots.plugging import is_on_this_machine

_TIMEOUTS = {
    "connect_timeout": "timeouts.connect_s",
    "first_byte_timeout": "timeouts.first_byte_s",
    "idle_timeout": "timeouts.idle_s",
    "timeout": "timeouts.total_s",
}
_PLACES = frozenset({"base_url", "host", "port", "path", "proxy"})
_CREDENTIALS = frozenset({"api_key", "headers"})
_PORTS = {"http": 80, "https": 443}
THIS_MACHINE = "localhost"


class ProviderBlocks:
    """`loaded` is replaced when the settings are read anew; what is plugged from then on is made by them."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded

    def complete(self, card: ProviderCard, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The whole config. Raises NotAllowed for a provider that is switched off, ModeForbids for one that is denied.

        A block's credentials go nowhere but to the block's own address: a slot that names another place brings its own key.
        """
        block = self.loaded.settings.providers.block(card.id)
        if block.enabled is False:
            raise NotAllowed(f"it is switched off in the settings: set providers.{card.id}.enabled to true", provider=card.id)
        whole = self._joined(card, config)
        if block.consent == "deny" and leaves_this_machine(card, whole):
            raise ModeForbids(f"the settings deny it: providers.{card.id}.consent is deny", provider=card.id)
        return whole

    def _joined(self, card: ProviderCard, config: Mapping[str, Any]) -> dict[str, Any]:
        said = self.loaded.settings.providers.block(card.id).config
        own = {card.config_aliases.get(name, name): value for name, value in config.items()}
        if not _PLACES.isdisjoint(own) and _place(card, {**said, **own}) != _place(card, said):
            said = {name: value for name, value in said.items() if name not in _CREDENTIALS}
        return {**self._general(card), **said, **own}

    def _general(self, card: ProviderCard) -> dict[str, Any]:
        settings, origins = self.loaded.settings, self.loaded.origins
        values = {
            name: getattr(settings.timeouts, key.rpartition(".")[2])
            for name, key in _TIMEOUTS.items()
            if origins.get(key, "default") != "default"
        }
        if settings.proxy is not None and card.is_external:
            values["proxy"] = settings.proxy
        return {name: value for name, value in values.items() if name in card.config_keys}


def leaves_this_machine(card: ProviderCard, config: Mapping[str, Any]) -> bool:
    """Whether prompts go to another machine: told by the config's address, else by what the card says."""
    _, host, _, _ = _place(card, config)
    return card.is_external if host is None else host != THIS_MACHINE


def _place(card: ProviderCard, config: Mapping[str, Any]) -> tuple[str, str | None, int | None, str | None]:
    """Scheme (or socket), host, port and proxy that a config leads to; every name of this machine is the same host."""
    url = str(config.get("base_url") or card.default_url or "")
    if url.startswith("unix:"):
        return url, THIS_MACHINE, None, None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = config.get("port") or parts.port or _PORTS.get(parts.scheme)
        host = config.get("host") or parts.hostname
    except ValueError:
        return url, url, None, None
    if host is not None and is_on_this_machine(str(host)):
        host = THIS_MACHINE
    return parts.scheme, None if host is None else str(host).lower(), port, config.get("proxy")
