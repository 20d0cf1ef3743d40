"""Secrets in one encrypted file, its key in another: for machines without an OS keyring.

Knows encryption and files, not references. Whoever can read both files can read the secrets; who finds one of them alone, in
a backup, a search or a screen share, cannot.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from jackfield.core.errors import JackfieldError
from jackfield.store.private_file import make_private_directory, open_private, replace_private, unwritable

if sys.platform != "win32":
    import fcntl

SEALED_NAME = "secrets.sealed"
KEY_NAME = "secrets.key"


class SealedFile:
    """Name-value pairs, encrypted at rest. Both files are mode 0600 in a directory of mode 0700, replaced atomically.

    Raises JackfieldError, code "secrets_unreadable", when the two files do not belong together; it then overwrites nothing.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / SEALED_NAME
        self.key_path = directory / KEY_NAME
        self._directory = directory
        self._guard = threading.Lock()

    def read(self) -> dict[str, str]:
        """All pairs; empty where nothing was ever stored. Writes nothing."""
        try:
            sealed = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unreadable(error.strerror or "it cannot be read") from error
        from cryptography.fernet import Fernet, InvalidToken

        try:
            return msgspec.json.decode(Fernet(self.key_path.read_bytes()).decrypt(sealed), type=dict[str, str])
        except FileNotFoundError:
            raise self._unreadable("its key file is gone") from None
        except OSError as error:
            raise self._unreadable(error.strerror or "its key cannot be read") from error
        except (InvalidToken, ValueError, msgspec.DecodeError):
            raise self._unreadable("the key does not open it, or it was changed") from None

    def put(self, name: str, value: str) -> None:
        with self._writing():
            self._write({**self.read(), name: value})

    def delete(self, name: str) -> bool:
        """False where there was no such name."""
        if not self.path.exists():
            return False
        with self._writing():
            pairs = self.read()
            if pairs.pop(name, None) is None:
                return False
            self._write(pairs)
            return True

    def _write(self, pairs: dict[str, str]) -> None:
        from cryptography.fernet import Fernet

        if not self.key_path.exists():
            replace_private(self.key_path, Fernet.generate_key())
        sealed = Fernet(self.key_path.read_bytes()).encrypt(msgspec.json.encode(pairs))
        replace_private(self.path, sealed)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        # Two processes that each read, add and replace would lose one of the additions.
        make_private_directory(self._directory)
        with self._guard:
            try:
                descriptor = open_private(self._directory / (SEALED_NAME + ".lock"), os.O_RDWR)
            except OSError as error:
                raise unwritable(self._directory, error) from error
            try:
                if sys.platform != "win32":
                    with contextlib.suppress(OSError):
                        fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _unreadable(self, reason: str) -> JackfieldError:
        return JackfieldError(
            f"the secrets in {self.path} cannot be opened: {reason}. Put {SEALED_NAME} and {KEY_NAME} back from one backup, or "
            "remove both and store the keys anew with `jackfield secrets set NAME`",
            code="secrets_unreadable",
        )
