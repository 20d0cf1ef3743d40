"""The only gate to the network: asks the operating mode and the recorded consents, and pins what a name resolves to.

Every socket of this package is opened to an address that `EgressGate.addresses` gave out. The gate opens nothing itself
and knows nothing of HTTP. Loopback and Unix sockets do not leave the machine and are always allowed.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from jackfield.core.errors import EgressDenied
from jackfield.core.modes import OperatingMode
from jackfield.transport.failures import name_unknown
from jackfield.transport.host import bracketed, is_loopback, is_loopback_name, literal_address, normal_host

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
Resolve = Callable[[str, int], Awaitable[list[Address]]]


async def resolve(host: str, port: int) -> list[Address]:
    """What the system's resolver says, in its order. Raises socket.gaierror."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, tuple(sockaddr)) for family, _, _, _, sockaddr in found]


class EgressGate:
    """Who may be reached now. `generation` rises with every change, so that idle connections can be told to be outdated."""

    def __init__(
        self,
        mode: OperatingMode = OperatingMode.LOCAL_ONLY,
        consents: Mapping[str, Collection[str]] | None = None,
        *,
        resolver: Resolve = resolve,
    ) -> None:
        self._mode = mode
        self._consents = {provider: _normal_hosts(hosts) for provider, hosts in (consents or {}).items()}
        self._resolver = resolver
        self.generation = 0

    @property
    def mode(self) -> OperatingMode:
        return self._mode

    @property
    def consents(self) -> Mapping[str, frozenset[str]]:
        """Provider id -> hosts its owner agreed to, lower-case, without port."""
        return dict(self._consents)

    def set_mode(self, mode: OperatingMode) -> None:
        if mode is not self._mode:
            self._mode = mode
            self.generation += 1

    def grant(self, provider_id: str, hosts: Collection[str]) -> None:
        """Records consent: the provider's hosts may be reached in burst mode. Adds to what was granted before."""
        self._consents[provider_id] = self._consents.get(provider_id, frozenset()) | _normal_hosts(hosts)
        self.generation += 1

    def revoke(self, provider_id: str) -> bool:
        """Takes consent back; True if there was any. A host that another provider has consent for stays reachable."""
        if self._consents.pop(provider_id, None) is None:
            return False
        self.generation += 1
        return True

    def check(self, host: str) -> None:
        """Raises EgressDenied unless `host` may be reached now."""
        name = normal_host(host)
        if is_loopback(name):
            return
        if self._mode is OperatingMode.BURST and any(name in hosts for hosts in self._consents.values()):
            return
        raise EgressDenied(self._refusal(name))

    async def addresses(self, host: str, port: int) -> list[Address]:
        """The addresses that `host` may be reached at, best first: what is connected to, and nothing else.

        Loopback names are pinned here and no resolver is asked, so no answer of a resolver can lead them elsewhere.
        Raises EgressDenied, and Unavailable for a name that does not resolve.
        """
        self.check(host)
        name = normal_host(host)
        literal = literal_address(name)
        if literal is not None:
            return [_literal(name, literal.version, port)]
        if is_loopback_name(name):
            return [_literal("127.0.0.1", 4, port), _literal("::1", 6, port)]
        try:
            found = await self._resolver(name, port)
        except (OSError, UnicodeError) as exc:
            raise name_unknown(name) from exc
        self.check(host)  # the mode may have changed while the resolver was asked
        if not found:
            raise name_unknown(name)
        return found

    def _refusal(self, name: str) -> str:
        shown = bracketed(name) or "(no host)"
        if self._mode is OperatingMode.AIRGAPPED:
            return (
                f"{shown} is not this machine and the operating mode is airgapped: only loopback and Unix sockets can be used"
            )
        return (
            f"{shown} is not this machine and nobody has agreed to send prompts there (operating mode {self._mode}): "
            "plug it with consent: jackfield slots plug SLOT PROVIDER --yes"
        )


def _normal_hosts(hosts: Collection[str]) -> frozenset[str]:
    if isinstance(hosts, str):
        hosts = (hosts,)
    return frozenset(name for name in map(normal_host, hosts) if name)


def _literal(address: str, version: int, port: int) -> Address:
    if version == 4:
        return socket.AF_INET, (address, port)
    return socket.AF_INET6, (address, port, 0, 0)
