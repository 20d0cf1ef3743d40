"""`jackfield moderate`: whether texts break a source's content rules."""

from typing import Annotated

import typer

from jackfield.app.cli.source import Source, asks_source


@asks_source(takes_model=True)
def moderate(
    source: Source,
    texts: Annotated[list[str], typer.Argument(help="The texts to judge.")],
) -> None:
    """Judges texts by a source's content rules: flagged or not, and by which category."""
    from jackfield.app.cli import output
    from jackfield.core.contracts import Moderates
    from jackfield.core.requests import ModerateReply, ModerateRequest

    async def ask(live: Moderates) -> ModerateReply:
        return await live.moderate(ModerateRequest(tuple(texts), model=source.model))

    reply = source.ask(Moderates, "moderate", ask)
    if source.call.json:
        output.result(
            [
                {"text": text, "flagged": found.flagged, "categories": found.categories, "scores": found.scores}
                for text, found in zip(texts, reply.results, strict=True)
            ]
        )
        return
    rows = []
    for text, found in zip(texts, reply.results, strict=True):
        named = [f"{name} {found.scores.get(name, 0):.2f}" for name, is_hit in found.categories.items() if is_hit]
        rows.append([text if len(text) <= 60 else text[:59] + "…", "flagged" if found.flagged else "ok", ", ".join(named)])
    output.table(("TEXT", "", "CATEGORIES"), rows)
