"""`jackfield doctor ws`: a measured ping, and advice on everything that ends connections."""

import pytest

from command_line import Live, Run


@pytest.mark.behaviour("ERR-13")
def test_it_measures_the_ping_and_advises(jf: Run, live: Live) -> None:
    said = jf("doctor", "ws", url=live.url)
    assert said.code == 0
    for word in ("connection", "ping/pong", "reconnect", "network", "timeouts", "ms there and back"):
        assert word in said.out
    told = jf("doctor", "ws", "--json", url=live.url).json
    assert told["url"].startswith("ws://127.0.0.1:")
    assert told["ping_ms"] > 0
    assert len(told["pings_ms"]) == 10


def test_without_a_gateway_it_says_so(jf: Run, nowhere: str) -> None:
    said = jf("doctor", "ws", "--json", url=nowhere)
    assert said.code == 1
    assert [check["state"] for check in said.json["checks"]] == ["fail", "warn", "ok", "ok", "ok"]
    assert "jackfield up" in said.json["checks"][0]["fix"]
