"""`jackfield embed`: the vectors of texts, by a source that makes them."""

from typing import Annotated

import typer

from jackfield.app.cli.source import Source, asks_source

SHOWN = 6


@asks_source(takes_model=True)
def embed(
    source: Source,
    texts: Annotated[list[str], typer.Argument(help="The texts; each gives one vector.")],
    dimensions: Annotated[
        int | None, typer.Option("--dimensions", min=1, help="Length of the vectors, where it can vary.")
    ] = None,
) -> None:
    """Vectors of texts. Without --json only their length and first numbers are shown."""
    from jackfield.app.cli import output
    from jackfield.core.contracts import Embeds
    from jackfield.core.requests import EmbedReply, EmbedRequest

    request = EmbedRequest(tuple(texts), model=source.model, dimensions=dimensions)

    async def ask(live: Embeds) -> EmbedReply:
        return await live.embed(request)

    reply = source.ask(Embeds, "make embeddings", ask)
    if source.call.json:
        output.result({"model": reply.model, "vectors": reply.vectors, "prompt_tokens": reply.usage.prompt_tokens})
        return
    rows = [
        [
            text if len(text) <= 40 else text[:39] + "…",
            str(len(vector)),
            " ".join(f"{value:.4f}" for value in vector[:SHOWN]) + " …",
        ]
        for text, vector in zip(texts, reply.vectors, strict=True)
    ]
    output.table(("TEXT", "LENGTH", "VECTOR"), rows)
