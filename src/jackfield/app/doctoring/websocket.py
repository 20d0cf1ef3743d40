"""Why WebSocket connections break, and what to do: one connection is made and its pings are timed, the rest is advice.

Asks the gateway nothing but pings. What is known of a connection's life is in websocket_client.py and websocket_times.py.
"""

import asyncio
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import msgspec

from jackfield.app.doctoring.check import Check, State
from jackfield.app.websocket_times import PING_EVERY_S, PONG_WITHIN_S
from jackfield.core.errors import JackfieldError
from jackfield.slots.plugging import is_on_this_machine
from jackfield.websocket_client import GatewaySocket, Reconnecting, SocketTimeouts

PINGS = 10
CONNECT_WITHIN_S = 3.0
SLOW_MS = 250.0
UNEVEN_TIMES = 5.0
"""The slowest ping so many times slower than the usual one: the way there is uneven."""


class Measured(msgspec.Struct, frozen=True):
    """Milliseconds. `problem` says why there was no connection; then nothing else was measured."""

    connected_ms: float | None = None
    pings_ms: tuple[float, ...] = ()
    problem: str | None = None

    @property
    def usual_ms(self) -> float | None:
        return median(self.pings_ms) if self.pings_ms else None


async def measure(url: str, api_key: str | None, *, pings: int = PINGS, pause_s: float = 0.05) -> Measured:
    """One connection and some pings. Never raises for a gateway that is not there."""
    began = perf_counter()
    connected_ms: float | None = None
    times: list[float] = []
    try:
        async with GatewaySocket(url, api_key=api_key, timeouts=SocketTimeouts(connect_s=CONNECT_WITHIN_S)) as gateway:
            connected_ms = (perf_counter() - began) * 1000
            for _ in range(pings):
                times.append(await gateway.ping() * 1000)
                await asyncio.sleep(pause_s)
    except JackfieldError as error:
        return Measured(connected_ms, tuple(times), error.message)
    return Measured(connected_ms, tuple(times))


def advice(url: str, measured: Measured) -> list[Check]:
    """What was measured, then what holds for every connection: reconnect, ping/pong, network, timeouts."""
    return [_connection(measured), _ping(measured), _reconnect(), _network(url), _timeouts()]


def _connection(measured: Measured) -> Check:
    if measured.problem is not None:
        return Check(
            "connection", "fail", measured.problem, "start the gateway (jackfield up), or name it: --url, JACKFIELD_API_KEY"
        )
    return Check("connection", "ok", f"open after {measured.connected_ms:.1f} ms")


def _ping(measured: Measured) -> Check:
    kept = f"the gateway pings every {PING_EVERY_S:g} s and lets go who sends no pong within {PONG_WITHIN_S:g} s"
    usual = measured.usual_ms
    if usual is None:
        return Check(
            "ping/pong", "warn", f"not measured; {kept}", 'answer pings (every library does); {"type": "ping"} tests it'
        )
    slowest = max(measured.pings_ms)
    told = f"{usual:.2f} ms there and back, {slowest:.2f} ms at most, of {len(measured.pings_ms)} pings; {kept}"
    state: State = "ok"
    fix = ""
    if usual > SLOW_MS:
        state, fix = "warn", "the way is long: go to a gateway nearer by, and see the network below"
    elif slowest > SLOW_MS and slowest > UNEVEN_TIMES * usual:
        state, fix = "warn", "the way is uneven: look for a busy machine, Wi-Fi or VPN between here and the gateway"
    return Check("ping/pong", state, told, fix)


def _reconnect() -> Check:
    ours = Reconnecting()
    return Check(
        "reconnect",
        "ok",
        f"jackfield.websocket_client.GatewaySocket comes back by itself: after {ours.first_s:g} s, then ever later up to "
        f"{ours.most_s:g} s, and subscribes anew; requests that were running are to be asked again",
        "in a client of your own: connect again with growing, random waits, subscribe again, and keep request ids unique",
    )


def _network(url: str) -> Check:
    host = urlsplit(url).hostname or ""
    if is_on_this_machine(host):
        return Check("network", "ok", f"{host} is this machine: no proxy or firewall stands between")
    return Check(
        "network",
        "ok",
        f"{host} is another machine: proxies and firewalls between here and there may cut what is silent",
        "a proxy must pass on Upgrade and Connection, in HTTP/1.1 and unbuffered (nginx: proxy_http_version 1.1)",
    )


def _timeouts() -> Check:
    ours = SocketTimeouts()
    return Check(
        "timeouts",
        "ok",
        f"GatewaySocket waits {ours.connect_s:g} s for a connection and {ours.idle_s:g} s between two messages of an answer "
        "(SocketTimeouts); who does not read for 30 s while an answer waits is let go with code 1008",
        f"set idle timeouts of proxies above {PING_EVERY_S + PONG_WITHIN_S:g} s (nginx: proxy_read_timeout); read all the time",
    )
