import socket

import pytest

from jackfield.core.errors import EgressDenied, Unavailable
from jackfield.core.modes import OperatingMode
from jackfield.transport.egress import Address, EgressGate

V4, V6 = socket.AF_INET, socket.AF_INET6
OUTSIDE = ("api.example.com", "8.8.8.8", "0.0.0.0", "10.1.2.3", "::ffff:8.8.8.8", "localhost.example.com", "127.1", "")


class Resolver:
    """Says what it is told to say, and what it was asked."""

    def __init__(self, *answer: Address) -> None:
        self.answer = list(answer)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        return [(family, (sockaddr[0], port)) for family, sockaddr in self.answer]


@pytest.mark.parametrize("mode", list(OperatingMode))
@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST", "ollama.localhost", "[::1]:80", "127.9.9.9"])
def test_this_machine_is_always_reachable(mode: OperatingMode, host: str) -> None:
    EgressGate(mode).check(host)


@pytest.mark.behaviour("EGRESS-01")
@pytest.mark.parametrize("mode", [OperatingMode.LOCAL_ONLY, OperatingMode.AIRGAPPED])
@pytest.mark.parametrize("host", OUTSIDE)
def test_nothing_else_is_reachable_without_burst_even_with_consent(mode: OperatingMode, host: str) -> None:
    gate = EgressGate(mode, {"someone": [host]})
    with pytest.raises(EgressDenied):
        gate.check(host)


@pytest.mark.behaviour("EGRESS-01")
def test_burst_reaches_only_hosts_with_consent() -> None:
    gate = EgressGate(OperatingMode.BURST, {"groq": ["API.groq.com:443"]})
    gate.check("api.groq.com")
    gate.check("api.groq.com:8443")
    for host in ("groq.com", "evil.api.groq.com", "api.groq.com.evil.example"):
        with pytest.raises(EgressDenied, match="consent"):
            gate.check(host)


def test_a_refusal_says_how_to_agree() -> None:
    with pytest.raises(EgressDenied, match=r"plug it with consent: jackfield slots plug .* --yes"):
        EgressGate().check("api.example.com")
    with pytest.raises(EgressDenied, match="airgapped"):
        EgressGate(OperatingMode.AIRGAPPED).check("api.example.com")


def test_consent_is_listed_and_can_be_taken_back() -> None:
    gate = EgressGate(OperatingMode.BURST)
    gate.grant("one", ["a.example"])
    gate.grant("one", ["b.example"])
    gate.grant("two", ["a.example"])
    assert gate.consents == {"one": {"a.example", "b.example"}, "two": {"a.example"}}
    assert gate.revoke("one") is True
    assert gate.revoke("one") is False
    gate.check("a.example")
    with pytest.raises(EgressDenied):
        gate.check("b.example")


def test_every_change_raises_the_generation() -> None:
    gate = EgressGate()
    seen = [gate.generation]
    gate.set_mode(OperatingMode.BURST)
    seen.append(gate.generation)
    gate.grant("one", ["a.example"])
    seen.append(gate.generation)
    gate.revoke("one")
    seen.append(gate.generation)
    assert seen == sorted(set(seen))
    gate.set_mode(OperatingMode.BURST)
    gate.revoke("one")
    assert gate.generation == seen[-1]


@pytest.mark.behaviour("EGRESS-01")
@pytest.mark.parametrize("host", ["localhost", "x.localhost", "LocalHost."])
async def test_no_resolver_can_lead_a_loopback_name_elsewhere(host: str) -> None:
    resolver = Resolver((V4, ("10.0.0.1", 0)))
    found = await EgressGate(resolver=resolver).addresses(host, 80)
    assert found == [(V4, ("127.0.0.1", 80)), (V6, ("::1", 80, 0, 0))]
    assert resolver.asked == []


async def test_addresses_are_taken_as_they_are() -> None:
    assert await EgressGate().addresses("127.0.0.2", 81) == [(V4, ("127.0.0.2", 81))]
    assert await EgressGate().addresses("[::1]", 81) == [(V6, ("::1", 81, 0, 0))]


async def test_a_refused_name_is_not_even_resolved() -> None:
    resolver = Resolver((V4, ("127.0.0.1", 0)))
    with pytest.raises(EgressDenied):
        await EgressGate(resolver=resolver).addresses("api.example.com", 443)
    assert resolver.asked == []


async def test_a_name_with_consent_is_pinned_to_what_it_resolved_to() -> None:
    gate = EgressGate(OperatingMode.BURST, {"p": ["api.example.com"]}, resolver=Resolver((V4, ("192.0.2.7", 0))))
    assert await gate.addresses("api.example.com", 443) == [(V4, ("192.0.2.7", 443))]


async def test_a_mode_changed_while_resolving_counts() -> None:
    async def slow(host: str, port: int) -> list[Address]:
        gate.set_mode(OperatingMode.AIRGAPPED)
        return [(V4, ("192.0.2.7", port))]

    gate = EgressGate(OperatingMode.BURST, {"p": ["api.example.com"]}, resolver=slow)
    with pytest.raises(EgressDenied):
        await gate.addresses("api.example.com", 443)


async def test_an_unknown_name_is_said_to_be_one() -> None:
    gate = EgressGate(OperatingMode.BURST, {"p": ["nowhere.invalid"]})
    with pytest.raises(Unavailable, match=r"'nowhere\.invalid' could not be resolved"):
        await gate.addresses("nowhere.invalid", 443)
