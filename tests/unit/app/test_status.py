"""GET /health and /ready: whether requests may come, without a key."""

from pathlib import Path

import pytest

from running_gateway import running_gateway


@pytest.mark.behaviour("HTTP-08")
async def test_ready_is_told_without_a_key_and_taken_back_when_it_stops(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, {"GATE_KEY": "a-long-gateway-key"}, server={"api_key": "env:GATE_KEY"}) as gateway:
        for path, body in (("/ready", {"status": "ready"}), ("/health", {"status": "ok"})):
            gateway.house.is_ready = True
            said = await gateway.http.get(path)
            assert (said.status_code, said.json()) == (200, body)
            assert (await gateway.http.head(path)).status_code == 200
            gateway.house.begin_to_stop()
            said = await gateway.http.get(path)
            assert (said.status_code, said.headers["retry-after"], said.json()["error"]["code"]) == (503, "1", "not_ready")
            foreign = await gateway.http.get(path, headers={"host": "evil.example"})
            assert foreign.status_code == 403
