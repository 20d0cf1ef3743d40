"""Files that clients left: whose they are, how many fit, and that no name leads out of their folder."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, BodyTooLarge, Conflict
from jackfield.store.batches import BatchRepository, StoredBatch
from jackfield.store.engine import Database
from jackfield.store.files import FileBounds, FileShelf, new_file_id

BOUNDS = FileBounds(max_file_bytes=100, max_count=3, max_bytes=200, ttl_s=50)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "jackfield.db")
    yield database
    database.close()


@pytest.fixture
def shelf(database: Database, tmp_path: Path, clock: Clock) -> FileShelf:
    return FileShelf(database, tmp_path / "files", BOUNDS, clock)


def batch_of(file_id: str, **fields: str) -> StoredBatch:
    return StoredBatch(
        id="batch_1",
        key_name="a",
        endpoint="/v1/x",
        input_file_id=file_id,
        completion_window="24h",
        created_at=1,
        expires_at=2,
        **fields,  # type: ignore[arg-type]
    )


def test_a_file_is_found_by_its_owner_alone(shelf: FileShelf) -> None:
    file = shelf.take_in("a", "in.jsonl", "batch", b"abc")
    assert (file.size_bytes, file.created_at, file.expires_at) == (3, 1000, 1050)
    assert shelf.get("a", file.id) == file
    assert shelf.path(file).read_bytes() == b"abc"
    assert shelf.path(file).stat().st_mode & 0o777 == 0o600
    assert shelf.get("b", file.id) is None
    assert not shelf.delete("b", file.id)
    assert (shelf.of_key("a"), shelf.of_key("a", "batch"), shelf.of_key("a", "else")) == ([file], [file], [])
    assert shelf.of_key("b") == []
    assert shelf.delete("a", file.id)
    assert not shelf.delete("a", file.id)
    assert not shelf.path(file).exists()


def test_bounds_hold_for_uploads_and_not_for_our_own(shelf: FileShelf) -> None:
    with pytest.raises(BodyTooLarge):
        shelf.take_in("a", "x", "batch", b"x" * 101)
    for key_name in ("a", "b"):
        shelf.take_in(key_name, "x", "batch", b"x" * 100)
    with pytest.raises(BadRequest, match="max_bytes"):
        shelf.take_in("b", "x", "batch", b"x")
    for _ in range(3):
        shelf.put(new_file_id(), "a", "x", "batch_output", (b"x" * 500,))
    assert len(shelf.of_key("a")) == 4


def test_what_has_expired_is_gone_unless_a_batch_is_made_of_it(shelf: FileShelf, database: Database, clock: Clock) -> None:
    used, other = (shelf.take_in("a", "x", "batch", b"x") for _ in range(2))
    records = BatchRepository(database)
    records.save(batch_of(used.id))
    clock.now_s += 60
    assert shelf.get("a", other.id) is None
    assert shelf.get("a", used.id) == used
    with pytest.raises(Conflict, match="batch_1"):
        shelf.delete("a", used.id)
    shelf.sweep()
    assert (shelf.path(used).exists(), shelf.path(other).exists()) == (True, False)
    records.save(batch_of(used.id, status="completed"))
    shelf.sweep()
    assert not shelf.path(used).exists()


def test_a_file_is_replaced_whole_and_what_a_crash_left_is_swept(shelf: FileShelf, database: Database, tmp_path: Path) -> None:
    id_ = new_file_id()
    shelf.put(id_, "a", "x", "batch_output", (b"first",))

    def breaking() -> Iterator[bytes]:
        yield b"sec"
        raise OSError(28, "No space left on device")

    with pytest.raises(Exception, match="cannot write"):
        shelf.put(id_, "a", "x", "batch_output", breaking())
    shelf.put(id_, "a", "x", "batch_output", (b"th", b"ird"))
    file = shelf.get("a", id_)
    assert file is not None
    assert (file.size_bytes, shelf.path(file).read_bytes()) == (5, b"third")
    left = tmp_path / "files" / f"{new_file_id()}.new"
    left.write_bytes(b"half")
    FileShelf(database, tmp_path / "files", BOUNDS, lambda: 0)
    assert [path.name for path in (tmp_path / "files").iterdir()] == [id_]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text() | st.sampled_from(["../x", "file-", "file-" + "g" * 32, "file-" + "0" * 32 + "/../x", "file-" + "0" * 32 + "\n"])
)
def test_no_other_name_is_anything(shelf: FileShelf, name: str) -> None:
    assert shelf.get("a", name) is None
    assert not shelf.delete("a", name)


def test_batches_are_kept_by_key_and_the_open_ones_known(database: Database) -> None:
    records = BatchRepository(database)
    one = batch_of("file-1")
    records.save(one)
    assert (records.get("a", one.id), records.get("b", one.id), records.get("a", "\ud800")) == (one, None, None)
    assert (records.of_key("a"), records.of_key("b"), records.open_ones()) == ([one], [], [one])
    done = batch_of("file-1", status="failed")
    records.save(done)
    assert (records.of_key("a"), records.open_ones()) == ([done], [])


def test_those_that_come_at_the_same_time_do_not_share_the_last_place(shelf: FileShelf) -> None:
    together = threading.Barrier(8)

    def leave(number: int) -> bool:
        together.wait(10)
        try:
            shelf.take_in(f"key {number}", "in.jsonl", "batch", b"abc")
        except BadRequest:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(leave, range(8))) == BOUNDS.max_count
