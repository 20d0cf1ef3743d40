"""Files and batches with the official SDK as client: answered by slots, kept apart, counted, stopped, taken up again."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from openai import APIStatusError, AsyncOpenAI, BadRequestError, ConflictError, NotFoundError
from openai.types import Batch, FileObject

from gateway_process import jackfield_up_beside
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

CHAT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
OVER = ("completed", "failed", "cancelled", "expired")
WITHIN_S = 15.0
TEXTS = ("Count to 3", "ping")


def line(custom_id: str, text: str = "ping", model: str = "slot-0", **fields: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}


def jsonl(lines: Sequence[object]) -> bytes:
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines)


async def uploaded(client: AsyncOpenAI, lines: Sequence[object]) -> FileObject:
    return await client.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch")


async def begun(client: AsyncOpenAI, lines: Sequence[object], endpoint: Any = CHAT, **fields: Any) -> Batch:
    file = await uploaded(client, lines)
    return await client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **fields)


async def over(client: AsyncOpenAI, id_: str) -> Batch:
    async with asyncio.timeout(WITHIN_S):
        while (batch := await client.batches.retrieve(id_)).status not in OVER:
            await asyncio.sleep(0.02)
    return batch


async def lines_of(client: AsyncOpenAI, file_id: str | None) -> list[Any]:
    assert file_id is not None
    content = await client.files.content(file_id)
    return [json.loads(each) for each in content.text.splitlines()]


def text_of(result: Any) -> str:
    text: str = result["response"]["body"]["choices"][0]["message"]["content"]
    return text


@pytest.mark.behaviour("DOOR-30")
async def test_a_batch_is_answered_in_the_order_of_its_lines_and_each_line_is_on_the_books(gateway: Gateway) -> None:
    async with gateway.openai() as client:
        asked = [line(f"line {number}", TEXTS[number % 2]) for number in range(20)]
        batch = await begun(client, asked, metadata={"for": "the test"})
        assert (batch.object, batch.endpoint, batch.status) == ("batch", CHAT, "validating")
        assert re.fullmatch(r"batch_[0-9a-f]{32}", batch.id)
        done = await over(client, batch.id)
        assert (done.status, done.errors, done.error_file_id, done.metadata) == ("completed", None, None, {"for": "the test"})
        assert done.request_counts is not None
        assert done.request_counts.model_dump() == {"total": 20, "completed": 20, "failed": 0}
        times = [done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at, done.expires_at]
        assert times == sorted(times, key=lambda at: at or 0)
        results = await lines_of(client, done.output_file_id)
        assert [result["custom_id"] for result in results] == [each["custom_id"] for each in asked]
        assert [text_of(result) for result in results] == ["1, 2, 3", "pong"] * 10
        assert {(result["error"], result["response"]["status_code"]) for result in results} == {(None, 200)}
        rows = gateway.rows()
        assert (batch.usage, batch.model, done.model) == (None, None, results[0]["response"]["body"]["model"])
        assert done.usage is not None
        assert done.usage.input_tokens == sum(row.prompt_tokens for row in rows) > 0
        assert done.usage.total_tokens == done.usage.input_tokens + sum(row.completion_tokens for row in rows)
        told = {result["response"]["request_id"] for result in results}
        assert told == {row.request_id for row in rows}
        assert len(told) == 20
        output = await client.files.retrieve(done.output_file_id or "")
        assert (output.purpose, output.filename) == ("batch_output", f"{batch.id}_output.jsonl")


async def test_a_line_that_fails_is_in_the_file_of_errors_and_the_others_are_not_hurt(gateway: Gateway) -> None:
    async with gateway.openai() as client:
        asked = [line("good"), line("nobody", model="no-such-model"), line("wrong", provider=5)]
        done = await over(client, (await begun(client, asked)).id)
        assert done.request_counts is not None
        assert done.request_counts.model_dump() == {"total": 3, "completed": 1, "failed": 2}
        assert done.status == "completed"
        assert [result["custom_id"] for result in await lines_of(client, done.output_file_id)] == ["good"]
        nobody, wrong = await lines_of(client, done.error_file_id)
        assert (nobody["custom_id"], nobody["response"]["status_code"], nobody["error"]) == ("nobody", 404, None)
        assert nobody["response"]["body"]["error"]["code"] == "model_not_found"
        assert wrong["custom_id"] == "wrong"
        assert (wrong["response"]["status_code"], wrong["response"]["body"]["error"]["param"]) == (400, "provider")


async def test_responses_embeddings_and_completions_can_be_batched(gateway: Gateway) -> None:
    async with gateway.openai() as client:
        for endpoint, body in (
            ("/v1/responses", {"input": "ping", "store": False}),
            ("/v1/completions", {"prompt": "ping"}),
            ("/v1/embeddings", {"input": "ping"}),
        ):
            one = {"custom_id": "a", "method": "POST", "url": endpoint, "body": {"model": "slot-0", **body}}
            done = await over(client, (await begun(client, [one], endpoint)).id)
            (result,) = await lines_of(client, done.output_file_id or done.error_file_id)
            assert result["response"]["status_code"] == 200, (endpoint, result)


async def test_responses_of_a_batch_are_kept_only_where_a_line_asks_for_it(gateway: Gateway) -> None:
    async with gateway.openai() as client:
        asked = [
            {"custom_id": name, "method": "POST", "url": "/v1/responses", "body": {"model": "slot-0", "input": "ping", **more}}
            for name, more in (("not", {}), ("kept", {"store": True}))
        ]
        done = await over(client, (await begun(client, asked, "/v1/responses")).id)
        left, kept = [result["response"]["body"] for result in await lines_of(client, done.output_file_id)]
        assert (left["store"], kept["store"]) == (False, True)
        assert (await client.responses.retrieve(kept["id"])).output_text == "pong"
        with pytest.raises(NotFoundError):
            await client.responses.retrieve(left["id"])


@pytest.mark.behaviour("DOOR-30")
async def test_while_somebody_waits_for_an_answer_a_batch_asks_one_line_at_a_time(gateway: Gateway, fake: FakeOpenAI) -> None:
    def in_flight() -> int:
        binding = gateway.house.registry.slot(0).binding
        return 0 if binding is None else binding.live.in_flight

    async def most_until(asked: int) -> int:
        most = 0
        async with asyncio.timeout(WITHIN_S):
            while fake.asked < asked:
                most = max(most, in_flight())
                await asyncio.sleep(0.002)
        return most

    async with gateway.openai() as client:
        fake.behaviour = Behaviour(hang="before")
        messages: Any = [{"role": "user", "content": "ping"}]
        waits = asyncio.create_task(client.chat.completions.create(model="slot-0", messages=messages))
        await most_until(1)
        fake.behaviour = Behaviour(delay_s=0.02)
        batch = await begun(client, [line(str(number)) for number in range(40)])
        assert await most_until(8) == 2, "one line beside the request that waits"
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        assert await most_until(38) == gateway.house.settings.batches.concurrency
        assert (await over(client, batch.id)).status == "completed"


WRONG: list[tuple[object, str, str | None]] = [
    (b"{not json", "invalid_json_line", None),
    (b"[1]", "invalid_json_line", None),
    ({"method": "POST", "url": CHAT, "body": {}}, "missing_required_parameter", "custom_id"),
    ({"custom_id": "x", "method": "POST", "url": CHAT}, "missing_required_parameter", "body"),
    ({**line("x"), "method": "GET"}, "invalid_method", "method"),
    ({**line("x"), "url": "/v1/embeddings"}, "mismatched_url", "url"),
    ({**line("x"), "body": []}, "invalid_request", "body"),
    (line("x", model=""), "missing_required_parameter", "body.model"),
    (line("x", stream=True), "invalid_request", "body.stream"),
    (line("first"), "duplicate_custom_id", "custom_id"),
]


async def test_wrong_lines_are_told_with_their_numbers_and_nothing_is_asked(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with gateway.openai() as client:
        done = await over(client, (await begun(client, [line("first"), b"", *(wrong for wrong, _, _ in WRONG)])).id)
        assert (done.status, done.output_file_id, done.error_file_id) == ("failed", None, None)
        assert done.errors is not None
        assert done.errors.data is not None
        assert [(each.line, each.code, each.param) for each in done.errors.data] == [
            (number, code, param) for number, (_, code, param) in enumerate(WRONG, 3)
        ]
        empty = await over(client, (await begun(client, [])).id)
        assert empty.errors is not None
        assert [each.code for each in empty.errors.data or ()] == ["empty_file"]
        assert fake.asked == 0


async def test_files_are_listed_in_pages_read_and_deleted(gateway: Gateway) -> None:
    async with gateway.openai() as client:
        files = [await uploaded(client, [line(str(number))]) for number in range(5)]
        assert files[0].status == "processed"
        assert files[0].bytes == len(jsonl([line("0")]))
        first = await client.files.list(limit=2, order="asc")
        assert [file.id for file in first.data] == [file.id for file in files[:2]]
        assert [file.id async for file in first] == [file.id for file in files]
        assert [file.id async for file in client.files.list()] == [file.id for file in reversed(files)]
        assert [file.id async for file in client.files.list(purpose="batch_output")] == []
        assert (await client.files.content(files[3].id)).content == jsonl([line("3")])
        gone = await client.files.delete(files[3].id)
        assert (gone.id, gone.deleted) == (files[3].id, True)
        for call in (client.files.retrieve, client.files.content, client.files.delete):
            with pytest.raises(NotFoundError):
                await call(files[3].id)
        assert len([file async for file in client.files.list()]) == 4


async def test_batches_are_listed_in_pages_the_newest_first(gateway: Gateway) -> None:
    async with gateway.openai() as client:
        batches = [await begun(client, [line("a")]) for _ in range(3)]
        ids = [batch.id for batch in reversed(batches)]
        page = await client.batches.list(limit=2)
        assert [batch.id for batch in page.data] == ids[:2]
        assert [batch.id async for batch in page] == ids
        with pytest.raises(NotFoundError):
            await client.batches.retrieve("batch_none")


@pytest.mark.behaviour("DOOR-32")
async def test_nothing_outside_the_folder_of_files_can_be_named(gateway: Gateway) -> None:
    secret = gateway.house.settings.store_path / "files" / "secret"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("SECRET")
    for name in ("secret", "../jackfield.db", "..%2Fjackfield.db", "%2e%2e/jackfield.db", "file-" + "0" * 32, "%00", "é"):
        for path in (name, name + "/content"):
            said = await gateway.http.get(f"/v1/files/{path}")
            assert said.status_code == 404, (path, said.text)
            assert "SECRET" not in said.text
        assert (await gateway.http.delete(f"/v1/files/{name}")).status_code == 404


@pytest.mark.behaviour("DOOR-32")
async def test_what_one_key_left_no_other_finds(tmp_path: Path) -> None:
    secrets = {"KEY_A": "key-of-a-0123456789", "KEY_B": "key-of-b-0123456789"}
    server = {"api_keys": {"a": "env:KEY_A", "b": "env:KEY_B"}}
    async with FakeOpenAI(["small"]) as chat, running_gateway(tmp_path, secrets, server=server) as gateway:
        await gateway.plug(0, "openai-compat", base_url=chat.base_url, model="small")
        base: Any = {"base_url": gateway.url + "/v1", "max_retries": 0, "timeout": 20}
        async with AsyncOpenAI(api_key=secrets["KEY_A"], **base) as a, AsyncOpenAI(api_key=secrets["KEY_B"], **base) as b:
            batch = await over(a, (await begun(a, [line("x")])).id)
            for id_ in (batch.input_file_id, batch.output_file_id or ""):
                assert (await a.files.retrieve(id_)).id == id_
                for call in (b.files.retrieve, b.files.content, b.files.delete):
                    with pytest.raises(NotFoundError):
                        await call(id_)
            with pytest.raises(NotFoundError):
                await b.batches.retrieve(batch.id)
            with pytest.raises(NotFoundError):
                await b.batches.cancel(batch.id)
            with pytest.raises(BadRequestError):
                await b.batches.create(input_file_id=batch.input_file_id, endpoint=CHAT, completion_window="24h")
            assert [found async for found in b.files.list()] == []
            assert [found async for found in b.batches.list()] == []


async def test_a_cancelled_batch_keeps_its_answers_and_frees_its_source(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with gateway.openai() as client:
        fake.behaviour = Behaviour(delay_s=30.0)
        batch = await begun(client, [line(str(number)) for number in range(20)])
        async with asyncio.timeout(WITHIN_S):
            while not fake.asked:
                await asyncio.sleep(0.01)
        with pytest.raises(ConflictError, match="still reads"):
            await client.files.delete(batch.input_file_id)
        said = await client.batches.cancel(batch.id)
        assert said.status in ("cancelling", "cancelled")
        done = await over(client, batch.id)
        assert (done.status, done.output_file_id, done.error_file_id) == ("cancelled", None, None)
        assert done.cancelling_at is not None
        assert done.cancelled_at is not None
        with pytest.raises(BadRequestError, match="nothing to cancel"):
            await client.batches.cancel(batch.id)
        await client.files.delete(batch.input_file_id)
        assert fake.asked <= gateway.house.settings.batches.concurrency
        assert {row.outcome for row in gateway.rows()} == {"cancelled"}


async def test_no_more_lines_at_once_than_the_settings_say(tmp_path: Path) -> None:
    async with FakeOpenAI(["small"]) as fake, running_gateway(tmp_path, batches={"concurrency": 2}) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="small")
        fake.behaviour = Behaviour(delay_s=0.02)
        seen = []
        async with gateway.openai() as client:
            for _ in range(3):
                await begun(client, [line(str(number)) for number in range(8)])
            async with asyncio.timeout(WITHIN_S):
                while not {batch.status async for batch in client.batches.list()} <= set(OVER):
                    slot = gateway.house.registry.slot(0)
                    seen.append(slot.binding.live.in_flight if slot.binding else 0)
                    await asyncio.sleep(0.003)
        assert max(seen) <= 2
        assert fake.asked == 24


async def test_a_line_whose_source_was_busy_is_asked_again(tmp_path: Path) -> None:
    limits = {"gateway": {"concurrency": 1}, "queue_size": 0}
    async with FakeOpenAI(["small"]) as fake, running_gateway(tmp_path, limits=limits) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="small")
        async with gateway.openai() as client:
            done = await over(client, (await begun(client, [line(str(number)) for number in range(6)])).id)
            assert done.request_counts is not None
            assert done.request_counts.completed == 6
            assert fake.asked == 6


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"endpoint": CHAT, "completion_window": "24h"}, "input_file_id"),
    ({"input_file_id": "file-none", "endpoint": CHAT, "completion_window": "24h"}, "input_file_id"),
    ({"input_file_id": 5, "endpoint": CHAT, "completion_window": "24h"}, "input_file_id"),
    ({"input_file_id": "x", "endpoint": "/v1/images/generations", "completion_window": "24h"}, "endpoint"),
    ({"input_file_id": "x", "completion_window": "24h"}, "endpoint"),
    ({"input_file_id": "x", "endpoint": CHAT}, "completion_window"),
    ({"input_file_id": "x", "endpoint": CHAT, "completion_window": "soon"}, "completion_window"),
    ({"input_file_id": "x", "endpoint": CHAT, "completion_window": "31d"}, "completion_window"),
    ({"input_file_id": "x", "endpoint": CHAT, "completion_window": "24h", "metadata": {"a": 1}}, "metadata.a"),
    ({"input_file_id": "x", "endpoint": CHAT, "completion_window": "24h", "metadata": []}, "metadata"),
    (
        {"input_file_id": "x", "endpoint": CHAT, "completion_window": "24h", "output_expires_after": {"anchor": "created_at"}},
        "output_expires_after.seconds",
    ),
]


async def test_a_wrong_order_names_its_field(gateway: Gateway) -> None:
    for body, param in REFUSED:
        said = await gateway.http.post("/v1/batches", json=body)
        assert (said.status_code, said.json()["error"]["param"]) == (400, param), said.text


async def test_uploads_have_bounds(tmp_path: Path) -> None:
    files = {"max_file_bytes": 100, "max_count": 2, "max_bytes": 150}
    async with running_gateway(tmp_path, files=files) as gateway, gateway.openai() as client:
        with pytest.raises(APIStatusError, match=r"files\.max_file_bytes") as refused:
            await client.files.create(file=("in.jsonl", b"x" * 101), purpose="batch")
        assert refused.value.status_code == 413
        one = await client.files.create(file=("in.jsonl", b"x" * 100), purpose="batch")
        with pytest.raises(BadRequestError, match=r"files\.max_bytes"):
            await client.files.create(file=("in.jsonl", b"x" * 51), purpose="batch")
        await client.files.create(file=("in.jsonl", b"x" * 50), purpose="batch")
        with pytest.raises(BadRequestError, match=r"files\.max_count"):
            await client.files.create(file=("in.jsonl", b""), purpose="batch")
        await client.files.delete(one.id)
        soon: Any = {"anchor": "created_at", "seconds": 3600}
        kept = await client.files.create(file=("../../in.jsonl", b""), purpose="batch", expires_after=soon)
        assert (kept.filename, (kept.expires_at or 0) - kept.created_at) == ("in.jsonl", 3600)
        with pytest.raises(BadRequestError, match="batches only"):
            await client.files.create(file=("in.jsonl", b""), purpose="user_data")
        said = await gateway.http.post("/v1/files", data={"purpose": "batch"}, files={"other": b"x"})
        assert (said.status_code, said.json()["error"]["param"]) == (400, "file")
        assert sorted(path.stat().st_mode & 0o777 for path in (tmp_path / "store" / "files").iterdir()) == [0o600, 0o600]


async def test_a_batch_goes_on_after_the_gateway_was_stopped(tmp_path: Path) -> None:
    async with FakeOpenAI(["small"]) as fake:
        async with running_gateway(tmp_path) as gateway:
            await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="small")
            async with gateway.openai() as client:
                fake.behaviour = Behaviour(delay_s=0.05)
                batch = await begun(client, [line(str(number)) for number in range(30)])
                async with asyncio.timeout(WITHIN_S):
                    while fake.asked < 10:
                        await asyncio.sleep(0.01)
        fake.behaviour = Behaviour()
        async with running_gateway(tmp_path) as gateway, gateway.openai() as client:
            done = await over(client, batch.id)
            results = await lines_of(client, done.output_file_id)
            assert [result["custom_id"] for result in results] == [str(number) for number in range(30)]
            good = [row.request_id for row in gateway.rows() if row.outcome == "ok"]
            assert sorted(good) == sorted(result["response"]["request_id"] for result in results)
            assert not list((tmp_path / "store" / "batches").iterdir())


@pytest.mark.behaviour("DOOR-31")
async def test_a_batch_goes_on_after_the_gateway_was_killed_and_nothing_is_booked_twice(tmp_path: Path) -> None:
    async with FakeOpenAI(["small"]) as fake:
        settings = (
            "discovery: {enabled: false}\nplugins: false\n"
            f"slots:\n  0: {{provider: openai-compat, model: small, config: {{base_url: '{fake.base_url}'}}}}\n"
        )
        fake.behaviour = Behaviour(delay_s=0.05)
        async with jackfield_up_beside(tmp_path, settings=settings) as up:
            async with AsyncOpenAI(base_url=up.url + "/v1", api_key="none", max_retries=0, timeout=20) as client:
                batch = await begun(client, [line(str(number)) for number in range(40)])
                async with asyncio.timeout(WITHIN_S):
                    while fake.asked < 12:
                        await asyncio.sleep(0.01)
            await asyncio.to_thread(up.kill)
        asked_before = fake.asked
        assert asked_before < 40
        fake.behaviour = Behaviour()
        async with jackfield_up_beside(tmp_path) as up:
            async with AsyncOpenAI(base_url=up.url + "/v1", api_key="none", max_retries=0, timeout=20) as client:
                done = await over(client, batch.id)
                assert done.status == "completed"
                results = await lines_of(client, done.output_file_id)
            assert [result["custom_id"] for result in results] == [str(number) for number in range(40)]
            rows = await asyncio.to_thread(up.rows)
            good = [row["request_id"] for row in rows if row["outcome"] == "ok"]
            assert sorted(good) == sorted(result["response"]["request_id"] for result in results)
            assert 40 <= fake.asked <= 44
