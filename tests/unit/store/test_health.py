"""Rows of backends: whole sets, all or nothing, and never a secret."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jackfield.core.errors import BadRequest
from jackfield.store.engine import Database
from jackfield.store.health import HealthRepository, StoredBackend

FULL = StoredBackend(
    id="b",
    type="gpu",
    name="The B",
    origin="slot",
    provider="local",
    model="tiny",
    endpoint="http://127.0.0.1:1/v1",
    config={"api_key": "env:B_KEY", "deep": {"list": [1, None]}},
    weight=2.5,
    status="healthy",
    registered_at=5.0,
    last_seen_at=6.5,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "jackfield.db")
    yield database
    database.close()


def test_what_is_saved_is_loaded(database: Database) -> None:
    bare = StoredBackend(id="a", type="api", name="A")
    HealthRepository(database).save_all([FULL, bare])
    assert HealthRepository(database).load() == [bare, FULL]


def test_a_save_replaces_the_whole_set(database: Database) -> None:
    repository = HealthRepository(database)
    repository.save_all([FULL])
    repository.save_all([StoredBackend(id="a", type="api", name="A")])
    assert [row.id for row in repository.load()] == ["a"]
    repository.save_all([])
    assert repository.load() == []


def test_a_secret_is_refused_before_anything_is_written(database: Database) -> None:
    repository = HealthRepository(database)
    repository.save_all([FULL])
    with pytest.raises(BadRequest, match=r"backend x: api_key"):
        repository.save_all([StoredBackend(id="x", type="api", name="X", config={"api_key": "sk-0123456789abcdef"})])
    assert repository.load() == [FULL]
