"""Ports of this machine: which local servers usually want which, and who listens there now. Sends nothing to them."""

import socket
from collections.abc import Mapping, Sequence

import msgspec

from jackfield.app.ports import port_holder
from jackfield.core.contracts import ProviderCard


class Place(msgspec.Struct, frozen=True):
    """A port where local servers usually are. `holder` is the process, `found` the provider by its fingerprint."""

    port: int
    usual: tuple[str, ...]
    is_taken: bool
    holder: str | None = None
    found: str | None = None


def usual_ports(cards: Sequence[ProviderCard], found: Mapping[int, str], own: int) -> list[Place]:
    """Every port that a local server or this gateway uses by default, who has it now, and who else would want it."""
    usual: dict[int, list[str]] = {own: ["jackfield"]}
    for card in cards:
        if card.default_port is not None and not card.is_external:
            usual.setdefault(card.default_port, []).append(card.id)
    for number in found:
        usual.setdefault(number, [])
    return [_place(number, tuple(names), found.get(number)) for number, names in sorted(usual.items())]


def _place(number: int, names: tuple[str, ...], found: str | None) -> Place:
    is_taken = is_listened_on("127.0.0.1", number)
    return Place(number, names, is_taken, port_holder(number) if is_taken else None, found)


def is_listened_on(host: str, number: int) -> bool:
    """Does somebody accept connections there? Asks this machine only."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    try:
        with socket.create_connection((address, number), timeout=0.5):
            return True
    except OSError:
        return False
