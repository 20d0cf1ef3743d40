"""What commands print: results on stdout, everything else on stderr, colour only where a terminal wants it.

Rich is loaded only for a terminal; into a pipe go plain, aligned, untruncated lines.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

from jackfield.app.cli.failures import UsedWrongly

GOOD, WARN, BAD = "green", "yellow", "red"


class Cell(str):
    """Text of a table cell with the colour that a terminal may give it."""

    colour: str = ""

    @classmethod
    def of(cls, text: str, colour: str) -> "Cell":
        cell = cls(text)
        cell.colour = colour
        return cell


def result(value: Any) -> None:
    """One JSON document on one line of stdout."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def line(text: str) -> None:
    """A line of the result, for a person."""
    sys.stdout.write(printable(text) + "\n")


def note(text: str = "") -> None:
    """A word beside the result: stderr."""
    sys.stderr.write(printable(text) + "\n")


def facts(values: Mapping[str, object]) -> None:
    """Names and values of one thing, a line each."""
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        line(f"{name.ljust(width)}  {value}")


class Flow:
    """An answer on stdout, piece by piece. Leaving its block ends the line, also where the answer was cut."""

    def __init__(self) -> None:
        self._is_in_line = False

    def piece(self, text: str) -> None:
        sys.stdout.write(printable(text))
        sys.stdout.flush()
        self._is_in_line = True

    def __enter__(self) -> "Flow":
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_in_line:
            sys.stdout.write("\n")
            sys.stdout.flush()
            self._is_in_line = False


def printable(text: str) -> str:
    """`text` without control characters: what a source says must not steer the terminal."""
    return "".join(character for character in text if character in "\n\t" or character.isprintable())


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, to_stderr: bool = False) -> None:
    """Rows under a heading. Numbers and cut columns are the caller's business."""
    stream = sys.stderr if to_stderr else sys.stdout
    if stream.isatty():
        _rich_table(stream, columns, rows)
        return
    texts = [[printable(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[index]) for row in texts) for index in range(len(columns))]
    for row in texts:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        stream.write("  ".join(padded).rstrip() + "\n")


def _rich_table(stream: IO[str], columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        shown.add_row(*(Text(printable(cell), style=getattr(cell, "colour", "")) for cell in row))
    Console(file=stream).print(shown)


def can_ask() -> bool:
    """A person is there to answer: stdin and stderr are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, flag: str) -> bool:
    """Asks on stderr, default no. Raises UsedWrongly, naming the flag that answers it, where nobody can be asked."""
    if not can_ask():
        raise UsedWrongly(f"{question}? Nobody can be asked here: {flag} answers yes")
    sys.stderr.write(f"{printable(question)}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
