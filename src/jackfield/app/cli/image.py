"""`jackfield image`: pictures from words, by a source that draws."""

import base64
from pathlib import Path
from typing import Annotated, Any

import typer

from jackfield.app.cli.source import Source, asks_source


@asks_source(takes_model=True)
def image(
    source: Source,
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write; with several images -1, -2 ... before its ending.")
    ] = Path("image.png"),
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10)] = 1,
    size: Annotated[str | None, typer.Option("--size", help="As the source knows it, such as 1024x1024.")] = None,
) -> None:
    """Draws an image into a file. A source that gives an address instead of the picture has its address printed."""
    from jackfield.app.cli import output
    from jackfield.core.contracts import Draws
    from jackfield.core.requests import ImageReply, ImageRequest

    request = ImageRequest(prompt, model=source.model, count=count, size=size)

    async def ask(live: Draws) -> ImageReply:
        return await live.draw(request)

    reply = source.ask(Draws, "draw", ask)
    told: list[dict[str, Any]] = []
    for at, drawn in enumerate(reply.images, 1):
        path = out if len(reply.images) == 1 else out.with_stem(f"{out.stem}-{at}")
        if drawn.data is not None:
            path.write_bytes(base64.b64decode(drawn.data))
        told.append({"file": str(path) if drawn.data is not None else None, "url": drawn.url, "prompt": drawn.revised_prompt})
    if source.call.json:
        output.result(told)
    else:
        for one in told:
            output.line(str(one["file"] or one["url"]))
