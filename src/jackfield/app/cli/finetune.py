"""`jackfield finetune`: training a source's model on a file of one's own, and plugging what came of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jackfield.app.cli.source import Source, asks_source

if TYPE_CHECKING:
    from jackfield.core.contracts import FineTunes

app = typer.Typer(help="Training a source's model on your own examples.", no_args_is_help=True)
PURPOSE = "fine-tune"


@app.command()
@asks_source(takes_model=False)
def start(
    source: Source,
    model: Annotated[str, typer.Argument(help="The model to begin with.")],
    examples: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Training examples, JSON lines.")],
) -> None:
    """Uploads examples and starts a training; prints the job's id. Training costs money at the source."""
    from jackfield.app.cli import output
    from jackfield.app.cli.transfer import uploading
    from jackfield.core.contracts import FineTunes, KeepsFiles
    from jackfield.core.errors import NotSupported
    from jackfield.core.requests import Upload

    async def ask(live: "FineTunes") -> dict[str, Any]:
        if not isinstance(live, KeepsFiles):
            raise NotSupported("it takes no files: upload the examples there yourself")
        with uploading(examples.name, examples.stat().st_size, quiet=source.call.json):
            stored = await live.upload_file(Upload(examples.name, examples.read_bytes()), PURPOSE)
        return {"job": await live.start_tuning(model, stored.id), "file": stored.id}

    told = source.ask(FineTunes, "train models", ask)
    if source.call.json:
        output.result(told)
    else:
        output.line(told["job"])


@app.command()
@asks_source(takes_model=False)
def status(
    source: Source,
    job: Annotated[str, typer.Argument(help="The job's id, as start printed it.")],
) -> None:
    """How far a training is, and what to plug when it is done."""
    from jackfield.app.cli import output
    from jackfield.core.contracts import FineTunes

    async def ask(live: "FineTunes") -> dict[str, Any]:
        return dict(await live.tuning_status(job))

    told = source.ask(FineTunes, "train models", ask)
    if source.call.json:
        output.result(told)
        return
    made = told.get("fine_tuned_model")
    output.facts({"job": job, "status": told.get("status"), "model": made or "-"})
    if made:
        output.note(f"plug it: jackfield slots plug N {source.provider or 'PROVIDER'} --model {made}")
