"""Writes what is generated in the docs: tables of providers, errors, settings and commands, an example, and provider pages.

    python docs/tables.py            rewrites the tables
    python docs/tables.py --check    exits 1, naming the files, if a table is out of date

A table stands between `<!-- table: name -->` and `<!-- end -->`. Everything outside is written by hand.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from provider_pages import HEAD, comparison, made_pages
from typer.main import get_command

from jackfield.app.cli.main import app
from jackfield.app.settings_tree import ProviderBlock, Settings, SlotSettings
from jackfield.core import errors
from jackfield.core.errors import JackfieldError
from jackfield.providers.registry import load_registrar

DOCS = Path(__file__).resolve().parent
_BLOCK = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")


def providers() -> str:
    rows = []
    for card in sorted(load_registrar(plugins=False).cards(), key=lambda card: (card.type != "local", card.id)):
        where = card.default_url or (f"port {card.default_port}" if card.default_port else "")
        names = ", ".join(f"`{alias}`" for alias in card.aliases)
        keys = ", ".join(f"`{name}`" for name in card.key_env)
        rows.append((f"`{card.id}`", card.display_name, card.type, where, keys, names))
    return table(("Id", "Name", "Type", "Where", "Key variable", "Other names"), rows)


def error_tree() -> str:
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, JackfieldError)]
    rows = [
        (
            f"`{kind.default_code}`",
            str(kind.default_status),
            f"`{kind.__name__}`",
            _yes(kind.may_retry),
            _yes(kind.may_fall_back),
            kind.was_billed,
        )
        for kind in found
    ]
    return table(("Code", "Status", "Python class", "Retry may help", "Another source may help", "May have cost money"), rows)


def commands() -> str:
    return "\n".join(_command_section(name, command) for name, command in _commands(get_command(app), "jackfield"))


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, groups after what they do themselves."""
    inner = {word: each for word, each in getattr(command, "commands", {}).items() if not each.hidden}
    if not inner or (command.invoke_without_command and name != "jackfield"):
        yield name, command
    for word, each in inner.items():
        yield from _commands(each, f"{name} {word}")


def _command_section(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and each.opts[0] not in COMMON_OPTIONS]
    usage = " ".join([name, *(_in_brackets(each) for each in arguments)])
    section = f"### `{usage}`\n\n{' '.join(command.help.split())}\n"
    if options:
        rows = [(_spelling(each), " ".join((each.help or "").split())) for each in options]
        section += f"\n{table(('Option', 'Meaning'), rows)}"
    return section


def _in_brackets(argument: Any) -> str:
    word = argument.name.upper()
    return word if argument.required else f"[{word}]"


def _spelling(option: Any) -> str:
    names = sorted(option.opts, key=len)
    value = "" if option.is_flag else f" {option.metavar or names[-1].strip('-').replace('-', '_').upper()}"
    return ", ".join(f"`{name}`" for name in names[:-1]) + (", " if names[1:] else "") + f"`{names[-1]}{value}`"


def settings() -> str:
    return table(("Key", "Default", "Meaning"), _keys(Settings, ""))


def provider_block() -> str:
    return table(("Key", "Meaning"), [(key, meaning) for key, _, meaning in _keys(ProviderBlock, "")])


def slot_block() -> str:
    return table(("Key", "Meaning"), [(key, meaning) for key, _, meaning in _keys(SlotSettings, "")])


def _keys(tree: type[msgspec.Struct], above: str) -> Iterator[tuple[str, str, str]]:
    """Every key that has a sentence, and those of the groups below it."""
    hints = get_type_hints(tree, include_extras=True)
    for field in msgspec.structs.fields(tree):
        hint, path = hints[field.name], f"{above}{field.encode_name}"
        meaning = next((meta.description for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, msgspec.Meta)), None)
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from _keys(hint, f"{path}.")
        elif meaning:
            yield f"`{path}`", _shown(field.default), meaning


def _shown(value: object) -> str:
    plain = {} if value is msgspec.NODEFAULT else msgspec.to_builtins(value)
    return "" if plain in ({}, "") or isinstance(plain, dict) else f"`{json.dumps(plain)}`"


def _code(path: Path) -> str:
    return f"```python\n{path.read_text()}```\n"


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


COMMON_OPTIONS = frozenset({"--json", "--config", "--url", "--help"})
TABLES: dict[str, Callable[[], str]] = {
    "providers": providers,
    "comparison": lambda: table(HEAD, comparison()),
    "errors": error_tree,
    "commands": commands,
    "settings": settings,
    "provider-block": provider_block,
    "slot-block": slot_block,
    "shouter": lambda: _code(DOCS.parent / "examples" / "shouter" / "jackfield_shouter.py"),
}


def renewed(text: str) -> str:
    """`text` with every table in it as the code has it now."""
    return _BLOCK.sub(lambda block: f"{block[1]}{TABLES[block[2]]()}{block[3]}", text)


def stale_files() -> dict[Path, str]:
    """What is out of date, and how it should be."""
    wanted = {path: renewed(path.read_text()) for path in sorted(DOCS.glob("*.md"))} | made_pages()
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text() != text}


def main(arguments: list[str]) -> int:
    stale = stale_files()
    if "--check" in arguments:
        for path in stale:
            print(f"{path.name} is out of date: run python docs/tables.py", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text)
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
