"""What holds for every test: no network beyond loopback, no one's real settings or keys, and the fixtures that all share."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import network_guard
from engine_servers import lemonade, llama

__all__ = ["lemonade", "llama"]

KEY_ENDINGS = ("_API_KEY", "_TOKEN", "_API_TOKEN")
network_guard.install()
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of its own for the run: tests neither read nor write a person's settings, keys or keyring."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.endswith(KEY_ENDINGS) or name.startswith(("JACKFIELD_", "XDG_"))]:
            if name != "JACKFIELD_ENGINES":
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("JACKFIELD_HOME", str(home / "jackfield"))
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        patch.setenv("NO_COLOR", "1")
        yield


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    """Fails a test that tried to leave this machine, also where the code under test swallowed the refusal."""
    network_guard.refused.clear()
    yield
    attempts = list(network_guard.refused)
    network_guard.refused.clear()
    if attempts:
        pytest.fail("tried to leave this machine: " + "; ".join(attempts), pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Real loops of real sockets leave no room for a forgotten one: every resource warning is an error too."""
    config.addinivalue_line("filterwarnings", "error::ResourceWarning")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return Path(__file__).parents[1]
