"""One gateway on one data directory: a lock file that another process finds taken, and that is free again when its owner dies.

Knows lock files, not what they guard.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from jackfield.core.errors import Conflict, JackfieldError
from jackfield.store.private_file import make_private_directory, open_private, unwritable

if sys.platform != "win32":
    import fcntl

LOCK = "gateway.lock"
log = logging.getLogger(__name__)


@contextlib.contextmanager
def sole_owner(directory: Path) -> Iterator[None]:
    """Keeps every other gateway off `directory` while the block lasts. Raises Conflict where one is there already."""
    make_private_directory(directory)
    descriptor = own(directory / LOCK)
    try:
        yield
    finally:
        os.close(descriptor)


def own(lock: Path) -> int:
    """A descriptor that holds `lock` until it is closed. Raises Conflict, or JackfieldError with code "store_unwritable"."""
    try:
        descriptor = open_private(lock, os.O_RDWR)
    except OSError as error:
        raise unwritable(lock, error) from error
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise _owned_elsewhere(lock) from None
        except OSError:
            log.warning("%s: this file system has no locks; run one jackfield only on it", lock.parent)
    return descriptor


def _owned_elsewhere(lock: Path) -> JackfieldError:
    return Conflict(
        f"another jackfield is running on {lock.parent} (it holds {lock.name}): stop it, or give this one a data directory "
        "of its own (JACKFIELD_HOME, or store in the settings)",
        code="data_directory_in_use",
    )
