"""Which providers a person has allowed to be sent prompts, and to which hosts.

Knows the record; who is asked and what a consent changes is decided elsewhere (transport/egress.py holds the gate).
"""

import time
from collections.abc import Collection

import msgspec

from jackfield.store.engine import Database

_hosts_of = msgspec.json.Decoder(list[str]).decode


class Consent(msgspec.Struct, frozen=True):
    """`hosts` in lower case without ports; `granted_at` Unix seconds."""

    provider: str
    hosts: frozenset[str]
    granted_at: float


class ConsentRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def grant(self, provider_id: str, hosts: Collection[str], *, at: float | None = None) -> Consent:
        """Records a consent; hosts allowed before stay allowed until revoked. `at` defaults to now."""
        granted_at = time.time() if at is None else at
        with self._database.transaction() as connection:
            row = connection.execute("SELECT hosts FROM consents WHERE provider = ?", (provider_id,)).fetchone()
            before = _hosts_of(row[0]) if row else []
            allowed = frozenset({host.lower() for host in hosts} | set(before))
            text = msgspec.json.encode(sorted(allowed)).decode()
            connection.execute("INSERT OR REPLACE INTO consents VALUES (?, ?, ?)", (provider_id, text, granted_at))
        return Consent(provider_id, allowed, granted_at)

    def revoke(self, provider_id: str) -> bool:
        """False where there was none."""
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM consents WHERE provider = ?", (provider_id,)).rowcount > 0

    def all(self) -> list[Consent]:
        """All consents by provider id."""
        rows = self._database.query("SELECT provider, hosts, granted_at FROM consents ORDER BY provider")
        return [Consent(provider, frozenset(_hosts_of(hosts)), granted_at) for provider, hosts, granted_at in rows]

    def load(self) -> dict[str, frozenset[str]]:
        """Provider id to hosts: what the egress gate starts with."""
        return {consent.provider: consent.hosts for consent in self.all()}
