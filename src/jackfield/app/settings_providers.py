"""What settings may say about providers: which ids and keys exist, told by the providers' own cards.

Knows cards, never a provider by name: a plugin's card makes its block, its keys and its environment names valid like any
built-in's. The rooms below are loaded only when a card is needed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jackfield.app.settings_tree import ProviderBlock, ProviderSettings
from jackfield.core.contracts import ProviderCard
from jackfield.core.errors import BadRequest
from jackfield.core.parameters import SYNONYMS
from jackfield.core.requests import Generation

if TYPE_CHECKING:
    from jackfield.providers.registry import Registrar

CardSource = Callable[[Sequence[str], bool], Sequence[ProviderCard]]

ONLY_OURS = frozenset({"enabled", "consent"})
BLOCK_KEYS = frozenset(ProviderBlock.__struct_fields__) - {"parameters", "own"}
PARAMETER_KEYS = frozenset(
    name for canonical, names in SYNONYMS.items() if canonical in Generation.__struct_fields__ for name in (canonical, *names)
)


def installed_cards(presets: Sequence[str], plugins: bool) -> Sequence[ProviderCard]:
    """Cards of what `installed` finds. Raises BadRequest for a bad preset file."""
    return installed(presets, plugins).cards()


def installed(presets: Sequence[str], plugins: bool) -> "Registrar":
    """The built-in providers, those of plugins and the user's preset files. Raises BadRequest for a bad preset file."""
    from jackfield.providers.presets import Preset, parse_presets
    from jackfield.providers.registry import load_registrar

    rows: list[Preset] = []
    for name in presets:
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8")
        except OSError as error:
            raise BadRequest(f"{name} cannot be read: {error.strerror or error}", param="presets") from None
        rows.extend(parse_presets(text, name))
    return load_registrar(rows, plugins=plugins)


def ports_left_alone(providers: ProviderSettings, cards: Sequence[ProviderCard]) -> set[int]:
    """Loopback ports that only providers with `enabled: false` use: discovery must not knock there.

    A port that some other local provider uses by default stays open to a look: who answers is told by its fingerprint.
    """
    local = [card for card in cards if card.default_port is not None and not card.is_external]
    allowed = {card.default_port for card in local if card.id not in providers.forbidden}
    left = {_port(providers.block(card.id), card) for card in local if card.id in providers.forbidden}
    return {port for port in left - allowed if port is not None}


def _port(block: ProviderBlock, card: ProviderCard) -> int | None:
    return block.port or (urlsplit(block.base_url).port if block.base_url else None) or card.default_port


class KnownProviders:
    """Ids, aliases and keys of a set of cards."""

    def __init__(self, cards: Sequence[ProviderCard]) -> None:
        from jackfield.providers.registry import fold

        self._fold = fold
        self.cards = {card.id: card for card in cards}
        self.names = [name for card in cards for name in (card.id, *card.aliases)]
        self._ids = {fold(name): card.id for card in cards for name in (*card.aliases, card.id)}

    def canonical(self, name: str) -> str | None:
        """The id behind an id or alias, compared as the registrar does."""
        return self._ids.get(self._fold(name))

    def key(self, provider_id: str, spelt: str) -> str:
        """The one spelling of a key, from any that the provider takes."""
        return self.cards[provider_id].config_aliases.get(spelt, spelt)

    def keys(self, provider_id: str) -> Collection[str] | None:
        """Keys that a block or slot may hold besides ours; None where the card declares none and so takes any."""
        own = self.cards[provider_id].config_keys
        return frozenset(own) | PARAMETER_KEYS if own else None

    def keys_in(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Provider id -> name of the environment variable that holds its key, for those set in `environ`.

        Only for providers with an address of their own: a key must not follow a generic adapter to just any URL.
        """
        found = {}
        for card in self.cards.values():
            name = next((name for name in card.key_env if environ.get(name)), None)
            if name and (card.default_url or card.default_port):
                found[card.id] = name
        return found
