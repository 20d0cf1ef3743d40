"""Backends as rows and back: what outlives the process. A status that is read back is history, so it is not taken over.

Knows both forms; reads and writes nothing itself.
"""

from collections.abc import Iterable

from jackfield.core.errors import BadRequest
from jackfield.routing.backends import Backend, BackendType, Identity
from jackfield.routing.roster import Roster, hosts_of, is_own
from jackfield.store.health import StoredBackend


def stored_all(backends: Iterable[Backend], ahead_s: float) -> list[StoredBackend]:
    """Rows of what was registered and of each slot's own model. `ahead_s` from the backends' clock to Unix seconds."""
    return [_stored(each, ahead_s) for each in backends if each.identity.origin == "registered" or is_own(each)]


def _stored(backend: Backend, ahead_s: float) -> StoredBackend:
    return StoredBackend(
        id=backend.id,
        type=str(backend.type),
        name=backend.name,
        origin=backend.identity.origin,
        provider=backend.provider,
        model=backend.model,
        endpoint=backend.endpoint,
        config=backend.identity.config,
        weight=backend.weight,
        status=str(backend.status),
        registered_at=backend.registered_at + ahead_s,
        last_seen_at=None if backend.last_seen_at is None else backend.last_seen_at + ahead_s,
    )


def restored(row: StoredBackend, roster: Roster, now: float, wall: float) -> Backend:
    """A registered backend of an earlier run, as old as it is, unknown until it is seen. It waits for its instance.

    Raises BadRequest for a row that a newer version must have written.
    """
    if row.type not in list(BackendType):
        raise BadRequest(f"type {row.type!r} is not known here", param="type")
    backend = roster.make(
        Identity(
            id=row.id,
            type=BackendType(row.type),
            name=row.name,
            provider=row.provider,
            endpoint=row.endpoint,
            hosts=hosts_of(row.endpoint),
            config=row.config,
        ),
        model=row.model,
        weight=row.weight,
    )
    backend.is_restored = True
    backend.seen.registered_at = now - max(0.0, wall - row.registered_at)
    backend.seen.seen_at = None if row.last_seen_at is None else now - max(0.0, wall - row.last_seen_at)
    return backend
