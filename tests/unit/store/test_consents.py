from collections.abc import Iterator
from pathlib import Path

import pytest

from jackfield.store.consents import Consent, ConsentRepository
from jackfield.store.engine import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "jackfield.db")
    yield database
    database.close()


def test_a_consent_is_recorded_listed_and_revocable(database: Database) -> None:
    consents = ConsentRepository(database)
    granted = consents.grant("openai", ["API.openai.com"], at=5.0)
    assert granted == Consent("openai", frozenset({"api.openai.com"}), 5.0)
    assert ConsentRepository(database).all() == [granted]
    assert consents.load() == {"openai": frozenset({"api.openai.com"})}
    assert consents.revoke("openai")
    assert not consents.revoke("openai")
    assert consents.load() == {}


def test_a_second_consent_adds_hosts_and_renews_the_date(database: Database) -> None:
    consents = ConsentRepository(database)
    consents.grant("p", ["a.example"], at=1.0)
    consents.grant("p", ["b.example"], at=2.0)
    assert consents.all() == [Consent("p", frozenset({"a.example", "b.example"}), 2.0)]


def test_a_consent_carries_the_time_it_was_given(database: Database) -> None:
    assert ConsentRepository(database).grant("p", ["a.example"]).granted_at > 1_600_000_000
