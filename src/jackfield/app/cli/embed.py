"""`jackfield embed`: the vectors of texts, by a source that makes them."""

from typing import Annotated

import typer

from jackfield.app.cli.call import Call, Config, Json, Yes
from jackfield.app.cli.source import BaseUrl, KeyEnv, Model, Provider, Set, Source

SHOWN = 6


def embed(
    ctx: typer.Context,
    texts: Annotated[list[str], typer.Argument(help="The texts; each gives one vector.")],
    provider: Provider = None,
    model: Model = None,
    dimensions: Annotated[
        int | None, typer.Option("--dimensions", min=1, help="Length of the vectors, where it can vary.")
    ] = None,
    base_url: BaseUrl = None,
    api_key_env: KeyEnv = None,
    settings: Set = None,
    yes: Yes = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Vectors of texts. Without --json only their length and first numbers are shown."""
    from jackfield.app.cli import output
    from jackfield.core.contracts import Embeds
    from jackfield.core.requests import EmbedReply, EmbedRequest

    call = Call.of(ctx, json=json, config=config)
    source = Source.of(call, provider, model=model, base_url=base_url, api_key_env=api_key_env, words=settings, yes=yes)
    request = EmbedRequest(tuple(texts), model=model, dimensions=dimensions)

    async def ask(live: Embeds) -> EmbedReply:
        return await live.embed(request)

    reply = source.ask(Embeds, "make embeddings", ask)
    if call.json:
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
