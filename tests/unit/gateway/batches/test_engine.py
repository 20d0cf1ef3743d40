"""Batches from their beginning to their end: expired, stopped, cancelled, short of disk, and whose turn it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jackfield.core.errors import BadRequest, JackfieldError, NotFound, RateLimited
from jackfield.dialects.openai_chat import encode_error
from jackfield.gateway.batches.engine import AT_WORK_MAX, BatchBounds, BatchEngine, BatchOrder
from jackfield.gateway.client import Client
from jackfield.store.batches import BatchRepository, StoredBatch
from jackfield.store.engine import Database
from jackfield.store.files import FileBounds, FileShelf
from jackfield.store.result_file import ResultFile

URL = "/v1/x"
BOUNDS = BatchBounds(concurrency=2, retries=0, max_requests=10, max_unfinished=AT_WORK_MAX + 8, patience_s=30)


class House:
    """An engine over a folder; `may_answer` holds every answer until it is set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 1000.0
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.database = Database(folder / "jackfield.db")
        self.engine = self.make()

    def make(self) -> BatchEngine:
        shelf = FileShelf(self.database, self.folder / "files", FileBounds(10_000, 100, 100_000, 1e6), lambda: self.now_s)
        records = BatchRepository(self.database)
        engine = BatchEngine(shelf, records, self.folder / "batches", BOUNDS, lambda: 0, lambda: self.now_s)
        engine.answer_by({URL: self._answer}, encode_error)
        return engine

    async def restart(self, *key_names: str) -> None:
        await self.engine.aclose()
        self.engine = self.make()
        self.engine.start(key_names or ("",))

    async def begin(self, *names: str, key_name: str = "", window_s: int = 3600) -> StoredBatch:
        lines = [{"custom_id": name, "method": "POST", "url": URL, "body": {"model": "m", "name": name}} for name in names]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        file = self.engine.shelf.take_in(key_name, "in.jsonl", "batch", content)
        return await self.engine.create(key_name, BatchOrder(URL, file.id, "24h", window_s))

    async def over(self, batch: StoredBatch) -> StoredBatch:
        async with asyncio.timeout(10):
            while (now := await self.engine.get(batch.key_name, batch.id)).is_open:
                await asyncio.sleep(0.005)
        return now

    async def until_asked(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.asked) < count:
                await asyncio.sleep(0.005)

    def lines(self, key_name: str, file_id: str | None) -> list[Any]:
        file = self.engine.shelf.get(key_name, file_id or "")
        assert file is not None
        return [json.loads(line) for line in self.engine.shelf.path(file).read_text().splitlines()]

    async def _answer(self, client: Client) -> None:
        name = json.loads(await client.body())["name"]
        self.asked.append(name)
        await self.may_answer.wait()
        await client.reply(200, [], json.dumps({"said": name}).encode())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.engine.aclose()
    house.database.close()


async def test_what_is_not_asked_in_time_is_told_to_have_expired(house: House) -> None:
    batch = await house.begin("a", "b", "c", window_s=60)
    done = await house.over(batch)
    assert (done.status, done.completed) == ("completed", 3)
    house.may_answer.clear()
    late = await house.begin("d", "e", window_s=60)
    await house.until_asked(5)
    house.now_s += 61
    await house.restart()
    over = await house.over(late)
    assert (over.status, over.completed, over.failed, over.output_file_id) == ("expired", 0, 2, None)
    assert over.expired_at == 1061
    errors = house.lines("", over.error_file_id)
    assert [(each["custom_id"], each["response"], each["error"]["code"]) for each in errors] == [
        ("d", None, "batch_expired"),
        ("e", None, "batch_expired"),
    ]


async def test_a_restart_asks_only_what_has_no_answer(house: House) -> None:
    batch = await house.begin("a", "b", "c", "d")
    await house.until_asked(2)
    await house.over(batch)
    house.may_answer.clear()
    batch = await house.begin("e", "f", "g")
    await house.until_asked(6)
    answers = house.folder / "batches" / f"{batch.id}.jsonl"
    await house.engine.aclose()
    line: dict[str, Any] = {
        "id": "batch_req_1",
        "custom_id": "f",
        "response": {"status_code": 200, "request_id": None, "body": {}},
        "error": None,
    }
    answers.write_text(json.dumps(line, separators=(",", ":")) + '\n{"id":"batch_req_2","custom')
    house.asked.clear()
    house.may_answer.set()
    await house.restart()
    done = await house.over(batch)
    assert (done.status, done.completed, sorted(house.asked)) == ("completed", 3, ["e", "g"])
    assert [each["custom_id"] for each in house.lines("", done.output_file_id)] == ["e", "f", "g"]


async def test_a_full_disk_ends_a_batch_with_what_it_has(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    append = ResultFile.append

    def full(self: ResultFile, result: Any) -> None:
        if result.custom_id == "c":
            raise JackfieldError("cannot write: no space", code="store_unwritable")
        append(self, result)

    monkeypatch.setattr(ResultFile, "append", full)
    done = await house.over(await house.begin("a", "b", "c"))
    assert (done.status, [problem.code for problem in done.problems]) == ("failed", ["store_unwritable"])
    assert done.completed == len(house.lines("", done.output_file_id)) > 0


async def test_keys_take_turns_and_too_many_are_turned_away(house: House) -> None:
    house.may_answer.clear()
    many = [await house.begin("x", key_name="a") for _ in range(AT_WORK_MAX + 6)]
    other = await house.begin("y", key_name="b")
    await house.begin("z", key_name="a")
    with pytest.raises(RateLimited, match="max_unfinished"):
        await house.begin("z", key_name="b")
    waiting = many[-1]
    told = await house.engine.cancel("a", waiting.id)
    assert told.status in ("cancelling", "cancelled")
    assert (await house.over(waiting)).status == "cancelled"
    house.may_answer.set()
    await house.over(other)
    before = house.asked[: house.asked.index("y")]
    assert len(before) < 2 * AT_WORK_MAX  # those at work, and what began beside it; in the order in which they came: all of "a"
    for batch in many[:-1]:
        assert (await house.over(batch)).status == "completed"
    with pytest.raises(BadRequest, match="nothing to cancel"):
        await house.engine.cancel("a", waiting.id)
    with pytest.raises(NotFound):
        await house.engine.cancel("b", waiting.id)


async def test_a_file_that_is_gone_fails_its_batch(house: House) -> None:
    house.may_answer.clear()
    batch = await house.begin("a")
    await house.until_asked(1)
    await house.engine.aclose()
    (house.folder / "files" / batch.input_file_id).unlink()
    await house.restart()
    done = await house.over(batch)
    assert (done.status, [problem.code for problem in done.problems]) == ("failed", ["file_not_found"])


async def test_a_key_that_was_taken_away_asks_nothing_more_after_a_restart(house: House) -> None:
    house.may_answer.clear()
    stays, goes = await house.begin("a", key_name="stays"), await house.begin("b", key_name="goes")
    await house.until_asked(2)
    await house.engine.aclose()
    house.asked.clear()
    house.may_answer.set()
    await house.restart("stays")
    over = await house.over(goes)
    assert (over.status, [problem.code for problem in over.problems]) == ("failed", ["key_removed"])
    assert (await house.over(stays)).status == "completed"
    assert house.asked == ["a"]


async def test_those_that_come_at_the_same_time_are_counted_too(house: House) -> None:
    house.may_answer.clear()
    content = b'{"custom_id":"a","method":"POST","url":"/v1/x","body":{"model":"m","name":"a"}}\n'
    files = [house.engine.shelf.take_in("", "in.jsonl", "batch", content) for _ in range(BOUNDS.max_unfinished + 4)]
    orders = [house.engine.create("", BatchOrder(URL, file.id, "24h", 60)) for file in files]
    told = await asyncio.gather(*orders, return_exceptions=True)
    assert [type(each) for each in told].count(RateLimited) == 4
    house.may_answer.set()
    for batch in told:
        if isinstance(batch, StoredBatch):
            await house.over(batch)
