"""`jackfield image`: pictures from words, by a source that draws."""

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Yes
from jackfield.app.cli.source import BaseUrl, KeyEnv, Model, Provider, Set, Source


def image(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write; with several images -1, -2 ... before its ending.")
    ] = Path("image.png"),
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10)] = 1,
    size: Annotated[str | None, typer.Option("--size", help="As the source knows it, such as 1024x1024.")] = None,
    provider: Provider = None,
    model: Model = None,
    base_url: BaseUrl = None,
    api_key_env: KeyEnv = None,
    settings: Set = None,
    yes: Yes = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Draws an image into a file. A source that gives an address instead of the picture has its address printed."""
    from jackfield.app.cli import output
    from jackfield.core.contracts import Draws
    from jackfield.core.requests import ImageReply, ImageRequest

    call = Call.of(ctx, json=json, config=config)
    source = Source.of(call, provider, model=model, base_url=base_url, api_key_env=api_key_env, words=settings, yes=yes)
    request = ImageRequest(prompt, model=model, count=count, size=size)

    async def ask(live: Draws) -> ImageReply:
        return await live.draw(request)

    reply = source.ask(Draws, "draw", ask)
    told: list[dict[str, Any]] = []
    for at, drawn in enumerate(reply.images, 1):
        path = out if len(reply.images) == 1 else out.with_stem(f"{out.stem}-{at}")
        if drawn.data is not None:
            path.write_bytes(base64.b64decode(drawn.data))
        told.append({"file": str(path) if drawn.data is not None else None, "url": drawn.url, "prompt": drawn.revised_prompt})
    if call.json:
        output.result(told)
    else:
        for one in told:
            output.line(str(one["file"] or one["url"]))
