"""Where the settings use llama.cpp's program: slots and provider blocks, else the program that is on the PATH.

Reads settings and cards; looks at no file.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jackfield.app.doctoring.llama_cpp import Place
from jackfield.app.settings import Settings
from jackfield.core.errors import ProviderNotFound
from jackfield.providers.config import read_config
from jackfield.providers.llama_direct import DirectConfig, LlamaDirect
from jackfield.providers.registry import Registrar


def places(settings: Settings, registrar: Registrar) -> list[Place]:
    """Every use of the program in the settings; without any, the program on the PATH."""
    return list(_used(settings, registrar)) or [Place("the PATH", LlamaDirect.programs)]


def given_place(program: str | None, model: str | None, settings: Settings) -> Place:
    """What was given on the command line; what was not is as it is by default."""
    programs = LlamaDirect.programs if program is None else (program,)
    return Place("given", programs, model, str(settings.models_path))


def _used(settings: Settings, registrar: Registrar) -> Iterator[Place]:
    blocks = settings.providers.blocks
    for provider_id, block in blocks.items():
        kind = _kind(registrar, provider_id)
        if kind is not None:
            yield _place(f"providers.{provider_id}", kind, block.config, settings)
    for number, slot in settings.slots.items():
        kind = _kind(registrar, slot.provider)
        if kind is not None:
            known = settings.providers.block(registrar.canonical(slot.provider)).config
            model = {"model": slot.model} if slot.model else {}
            yield _place(f"slot {number}", kind, {**known, **slot.config, **model}, settings)


def _kind(registrar: Registrar, name: str) -> type[LlamaDirect] | None:
    try:
        kind = registrar.get(name)
    except ProviderNotFound:
        return None
    return kind if issubclass(kind, LlamaDirect) else None


def _place(where: str, kind: type[LlamaDirect], config: Mapping[str, Any], settings: Settings) -> Place:
    read, _ = read_config(DirectConfig, config, kind.card.id, kind.card.config_aliases)
    programs = (read.program,) if read.program else kind.programs
    return Place(where, programs, read.model, read.models_dir or str(settings.models_path))
