"""`jackfield moderate`: whether texts break a source's content rules."""

from typing import Annotated

import typer

from jackfield.app.cli.call import Call, Config, Json, Yes
from jackfield.app.cli.source import BaseUrl, KeyEnv, Model, Provider, Set, Source


def moderate(
    ctx: typer.Context,
    texts: Annotated[list[str], typer.Argument(help="The texts to judge.")],
    provider: Provider = None,
    model: Model = None,
    base_url: BaseUrl = None,
    api_key_env: KeyEnv = None,
    settings: Set = None,
    yes: Yes = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Judges texts by a source's content rules: flagged or not, and by which category."""
    from jackfield.app.cli import output
    from jackfield.core.contracts import Moderates
    from jackfield.core.requests import ModerateReply, ModerateRequest

    call = Call.of(ctx, json=json, config=config)
    source = Source.of(call, provider, model=model, base_url=base_url, api_key_env=api_key_env, words=settings, yes=yes)

    async def ask(live: Moderates) -> ModerateReply:
        return await live.moderate(ModerateRequest(tuple(texts), model=model))

    reply = source.ask(Moderates, "moderate", ask)
    if call.json:
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
