"""What a script gets that uses jackfield as a library: built-in and installed providers, the environment's keys, one gate.

The small composition root beside compose.py: no settings file, no store but the user's secrets, local_only until a call
says `consent=True`.
"""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jackfield.providers.registry import Registrar, load_registrar
from jackfield.slots import manager as managing
from jackfield.slots.handle import SlotAdapter
from jackfield.slots.standalone import Maker
from jackfield.store.secrets import SecretStore
from jackfield.transport.egress import EgressGate

STORE = Path("~/.local/share/jackfield")


@cache
def registrar() -> Registrar:
    """The providers that can be made by name; register your own here."""
    return load_registrar()


@cache
def gate() -> EgressGate:
    return EgressGate()


@cache
def maker() -> Maker:
    """Makes the handles of this process."""
    store = STORE.expanduser()
    return Maker(registrar(), gate(), SecretStore(store / "secrets", os.environ), models_dir=str(store / "models"))


def create_provider(name: str, config: Mapping[str, Any] | None = None, *, consent: bool = False) -> SlotAdapter:
    """A handle on the provider of that name or alias, by `config`; opens no connection.

    A key may be given as itself or as a reference (`env:NAME`). `consent=True` allows a provider that sends prompts to
    another machine. Raises UnknownProvider (a ValueError listing the names), BadRequest, AuthFailed, MissingExtra.
    """
    return maker().create(name, config, consent=consent)


class ProviderManager(managing.ProviderManager):
    """Providers by name, made with `create_provider` (slots/manager.py says what it can do)."""

    def __init__(self, given: Maker | None = None, *, within_s: float = managing.LOOK_WITHIN_S) -> None:
        super().__init__(given or maker(), within_s=within_s)
