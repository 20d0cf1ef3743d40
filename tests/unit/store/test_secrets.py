import json
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringError, PasswordDeleteError

from jackfield.core.errors import AuthFailed, BadRequest, JackfieldError
from jackfield.store.os_keyring import KeyringSilent, OsKeyring, find_keyring
from jackfield.store.secrets import SecretStore

SECRET = "q7Xk29LmPz81vBn4"
DESKTOP = {"DISPLAY": ":0", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus"}


class MemoryKeyring(KeyringBackend):
    """A real backend of the keyring package, kept in memory."""

    priority = 5.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pairs: dict[tuple[str, str], str] = {}
        self.answers = threading.Event()
        self.answers.set()
        self.is_broken = False

    def _answer(self) -> None:
        self.answers.wait(20)
        if self.is_broken:
            raise KeyringError(f"refused {SECRET}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._answer()
        self.pairs[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        self._answer()
        return self.pairs.get((service, username))

    def delete_password(self, service: str, username: str) -> None:
        self._answer()
        if self.pairs.pop((service, username), None) is None:
            raise PasswordDeleteError


@pytest.fixture
def backend() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    memory.answers.set()
    keyring.set_keyring(before)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


@pytest.fixture
def store(directory: Path) -> SecretStore:
    return SecretStore(directory, {}, use_keyring=False)


def all_bytes(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


@pytest.mark.behaviour("SEC-04")
def test_without_a_keyring_a_secret_goes_to_an_encrypted_file_that_no_one_can_read(store: SecretStore, directory: Path) -> None:
    reference = store.put("jackfield/slot-3", SECRET)
    assert reference == "file:jackfield/slot-3"
    assert store.resolve(reference) == SECRET
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    found = subprocess.run(["grep", "-ra", "-e", SECRET, "-e", "slot-3", str(directory)], capture_output=True, check=False)
    assert (found.returncode, found.stdout) == (1, b"")


def test_secrets_outlive_the_process_and_replace_each_other(store: SecretStore, directory: Path) -> None:
    store.put("a", SECRET)
    store.put("a", "another-one")
    store.put("b", SECRET)
    later = SecretStore(directory, {}, use_keyring=False)
    assert later.resolve("file:a") == "another-one"
    assert later.names() == ["a", "b"]
    assert later.delete("a")
    assert not later.delete("a")
    assert later.names() == ["b"]


def test_reading_writes_nothing(store: SecretStore, directory: Path) -> None:
    assert store.names() == []
    assert not store.delete("a")
    assert not directory.exists()


@pytest.mark.parametrize("name", ["", "a b", "../x", "a\n", "-x", "a" * 129])
def test_a_name_that_could_not_be_a_reference_is_refused(store: SecretStore, name: str) -> None:
    with pytest.raises(BadRequest, match="cannot name a secret"):
        store.put(name, SECRET)


@pytest.mark.parametrize("value", ["", "  ", f"{SECRET}\n{SECRET}", f"{SECRET}\x00"])
def test_an_empty_or_broken_secret_is_refused_without_being_shown(store: SecretStore, value: str) -> None:
    with pytest.raises(BadRequest) as refused:
        store.put("a", value)
    assert SECRET not in str(refused.value)


def test_a_pasted_line_end_is_no_part_of_a_secret(store: SecretStore) -> None:
    store.put("a", f" {SECRET}\n")
    assert store.resolve("file:a") == SECRET


@pytest.mark.behaviour("CONF-08")
@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY"])
def test_the_environment_is_read_when_asked(directory: Path, variable: str) -> None:
    environ: dict[str, str] = {}
    store = SecretStore(directory, environ, use_keyring=False)
    with pytest.raises(AuthFailed, match=f"{variable} is not set: `export {variable}=") as refused:
        store.resolve(f"env:{variable}")
    assert refused.value.param == variable
    environ[variable] = f" {SECRET}\n"
    assert store.resolve(f"env:{variable}") == SECRET


def test_an_empty_variable_is_not_set(directory: Path) -> None:
    with pytest.raises(AuthFailed, match="X is not set"):
        SecretStore(directory, {"X": " "}, use_keyring=False).resolve("env:X")


def test_aliases_are_read_in_their_order_after_the_canonical_name(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    environ = {"HF_API_KEY": "third-key", "HF_API_TOKEN": "second-key"}
    aliases = {"HF_TOKEN": ("HF_API_TOKEN", "HF_API_KEY")}
    store = SecretStore(directory, environ, use_keyring=False, aliases=aliases)
    with caplog.at_level(logging.WARNING):
        assert store.resolve("env:HF_TOKEN") == "second-key"
        environ["HF_TOKEN"] = "first-key"
        assert store.resolve("env:HF_TOKEN") == "first-key"
    assert len(caplog.records) == 1
    assert "HF_API_KEY are both set and differ" in caplog.text
    assert "key" not in caplog.text.replace("HF_API_KEY", "")
    environ.clear()
    with pytest.raises(AuthFailed, match=r"HF_TOKEN is not set \(nor HF_API_TOKEN, HF_API_KEY\)"):
        store.resolve("env:HF_TOKEN")


@pytest.mark.parametrize("reference", ["file:nothing", "env:NOTHING"])
def test_a_reference_with_nothing_behind_it_says_how_to_fill_it(store: SecretStore, reference: str) -> None:
    store.put("groq", SECRET)
    with pytest.raises(AuthFailed, match="jackfield secrets set") as refused:
        store.resolve(reference)
    assert reference.partition(":")[2] in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_literal_is_no_reference_and_is_not_shown(store: SecretStore) -> None:
    with pytest.raises(BadRequest, match="env:NAME") as refused:
        store.resolve(f"sk-{SECRET}")
    assert SECRET not in str(refused.value)


def test_what_this_process_has_seen_is_known_for_redaction_and_nothing_shows_it(directory: Path) -> None:
    store = SecretStore(directory, {"X": "environment-secret"}, use_keyring=False)
    store.put("a", SECRET)
    store.resolve("env:X")
    assert store.known_values() == {SECRET, "environment-secret"}
    for shown in (repr(store), str(store), store.describe(), repr(store.names())):
        assert SECRET not in shown
        assert "environment-secret" not in shown


def remove_key(directory: Path) -> None:
    (directory / "secrets.key").unlink()


def other_key(directory: Path) -> None:
    from cryptography.fernet import Fernet

    (directory / "secrets.key").write_bytes(Fernet.generate_key())


def no_key(directory: Path) -> None:
    (directory / "secrets.key").write_bytes(b"not a key")


def tampered(directory: Path) -> None:
    sealed = directory / "secrets.sealed"
    sealed.write_bytes(sealed.read_bytes()[:-10] + b"AAAAAAAAA=")


@pytest.mark.parametrize("spoil", [remove_key, other_key, no_key, tampered])
def test_files_that_do_not_belong_together_are_told_and_never_overwritten(
    store: SecretStore, directory: Path, spoil: object
) -> None:
    store.put("a", SECRET)
    assert callable(spoil)
    spoil(directory)
    before = all_bytes(directory)
    for attempt in (lambda: store.resolve("file:a"), lambda: store.put("b", SECRET), lambda: store.delete("a")):
        with pytest.raises(JackfieldError, match="cannot be opened") as refused:
            attempt()
        assert refused.value.code == "secrets_unreadable"
    assert all_bytes(directory) == before


def test_threads_that_put_at_once_lose_nothing(store: SecretStore, directory: Path) -> None:
    others = [SecretStore(directory, {}, use_keyring=False) for _ in range(6)]
    threads = [threading.Thread(target=other.put, args=(f"n{n}", f"value-{n}")) for n, other in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert store.names() == [f"n{n}" for n in range(6)]


def test_a_keyring_that_is_there_is_used_and_no_file_holds_the_secret(backend: MemoryKeyring, directory: Path) -> None:
    store = SecretStore(directory, DESKTOP)
    reference = store.put("groq", SECRET)
    assert reference == "keyring:groq"
    assert backend.pairs == {("jackfield", "groq"): SECRET}
    assert store.resolve(reference) == SECRET
    assert store.names() == ["groq"]
    assert store.describe().startswith("OS keyring")
    assert SECRET.encode() not in all_bytes(directory)
    assert json.loads((directory / "keyring-names.json").read_text()) == ["groq"]
    assert store.delete("groq")
    assert backend.pairs == {}
    assert store.names() == []
    assert not store.delete("groq")


def test_a_secret_lives_in_one_place_only(backend: MemoryKeyring, directory: Path) -> None:
    SecretStore(directory, {}, use_keyring=False).put("groq", "older-value")
    store = SecretStore(directory, DESKTOP)
    store.put("groq", SECRET)
    assert store.names() == ["groq"]
    with pytest.raises(AuthFailed):
        store.resolve("file:groq")


def test_a_keyring_that_refuses_gives_way_to_the_file(
    backend: MemoryKeyring, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend.is_broken = True
    store = SecretStore(directory, DESKTOP)
    assert store.put("groq", SECRET) == "file:groq"
    assert "did not take groq" in caplog.text
    with pytest.raises(AuthFailed, match="Unlock it") as refused:
        store.resolve("keyring:groq")
    assert SECRET not in caplog.text + str(refused.value)


def test_a_keyring_that_never_answers_is_not_waited_for_long(backend: MemoryKeyring) -> None:
    backend.answers.clear()
    with pytest.raises(KeyringSilent, match="no answer within"):
        OsKeyring(backend, answer_within_s=0.05).get("x")


def test_no_keyring_is_asked_where_nobody_could_unlock_it(backend: MemoryKeyring) -> None:
    if sys.platform.startswith("linux"):
        assert find_keyring({}) is None
        assert find_keyring({"DISPLAY": ":0"}) is None
        assert find_keyring({"DBUS_SESSION_BUS_ADDRESS": "x"}) is None
    assert find_keyring(DESKTOP) is not None


@pytest.mark.parametrize("module", ["keyring.backends.fail", "keyring.backends.null"])
def test_the_package_s_empty_backends_are_no_keyring(module: str) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(__import__(module, fromlist=["Keyring"]).Keyring())
    try:
        assert find_keyring(DESKTOP) is None
    finally:
        keyring.set_keyring(before)


def test_a_backend_that_is_not_recommended_is_no_keyring(backend: MemoryKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryKeyring, "priority", 0.5)
    assert find_keyring(DESKTOP) is None


def test_a_reference_to_a_keyring_that_is_not_here_says_so(directory: Path) -> None:
    with pytest.raises(AuthFailed, match="no keyring in this session"):
        SecretStore(directory, {}, use_keyring=False).resolve("keyring:groq")


def test_heavy_packages_are_loaded_only_when_needed(directory: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from jackfield.store.secrets import SecretStore\n"
        "store = SecretStore(Path(sys.argv[1]), {'X': 'value'}); store.resolve('env:X'); store.names()\n"
        "assert not {'keyring', 'cryptography'} & set(sys.modules), sorted(sys.modules)"
    )
    environment = {**os.environ}
    subprocess.run([sys.executable, "-c", script, str(directory)], check=True, timeout=30, env=environment)
