"""One page for each provider: written by hand where docs/providers/ID.md says more, else made from what its card says.

Used by docs/tables.py. A made page begins with MADE; one without that line is never touched.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jackfield.core import contracts
from jackfield.core.contracts import ProviderCard
from jackfield.providers.registry import Registrar, load_registrar

PAGES = Path(__file__).resolve().parent / "providers"
MADE = "<!-- made by docs/tables.py from what the provider's card says: write here, without this line, to say more -->\n"
TOLD_WITH_OTHERS = {
    "claude-cli": "command-line",
    "codex-cli": "command-line",
    "gemini-cli": "command-line",
    "llm-cli": "command-line",
    "bitnet-cli": "llama-cli",
    "tgi-native": "tgi",
    "llama-server-native": "llama-server",
    "koboldcpp": "kobold",
    "huggingface-router": "huggingface",
}
"""Providers that another one's page tells of."""
CALLS: tuple[tuple[str, Any], ...] = (
    ("embeddings", contracts.Embeds),
    ("rerank", contracts.Reranks),
    ("images out", contracts.Draws),
    ("speech", contracts.Speaks),
    ("transcripts", contracts.Transcribes),
    ("moderation", contracts.Moderates),
    ("files", contracts.KeepsFiles),
    ("batches", contracts.Batches),
    ("tuning", contracts.FineTunes),
    ("token counts", contracts.CountsTokens),
    ("pulls", contracts.PullsModels),
    ("model search", contracts.SearchesModels),
    ("credit", contracts.ReportsCredit),
)
"""What some can beside chat, and the protocol that says so."""


def comparison() -> Iterator[tuple[str, ...]]:
    """A row a provider: what chat with it can do, and what it can do beside."""
    registrar = load_registrar(plugins=False)
    for card in sorted(registrar.cards(), key=lambda card: (card.type != "local", card.id)):
        can = card.capabilities
        yield (
            f"[`{card.id}`](providers/{page_of(card.id)}.md)",
            *(_known(fact) for fact in (can.streaming, can.tools, can.images, can.json_mode)),
            ", ".join(beside(card, registrar)),
        )


HEAD = ("Provider", "Streams", "Tools", "Images in", "JSON", "Beside chat")


def page_of(provider: str) -> str:
    return TOLD_WITH_OTHERS.get(provider, provider)


def beside(card: ProviderCard, registrar: Registrar) -> list[str]:
    kind = registrar.get(card.id)
    names = [name for name, protocol in CALLS if issubclass(kind, protocol)]
    return [name for name in names if name != "embeddings" or card.capabilities.embeddings]


def made_pages() -> dict[Path, str]:
    """The pages that are made, as they should be now; those written by hand are not among them."""
    registrar = load_registrar(plugins=False)
    pages = {PAGES / f"{card.id}.md": _page(card, registrar) for card in registrar.cards() if card.id not in TOLD_WITH_OTHERS}
    return {path: text for path, text in pages.items() if not path.exists() or path.read_text().startswith(MADE)}


def _page(card: ProviderCard, registrar: Registrar) -> str:
    return MADE + "\n".join([f"# {card.display_name}", "", *_set_up(card), *_abilities(card, registrar), *_limits(card)])


def _set_up(card: ProviderCard) -> Iterator[str]:
    yield "## Set-up\n"
    if card.hint and card.type == "local":
        yield f"{card.hint[:1].upper()}{card.hint[1:]}.\n"
    if card.needs_key and card.key_env:
        yield f"The key is read from `{card.key_env[0]}`, or from what `api_key` refers to.\n"
    consent = " --yes" if card.is_external else ""
    yield f"    jackfield slots plug 0 {card.id} --model MODEL{consent}\n"
    where = card.default_url or (f"port {card.default_port}" if card.default_port else None)
    if where:
        yield f"It is looked for at {where}; `--base-url` says where else.\n"
    if card.aliases:
        yield f"Other names: {', '.join(f'`{alias}`' for alias in card.aliases)}.\n"
    if card.docs:
        yield f"Its own documentation: <{card.docs}>\n"


def _abilities(card: ProviderCard, registrar: Registrar) -> Iterator[str]:
    can = card.capabilities
    facts = (
        ("streams", can.streaming),
        ("tools", can.tools),
        ("images in the prompt", can.images),
        ("JSON mode", can.json_mode),
    )
    yield "## What it can do\n"
    yield f"Chat: {', '.join(f'{name} {_known(fact)}' for name, fact in facts)}."
    also = beside(card, registrar)
    yield f"\nBeside chat: {', '.join(also)}.\n" if also else ""


def _limits(card: ProviderCard) -> Iterator[str]:
    yield "## Limits\n"
    yield from (f"- {limit}" for limit in card.limits or ("none known beyond those of the model",))
    yield ""


def _known(fact: bool | None) -> str:
    return "unknown" if fact is None else "yes" if fact else "no"
