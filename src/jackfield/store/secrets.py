"""Where secrets are: the environment, the OS keyring, or an encrypted file. Everybody else holds references to them.

Knows references and places; does not know what a secret opens. Values never appear in a repr, a log line or an error.
"""

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from jackfield.core.errors import AuthFailed, BadRequest
from jackfield.store.os_keyring import KeyringSilent, OsKeyring, find_keyring, silent_error
from jackfield.store.private_file import make_private_directory, replace_private
from jackfield.store.references import SCHEMES, parse_reference
from jackfield.store.sealed_file import SealedFile

KEYRING_NAMES = "keyring-names.json"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}")

log = logging.getLogger(__name__)


class SecretStore:
    """Puts secrets away and resolves references to them.

    `environ` is read when asked, so a live mapping stays live. `aliases` lists further variables for a canonical one
    (HF_TOKEN: HF_API_TOKEN, ...), tried in order when it is not set.
    """

    def __init__(
        self,
        directory: Path,
        environ: Mapping[str, str],
        *,
        use_keyring: bool = True,
        aliases: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._directory = directory
        self._environ = environ
        self._use_keyring = use_keyring
        self._aliases = dict(aliases or {})
        self._sealed = SealedFile(directory)
        self._guard = threading.Lock()
        self._keyring: OsKeyring | None = None
        self._keyring_is_sought = False
        self._known: set[str] = set()
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"SecretStore({str(self._directory)!r})"

    def put(self, name: str, value: str) -> str:
        """Stores `value` and gives back the reference to it. An older value of that name is replaced.

        Raises BadRequest for a name or value that cannot be stored; JackfieldError where the disk refuses.
        """
        if not _NAME.fullmatch(name):
            raise BadRequest(f"{name!r} cannot name a secret; letters, digits and '_ . / -' can, 128 at most", param="name")
        secret = value.strip()
        if not secret or any(ord(character) < 32 for character in secret):
            raise BadRequest(f"the secret {name} is empty or holds a line break: give the key alone", param="value")
        self._known.add(secret)
        keyring = self._find_keyring()
        if keyring is not None:
            try:
                keyring.put(name, secret)
            except KeyringSilent as reason:
                log.warning("the OS keyring did not take %s (%s): it goes to %s", name, reason, self._sealed.path)
            else:
                self._note_keyring_name(name, is_there=True)
                self._sealed.delete(name)
                return f"keyring:{name}"
        self._sealed.put(name, secret)
        return f"file:{name}"

    def resolve(self, reference: str) -> str:
        """The secret behind `env:NAME`, `keyring:NAME` or `file:NAME`.

        Raises AuthFailed, naming the reference and how to fill it, when nothing is there; BadRequest for what is no
        reference (without showing it: it may be a secret).
        """
        parsed = parse_reference(reference)
        if parsed is None:
            raise BadRequest(
                f"a secret is given as a reference ({', '.join(f'{scheme}:NAME' for scheme in SCHEMES)}), not as itself: "
                "store it with `jackfield secrets set NAME`",
                param="api_key",
            )
        scheme, name = parsed
        match scheme:
            case "env":
                value = self._from_environment(name)
            case "keyring":
                value = self._from_keyring(name)
            case _:
                value = self._from_file(name)
        self._known.add(value)
        return value

    def names(self) -> list[str]:
        """Names of what `put` stored, wherever it went; never values."""
        return sorted({*self._sealed.read(), *self._keyring_names()})

    def delete(self, name: str) -> bool:
        """Removes `name` from every place. False where it was in none."""
        was_sealed = self._sealed.delete(name)
        if name not in self._keyring_names():
            return was_sealed
        keyring = self._find_keyring()
        try:
            if keyring is None:
                raise KeyringSilent("no keyring in this session")
            keyring.delete(name)
        except KeyringSilent as reason:
            raise silent_error(f"keyring:{name}", reason) from reason
        self._note_keyring_name(name, is_there=False)
        return True

    def known_values(self) -> frozenset[str]:
        """Every secret this process has seen, for redaction."""
        return frozenset(self._known)

    def describe(self) -> str:
        """Where `put` stores, for a person."""
        keyring = self._find_keyring()
        if keyring is not None:
            return f"OS keyring ({keyring.name})"
        return f"encrypted file {self._sealed.path} (no OS keyring here)"

    def _from_environment(self, name: str) -> str:
        variables = (name, *self._aliases.get(name, ()))
        found = {variable: self._environ.get(variable, "").strip() for variable in variables}
        given = [variable for variable in variables if found[variable]]
        if not given:
            others = f" (nor {', '.join(variables[1:])})" if variables[1:] else ""
            raise AuthFailed(
                f"{name} is not set{others}: `export {name}=...` before jackfield starts, or store the key with "
                f"`jackfield secrets set {name}` and refer to it as that prints",
                param=name,
            )
        chosen = given[0]
        differing = [variable for variable in given if found[variable] != found[chosen]]
        if differing and name not in self._warned:
            self._warned.add(name)
            log.warning("%s and %s are both set and differ: %s is used", chosen, ", ".join(differing), chosen)
        return found[chosen]

    def _from_keyring(self, name: str) -> str:
        keyring = self._find_keyring()
        try:
            if keyring is None:
                raise KeyringSilent("no keyring in this session")
            value = keyring.get(name)
        except KeyringSilent as reason:
            raise silent_error(f"keyring:{name}", reason) from reason
        if value is None:
            raise self._missing("keyring", name)
        return value

    def _from_file(self, name: str) -> str:
        value = self._sealed.read().get(name)
        if value is None:
            raise self._missing("file", name)
        return value

    def _missing(self, scheme: str, name: str) -> AuthFailed:
        known = self.names()
        stored = f"; stored are: {', '.join(known)}" if known else ""
        return AuthFailed(
            f"{scheme}:{name} holds nothing: store the key with `jackfield secrets set {name}`{stored}", param="api_key"
        )

    def _find_keyring(self) -> OsKeyring | None:
        with self._guard:
            if not self._keyring_is_sought:
                self._keyring = find_keyring(self._environ) if self._use_keyring else None
                self._keyring_is_sought = True
            return self._keyring

    def _keyring_names(self) -> list[str]:
        # Keyrings cannot be listed, so the names, never the values, are kept beside them.
        try:
            return msgspec.json.decode((self._directory / KEYRING_NAMES).read_bytes(), type=list[str])
        except (FileNotFoundError, msgspec.DecodeError):
            return []

    def _note_keyring_name(self, name: str, *, is_there: bool) -> None:
        with self._guard:
            names = set(self._keyring_names())
            if is_there:
                names.add(name)
            else:
                names.discard(name)
            make_private_directory(self._directory)
            replace_private(self._directory / KEYRING_NAMES, msgspec.json.encode(sorted(names)))
