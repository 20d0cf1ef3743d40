"""Writes a commented settings file from the tree: every key with its sentence and default, keys only as references.

What `jackfield config init` writes and what jackfield.example.yaml holds are this one text.
"""

import textwrap
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta

from jackfield.app.settings_layers import field_types, is_section
from jackfield.app.settings_tree import Settings, as_plain

WIDTH = 110
_HEAD = """\
# Settings of jackfield. Everything here is optional; what is commented out shows its default.
# A flag goes over JACKFIELD_<SECTION>_<KEY> in the environment, that over this file, that over the default.
# Keys are never written here, only references to them: env:NAME, keyring:NAME or file:NAME (jackfield secrets set NAME).
# Check it with: jackfield config check
"""
_EXAMPLES: Mapping[str, str] = {
    "slots": """\
# slots:
#   0: {provider: llama-server, name: coder}
#   1: {provider: openai-compat, model: my-model, config: {base_url: "http://127.0.0.1:8000"}}
#   2: {provider: openai, model: gpt-4o, consent: allow}
""",
    "providers": """\
# providers:
#   active: llama-server
#   lm_studio: {enabled: true, base_url: "http://localhost:1234", temperature: 0.7}
#   openai: {api_key: "env:OPENAI_API_KEY", timeout: 120}
""",
}


def settings_template(keys: Mapping[str, str] | None = None) -> str:
    """A whole settings file. `keys` maps provider id -> environment variable; their blocks are written live."""
    plain = as_plain(Settings())
    parts = [_HEAD]
    for name, type_ in field_types(Settings).items():
        if is_section(_bare(type_)) and name != "providers":
            parts.append(_section(name, type_, plain[name]))
        else:
            parts.append(_sentence(type_) + (_blocks(name, keys) or f"# {name}: {_shown(plain[name])}\n"))
    return "\n".join(parts)


def _section(name: str, type_: Any, values: Mapping[str, Any]) -> str:
    lines = [f"# {name}:\n"]
    for key, inner in field_types(_bare(type_)).items():
        lines.append(textwrap.indent(_sentence(inner), "#   ", lambda _: True) + f"#   {key}: {_shown(values[key])}\n")
    return "".join(lines)


def _blocks(name: str, keys: Mapping[str, str] | None) -> str | None:
    if name == "providers" and keys:
        return "providers:\n" + "".join(f'  {id_}: {{api_key: "env:{variable}"}}\n' for id_, variable in keys.items())
    return _EXAMPLES.get(name)


def _sentence(type_: Any) -> str:
    text = next((meta.description for meta in getattr(type_, "__metadata__", ()) if isinstance(meta, Meta)), None)
    return textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ") + "\n" if text else ""


def _bare(type_: Any) -> Any:
    return get_args(type_)[0] if get_origin(type_) is Annotated else type_


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode().strip('"') if isinstance(value, str) else msgspec.json.encode(value).decode()
