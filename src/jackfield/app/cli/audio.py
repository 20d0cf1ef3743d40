"""`jackfield transcribe` and `jackfield speak`: sound to words and words to sound."""

from pathlib import Path
from typing import Annotated

import typer

from jackfield.app.cli.source import Source, asks_source


@asks_source(takes_model=True)
def transcribe(
    source: Source,
    audio: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A sound file.")],
    language: Annotated[str | None, typer.Option("--language", help="What is spoken, such as en.")] = None,
) -> None:
    """The words that are spoken in a sound file."""
    from jackfield.app.cli import output
    from jackfield.app.cli.transfer import uploading
    from jackfield.core.contracts import Transcribes
    from jackfield.core.requests import TranscribeReply, TranscribeRequest

    request = TranscribeRequest(audio.read_bytes(), audio.name, model=source.model, language=language)

    async def ask(live: Transcribes) -> TranscribeReply:
        with uploading(audio.name, len(request.audio), quiet=source.call.json):
            return await live.transcribe(request)

    reply = source.ask(Transcribes, "transcribe", ask)
    if source.call.json:
        output.result({"text": reply.text, "language": reply.language, "duration_s": reply.duration_s})
    else:
        output.line(reply.text)


@asks_source(takes_model=True)
def speak(
    source: Source,
    text: Annotated[str, typer.Argument(help="What to say.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; its ending says the format.")] = Path("speech.mp3"),
    voice: Annotated[str | None, typer.Option("--voice", help="As the source knows it.")] = None,
) -> None:
    """Says a text into a sound file."""
    from jackfield.app.cli import output
    from jackfield.core.contracts import Speaks
    from jackfield.core.requests import SpeakReply, SpeakRequest

    request = SpeakRequest(text, voice=voice, model=source.model, format=out.suffix.removeprefix(".") or None)

    async def ask(live: Speaks) -> SpeakReply:
        return await live.speak(request)

    reply = source.ask(Speaks, "speak", ask)
    out.write_bytes(reply.audio)
    if source.call.json:
        output.result({"file": str(out), "media_type": reply.media_type, "size_bytes": len(reply.audio)})
    else:
        output.line(str(out))
