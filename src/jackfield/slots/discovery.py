"""What can be reached from here: servers on this machine told by fingerprint, keys by name, programs, GPUs.

Looks and reports; plugs nothing, and no key's value is ever read out. Asks loopback only, every port at the same time, each
question for half a second at most.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from jackfield.core.contracts import ProviderCard
from jackfield.core.errors import JackfieldError
from jackfield.providers.registry import Registrar
from jackfield.slots.fingerprint import Fingerprints, Heard, Rule, fingerprints, model_ids
from jackfield.slots.graphics import FoundDevice, FoundGpu, find_devices, find_gpus
from jackfield.slots.neighbours import FoundPeer, FoundSocket, find_peers, find_sockets
from jackfield.transport.http1 import Endpoint, HttpClient, Timeouts

HOST = "127.0.0.1"
ASK_WITHIN_S = 0.5
MAX_BODY_BYTES = 1024 * 1024
_TIMEOUTS = Timeouts(connect_s=ASK_WITHIN_S, first_byte_s=ASK_WITHIN_S, idle_s=ASK_WITHIN_S, total_s=ASK_WITHIN_S)


class FoundServer(msgspec.Struct, frozen=True):
    """A server that answered. `provider` is the id to plug, with `base_url` as its config; `name` the product.

    `address` is "host:port" as a binding's hosts have it. `needs_key`: it refused to list its models without one.
    """

    provider: str
    name: str
    port: int
    base_url: str
    address: str
    models: tuple[str, ...] = ()
    version: str | None = None
    needs_key: bool = False


class FoundKey(msgspec.Struct, frozen=True):
    """A variable of the environment that usually holds a key of `provider`. Its value is not read, but for being there."""

    variable: str
    provider: str


class FoundProgram(msgspec.Struct, frozen=True):
    """A program on the PATH; `provider` is the id it would serve, None where there is none."""

    name: str
    path: str
    provider: str | None = None


class Discovery(msgspec.Struct, frozen=True):
    servers: tuple[FoundServer, ...] = ()
    keys: tuple[FoundKey, ...] = ()
    clis: tuple[FoundProgram, ...] = ()
    gpus: tuple[FoundGpu, ...] = ()
    devices: tuple[FoundDevice, ...] = ()
    peers: tuple[FoundPeer, ...] = ()
    websockets: tuple[FoundSocket, ...] = ()


async def discover(
    http: HttpClient,
    registrar: Registrar,
    environ: Mapping[str, str] | Collection[str] = (),
    *,
    ports: Iterable[int] = (),
    skip_ports: Collection[int] = (),
    only_ports: bool = False,
    path_lookup: Callable[[str], str | None] = shutil.which,
    root: Path = Path("/"),
    peers: tuple[str, ...] = (),
    websockets: tuple[str, ...] = (),
    hardware: bool = True,
    table: Fingerprints | None = None,
) -> Discovery:
    """`environ` names variables (a mapping's empty ones do not count). `ports` are looked at besides the known ones.

    `peers` and `websockets` are addresses that a person named. `only_ports` leaves the known ports out; `skip_ports` are never
    asked: our own. `hardware` False looks for no GPUs and devices. Never raises for what is not there.
    """
    table = table or fingerprints()
    cards = {card.id: card for card in registrar.cards()}
    wanted = sorted({*ports, *(() if only_ports else known_ports(registrar, table))} - set(skip_ports))
    found = await asyncio.gather(*(_look(http, port, table, cards) for port in wanted))
    programs, gpus, devices = await asyncio.to_thread(
        lambda: (
            _programs(table, cards, path_lookup),
            find_gpus(root) if hardware else (),
            find_devices(root) if hardware else (),
        )
    )
    return Discovery(
        tuple(server for server in found if server is not None),
        _keys(cards.values(), environ),
        programs,
        gpus,
        devices,
        await find_peers(http, peers),
        await find_sockets(http.gate, websockets),
    )


def known_ports(registrar: Registrar, table: Fingerprints | None = None) -> set[int]:
    """The ports that are looked at wherever nobody says otherwise."""
    own = {card.default_port for card in registrar.cards() if card.default_port is not None and not card.is_external}
    return own | set((table or fingerprints()).ports)


async def _look(http: HttpClient, port: int, table: Fingerprints, cards: Mapping[str, ProviderCard]) -> FoundServer | None:
    first = await _ask(http, port, table.first)
    if first is None:
        return None
    paths = [path for path in table.paths if path != table.first]
    answers = await asyncio.gather(*(_ask(http, port, path) for path in paths))
    heard = {path: answer for path, answer in zip(paths, answers, strict=True) if answer is not None}
    heard[table.first] = first
    rule = table.match(heard)
    if rule is None or rule.ignore or rule.provider not in cards:
        return None
    return _server(rule, cards[rule.provider], port, heard, first)


def _server(rule: Rule, card: ProviderCard, port: int, heard: Mapping[str, Heard], first: Heard) -> FoundServer:
    path = urlsplit(card.default_url).path if card.default_url else "/v1"
    return FoundServer(
        provider=card.id,
        name=rule.name,
        port=port,
        base_url=f"http://{HOST}:{port}{path.rstrip('/')}",
        address=f"{HOST}:{port}",
        models=model_ids(first.json) if first.status == 200 else (),
        version=rule.version_of(heard),
        needs_key=first.status in (401, 403),
    )


async def _ask(http: HttpClient, port: int, path: str) -> Heard | None:
    """The answer to one GET, None where there is none in time or it is no HTTP."""
    head = Endpoint.parse(f"http://{HOST}:{port}").head("GET", path, {"accept": "application/json, */*"})
    try:
        async with asyncio.timeout(ASK_WITHIN_S):
            reply = await http.send(head, b"", _TIMEOUTS)
            try:
                body = await _body(reply.chunk)
            finally:
                await reply.aclose()
    except (JackfieldError, TimeoutError):
        return None
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in reply.headers}
    return Heard(reply.status, headers, body.decode("utf-8", "replace"), _json(body))


async def _body(chunk: Callable[[], Awaitable[bytes]]) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while size < MAX_BODY_BYTES and (piece := await chunk()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _keys(cards: Iterable[ProviderCard], environ: Mapping[str, str] | Collection[str]) -> tuple[FoundKey, ...]:
    names = {name for name in environ if not isinstance(environ, Mapping) or environ[name].strip()}
    return tuple(FoundKey(variable, card.id) for card in cards for variable in card.key_env if variable in names)


def _programs(
    table: Fingerprints, cards: Mapping[str, ProviderCard], path_lookup: Callable[[str], str | None]
) -> tuple[FoundProgram, ...]:
    found = ((name, path_lookup(name), provider) for name, provider in table.programs.items())
    return tuple(FoundProgram(name, path, provider if provider in cards else None) for name, path, provider in found if path)
