"""Nothing leaves this machine before a person has allowed it, and then it is recorded."""

from pathlib import Path
from typing import Any

import pytest

from jackfield.core.errors import ModeForbids, Upstream
from jackfield.core.modes import OperatingMode
from jackfield.slots.plugging import bare_host, is_on_this_machine
from jackfield.slots.registry import ProviderRegistry

AWAY = {"base_url": "https://api.example.invalid/v1"}
KEYS = {"OPENAI_API_KEY": "sk-0123456789abcdefghij"}


@pytest.mark.parametrize(
    ("host", "bare", "is_here"),
    [
        ("127.0.0.1:80", "127.0.0.1", True),
        ("127.8.8.8:1", "127.8.8.8", True),
        ("[::1]:443", "::1", True),
        ("::1", "::1", True),
        ("localhost:8080", "localhost", True),
        ("LLM.Localhost:1", "llm.localhost", True),
        ("unix:/run/x.sock", None, True),
        ("api.openai.com:443", "api.openai.com", False),
        ("localhost.evil.example:80", "localhost.evil.example", False),
        ("192.168.1.5:80", "192.168.1.5", False),
        ("127.0.0.1.evil.example:80", "127.0.0.1.evil.example", False),
        ("0.0.0.0:80", "0.0.0.0", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, bare: str | None, is_here: bool) -> None:
    assert is_on_this_machine(host) is is_here
    assert bare is None or bare_host(host) == bare


async def test_without_consent_it_is_refused_and_says_what_to_do(tmp_path: Path, restart: Any) -> None:
    async with restart(tmp_path / "b", KEYS) as bench:
        panel = bench.panel()
        with pytest.raises(ModeForbids) as caught:
            await panel.plug(0, "openai")
        assert caught.value.message == (
            "openai sends prompts to api.openai.com; allow with --yes (or consent: allow in the settings file)"
        )
        assert (bench.gate.mode, dict(bench.gate.consents), bench.consents.load()) == (OperatingMode.LOCAL_ONLY, {}, {})
        await panel.aclose()


async def test_consent_is_recorded_and_widens_the_mode(tmp_path: Path, restart: Any) -> None:
    async with restart(tmp_path / "b") as bench:
        panel = bench.panel()
        await panel.plug(0, "openai-compat", AWAY, consent=True, require_ready=False)
        assert bench.gate.mode is OperatingMode.BURST
        assert bench.consents.load() == {"openai-compat": frozenset({"api.example.invalid"})}
        await panel.aclose()
    async with restart(tmp_path / "b") as bench:
        panel = bench.panel()
        await panel.plug(1, "openai-compat", AWAY, require_ready=False)
        assert panel.slot(1).binding is not None, "a recorded consent need not be given again"
        with pytest.raises(ModeForbids, match=r"other\.example\.invalid"):
            await panel.plug(2, "openai-compat", {"base_url": "https://other.example.invalid/v1"})
        await panel.aclose()


async def test_a_plug_that_fails_takes_its_consent_back(bench: Any, panel: ProviderRegistry) -> None:
    with pytest.raises(Upstream):
        await panel.plug(0, "openai-compat", AWAY, consent=True)
    assert (bench.gate.mode, dict(bench.gate.consents), bench.consents.load()) == (OperatingMode.LOCAL_ONLY, {}, {})
    await panel.plug(0, "openai-compat", AWAY, consent=True, require_ready=False)
    with pytest.raises(Upstream):
        await panel.plug(1, "openai-compat", {"base_url": "https://other.example.invalid/v1"}, consent=True)
    assert bench.consents.load() == {"openai-compat": frozenset({"api.example.invalid"})}
    assert bench.gate.mode is OperatingMode.BURST


async def test_airgapped_refuses_whatever_was_allowed(bench: Any, panel: ProviderRegistry) -> None:
    bench.gate.set_mode(OperatingMode.AIRGAPPED)
    with pytest.raises(ModeForbids, match="airgapped"):
        await panel.plug(0, "openai-compat", AWAY, consent=True)
    assert bench.gate.mode is OperatingMode.AIRGAPPED


async def test_a_mode_that_the_settings_fix_is_not_widened(bench: Any) -> None:
    panel = bench.panel(mode_is_fixed=True)
    with pytest.raises(ModeForbids, match="set mode: burst"):
        await panel.plug(0, "openai-compat", AWAY, consent=True)
    assert dict(bench.gate.consents) == {}
    await panel.aclose()


async def test_what_stays_on_this_machine_needs_no_consent(bench: Any, panel: ProviderRegistry, fake: Any) -> None:
    await panel.plug(0, "openai-compat", {"base_url": fake.base_url})
    assert bench.gate.mode is OperatingMode.LOCAL_ONLY


async def test_which_hosts_a_plug_would_need_consent_for_can_be_asked_beforehand(tmp_path: Path, restart: Any) -> None:
    async with restart(tmp_path / "b") as bench:
        panel = bench.panel()
        literal = {**AWAY, "api_key": "literal-key-of-somebody"}
        assert await panel.hosts_to_allow("openai-compat", literal) == ["api.example.invalid"]
        assert await panel.hosts_to_allow("openai-compat", {"base_url": "http://127.0.0.1:1/v1"}) == []
        assert (dict(bench.gate.consents), bench.secrets.names()) == ({}, []), "asking leaves nothing behind"
        bench.gate.grant("openai-compat", {"api.example.invalid"})
        assert await panel.hosts_to_allow("openai-compat", AWAY) == []
        bench.gate.revoke("openai-compat")
        bench.gate.set_mode(OperatingMode.AIRGAPPED)
        assert await panel.hosts_to_allow("openai-compat", AWAY) == [], "no consent would help"
        await panel.aclose()
        fixed = bench.panel(mode_is_fixed=True)
        bench.gate.set_mode(OperatingMode.LOCAL_ONLY)
        assert await fixed.hosts_to_allow("openai-compat", AWAY) == []
        await fixed.aclose()
