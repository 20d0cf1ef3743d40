"""Hot reload: a good edit is taken over whole, a bad one leaves the old settings and is reported with its line."""

import asyncio
import os
from pathlib import Path

import pytest

from jackfield.app.settings import Loaded, load_settings
from jackfield.app.settings_watch import SettingsWatcher, differences
from jackfield.core.errors import Conflict


class Recorder:
    """Takes settings over and remembers them."""

    def __init__(self) -> None:
        self.taken: list[Loaded] = []
        self.said: list[str] = []
        self.happened = asyncio.Event()
        self.refuses = False

    async def apply(self, loaded: Loaded) -> None:
        if self.refuses:
            raise Conflict("the panel is busy")
        self.taken.append(loaded)
        self.happened.set()

    def report(self, text: str) -> None:
        self.said.append(text)
        self.happened.set()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "jackfield.yaml"
    write(path, "providers: {active: ollama}\n")
    return path


def write(path: Path, text: str) -> None:
    """As editors do: a new file in the old one's place."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


@pytest.mark.behaviour("CONF-17")
async def test_an_edit_takes_effect_within_two_seconds(file: Path) -> None:
    recorder = Recorder()
    async with SettingsWatcher(load_settings(file, {}), recorder.apply, report=recorder.report, interval_s=0.05) as watcher:
        write(file, "providers: {active: vllm}\n")
        async with asyncio.timeout(2):
            await recorder.happened.wait()
            while watcher.loaded.settings.providers.active != "vllm":
                await asyncio.sleep(0)
    assert recorder.said == []


@pytest.mark.behaviour("CONF-17")
async def test_a_bad_edit_keeps_the_old_settings_and_names_the_line(file: Path) -> None:
    recorder = Recorder()
    watcher = SettingsWatcher(load_settings(file, {}), recorder.apply, report=recorder.report)
    before = watcher.loaded
    write(file, "mode: local_only\nproviders: {actve: vllm}\n")
    assert await watcher.poll() is False
    assert watcher.loaded is before
    assert f"{file}:2: providers.actve" in recorder.said[0]
    assert await watcher.poll() is False
    assert len(recorder.said) == 1
    write(file, "providers: {active: vllm}\n")
    assert await watcher.poll() is True
    assert watcher.problem is None
    assert watcher.loaded.settings.providers.active == "vllm"


async def test_what_cannot_be_applied_is_not_in_force(file: Path) -> None:
    recorder = Recorder()
    recorder.refuses = True
    watcher = SettingsWatcher(load_settings(file, {}), recorder.apply, report=recorder.report)
    write(file, "panel_size: 3\n")
    assert await watcher.poll() is False
    assert watcher.loaded.settings.panel_size == 32
    assert "the panel is busy" in recorder.said[0]


async def test_a_file_that_goes_away_keeps_the_old_settings(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    recorder = Recorder()
    watcher = SettingsWatcher(
        load_settings(None, {"XDG_CONFIG_HOME": str(file.parent)}), recorder.apply, report=recorder.report
    )
    assert watcher.loaded.file == Path("jackfield.yaml")
    file.unlink()
    assert await watcher.poll() is False
    assert "is gone" in recorder.said[0]
    assert watcher.loaded.settings.providers.active == "ollama"


async def test_a_file_that_comes_into_being_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recorder = Recorder()
    watcher = SettingsWatcher(load_settings(None, {"XDG_CONFIG_HOME": str(tmp_path)}), recorder.apply, report=recorder.report)
    assert await watcher.poll() is False
    (tmp_path / "jackfield.yaml").write_text("panel_size: 4\n")
    assert await watcher.poll() is True
    assert watcher.loaded.settings.panel_size == 4


async def test_flags_and_environment_stay_above_a_changed_file(file: Path) -> None:
    recorder = Recorder()
    loaded = load_settings(file, {"JACKFIELD_MODE": "burst"}, {"server.port": 1})
    watcher = SettingsWatcher(loaded, recorder.apply, report=recorder.report)
    write(file, "mode: airgapped\nserver: {port: 2, host: localhost}\n")
    assert await watcher.poll() is True
    settings = watcher.loaded.settings
    assert (settings.mode, settings.server.port, settings.server.host) == ("burst", 1, "localhost")


async def test_leaving_the_block_ends_the_task(file: Path) -> None:
    recorder = Recorder()
    async with SettingsWatcher(load_settings(file, {}), recorder.apply, interval_s=0.01):
        assert any(task.get_name() == "settings-watcher" for task in asyncio.all_tasks())
    assert not any(task.get_name() == "settings-watcher" for task in asyncio.all_tasks())


def test_differences_name_what_changed(file: Path) -> None:
    old = load_settings(file, {})
    write(file, "providers: {active: vllm}\nslots: {1: {provider: local}}\n")
    changed = differences(old, old.reload())
    assert changed["providers.active"] == ("ollama", "vllm")
    assert changed["slots.1.provider"] == (None, "local")
    assert "server.port" not in changed
