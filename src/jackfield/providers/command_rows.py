"""How to call the programs that ship with jackfield's knowledge of them, read strictly from commands.toml.

Knows rows and argument lists, starts nothing. A person's own command is a row made from its config.
"""

import string
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import msgspec

Argument = str | tuple[str, ...]
_FORMATTER = string.Formatter()


class LineRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a JSON line holds, when each path in `when` has that value. Paths are dotted; sums of several paths for tokens.

    `text` and `reasoning` are pieces of the answer, `whole` the whole of it where no pieces came, `error` why there is none.
    """

    when: dict[str, Any]
    text: str | None = None
    reasoning: str | None = None
    whole: str | None = None
    error: str | None = None
    status: str | None = None
    model: str | None = None
    prompt_tokens: tuple[str, ...] = ()
    completion_tokens: tuple[str, ...] = ()
    cached_tokens: tuple[str, ...] = ()


class CommandRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One program; the fields are explained in commands.toml."""

    display_name: str
    program: str
    argv: tuple[Argument, ...]
    prompt: Literal["stdin", "argv"] = "stdin"
    aliases: tuple[str, ...] = ()
    environ: tuple[str, ...] = ()
    base_url: str | None = None
    key: str | None = None
    hosts: tuple[str, ...] = ()
    docs: str | None = None
    hint: str | None = None
    streams: bool = True
    lines: tuple[LineRule, ...] = ()

    def arguments(self, values: Mapping[str, str | None]) -> list[str]:
        """The argument list for what is asked; each value stays one argument, whatever is in it."""
        found: list[str] = []
        for argument in self.argv:
            group = (argument,) if isinstance(argument, str) else argument
            if isinstance(argument, str) or all(values.get(name) is not None for name in names_in(group)):
                found += [piece.format_map(_Empty(values)) for piece in group]
        return found

    def takes(self, name: str) -> bool:
        """Whether the argument list has a place for `name`."""
        return name in names_in([piece for each in self.argv for piece in ((each,) if isinstance(each, str) else each)])


class _Empty(dict[str, str]):
    """What is not given is the empty text."""

    def __init__(self, values: Mapping[str, str | None]) -> None:
        super().__init__({name: value for name, value in values.items() if value is not None})

    def __missing__(self, name: str) -> str:
        return ""


def names_in(pieces: Sequence[str]) -> set[str]:
    """What the pieces of an argument list stand for."""
    return {name for piece in pieces for _, name, _, _ in _FORMATTER.parse(piece) if name}


@cache
def command_rows() -> Mapping[str, CommandRow]:
    """The rows that ship, by provider id."""
    text = (files("jackfield.providers") / "commands.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, CommandRow])
