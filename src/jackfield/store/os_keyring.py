"""The operating system's own keyring, where there is a real one that can be asked without a person being blocked.

Knows which backends count as real and how long to wait for them; loads the `keyring` package only when first needed.
"""

import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jackfield.core.errors import AuthFailed

SERVICE = "jackfield"
# A keyring that is locked asks a person on their screen; long enough to answer, short enough not to hang a start.
ANSWER_WITHIN_S = 20.0
# `keyring` itself calls backends below 1 "not recommended": plain text files, and ones that ask for a password on a terminal.
_LEAST_PRIORITY = 1

T = TypeVar("T")


class KeyringSilent(Exception):
    """The keyring failed or did not answer in time; the message says which, and holds no value."""


class OsKeyring:
    """One usable backend. `answer_within_s` bounds every call."""

    def __init__(self, backend: Any, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        self._backend = backend
        self._answer_within_s = answer_within_s

    @property
    def name(self) -> str:
        return f"{type(self._backend).__module__.rpartition('.')[2]} {type(self._backend).__name__}"

    def put(self, name: str, value: str) -> None:
        """Raises KeyringSilent."""
        self._ask(lambda: self._backend.set_password(SERVICE, name, value))

    def get(self, name: str) -> str | None:
        """Raises KeyringSilent."""
        value = self._ask(lambda: self._backend.get_password(SERVICE, name))
        return value if isinstance(value, str) else None

    def delete(self, name: str) -> None:
        """Raises KeyringSilent, also where there was no such name."""
        self._ask(lambda: self._backend.delete_password(SERVICE, name))

    def _ask(self, question: Callable[[], T]) -> T:
        answers: list[T] = []
        failures: list[str] = []

        def ask() -> None:
            from keyring.errors import KeyringError

            try:
                answers.append(question())
            except (KeyringError, OSError, RuntimeError) as error:
                failures.append(type(error).__name__)

        asking = threading.Thread(target=ask, name="keyring", daemon=True)
        asking.start()
        asking.join(self._answer_within_s)
        if answers:
            return answers[0]
        raise KeyringSilent(failures[0] if failures else f"no answer within {self._answer_within_s:g} s: is it locked?")


def find_keyring(environ: Mapping[str, str]) -> OsKeyring | None:
    """The keyring of this session, None where there is none worth the name or it could only be unlocked on a screen we lack."""
    if not _has_session(environ):
        return None
    import keyring

    backend = keyring.get_keyring()
    return OsKeyring(backend) if _is_real(backend) else None


def silent_error(reference: str, reason: KeyringSilent) -> AuthFailed:
    return AuthFailed(
        f"{reference}: the OS keyring gave no answer ({reason}). Unlock it and try again, or store the key in the environment "
        "and refer to it as env:VARIABLE"
    )


def _has_session(environ: Mapping[str, str]) -> bool:
    if not sys.platform.startswith("linux"):
        return True
    has_screen = bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
    return has_screen and bool(environ.get("DBUS_SESSION_BUS_ADDRESS") or environ.get("XDG_RUNTIME_DIR"))


def _is_real(backend: Any) -> bool:
    chained = getattr(backend, "backends", None)  # several at once: all must be real, since which one stores is not ours to say
    if chained is not None:
        return bool(chained) and all(_is_real(each) for each in chained)
    module = type(backend).__module__
    return not module.startswith(("keyring.backends.fail", "keyring.backends.null")) and backend.priority >= _LEAST_PRIORITY
