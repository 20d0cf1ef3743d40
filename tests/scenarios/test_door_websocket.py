"""The WebSocket door under the official client: what is said, what runs side by side, who may come in, what leaving frees."""

import asyncio
import itertools
import json
import logging
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from jackfield.app.compose import House
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway
from talking import WITHIN_S, Talk, address, talking

COUNT = "Count to 9"
NINE = "1, 2, 3, 4, 5, 6, 7, 8, 9"
ENDS = ("inference_complete", "inference_result", "inference_error", "inference_cancelled", "error")
VARYING = {"timestamp", "last_seen_s_ago", "uptime_s"}


async def settled(gateway: Gateway) -> None:
    """Nothing in flight, no upstream connection in use."""
    binding = gateway.house.registry.slot(0).binding
    assert binding is not None
    http = gateway.house.tools.http
    async with asyncio.timeout(WITHIN_S):
        while binding.live.in_flight or http.open_count > http.idle_count:
            await asyncio.sleep(0.01)


async def asked_of(fake: FakeOpenAI, count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while fake.asked < count:
            await asyncio.sleep(0.01)


def is_watched(house: House) -> bool:
    return house.pipeline.watcher is not None or bool(house.backends.listeners)


@pytest.mark.behaviour("WS-01")
async def test_a_client_is_welcomed_and_a_name_used_twice_is_two_clients(gateway: Gateway) -> None:
    async with connect(address(gateway, "me")) as one, connect(address(gateway, "me")) as two:
        first, second = json.loads(await one.recv()), json.loads(await two.recv())
        assert (first["type"], first["status"], first["client_id"]) == ("connection", "connected", "me")
        assert first["topics"] == ["inference", "status", "backend", "queue"]
        assert first["limits"]["requests_at_once"] > 0
        assert first["timestamp"] > 0
        assert second["client_id"] == "me"
        assert first["connection_id"] != second["connection_id"]
        a, b = Talk(one), Talk(two)
        await a.say("inference", request_id="same", model="slot-0", inputs="ping")
        await b.say("inference", request_id="same", model="slot-0", inputs=COUNT)
        assert (await a.hear("inference_result"))["result"] == "pong"
        assert (await b.hear("inference_result"))["result"] == NINE


async def test_a_client_without_a_name_gets_one(gateway: Gateway) -> None:
    async with connect(f"ws://127.0.0.1:{gateway.port}/ws") as socket:
        assert json.loads(await socket.recv())["client_id"].startswith("client-")


@pytest.mark.parametrize("path", ["/", "/v1/chat/completions", "/ws/a/b", "/control/v1/events"])
async def test_other_paths_are_refused_before_anything_is_accepted(gateway: Gateway, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{gateway.port}{path}")
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body)["error"]["code"] == "unknown_path"


@pytest.mark.behaviour("WS-02")
async def test_topics_are_acknowledged_and_unknown_ones_told(gateway: Gateway) -> None:
    async with talking(gateway) as talk:
        ack = await talk.ask("subscribe", "subscribed", topics=["inference", "status", "backend", "queue", "inference", "que"])
        assert ack["topics"] == ["inference", "status", "backend", "queue"]
        assert [error["topic"] for error in ack["errors"]] == ["que"]
        assert "did you mean 'queue'" in ack["errors"][0]["message"]
        assert ack["timestamp"] > 0
        assert (await talk.ask("subscribe", "error", topics="queue"))["param"] == "topics"


@pytest.mark.behaviour("WS-03")
async def test_nothing_is_told_after_unsubscribing(gateway: Gateway) -> None:
    async with talking(gateway) as talk:
        await talk.ask("subscribe", "subscribed", topics=["inference"])
        await talk.ask("inference", "inference_result", model="slot-0", inputs="ping")
        assert [told["event"] for told in talk.told if told["type"] == "event"] == ["started", "ended"]
        assert (await talk.ask("unsubscribe", "unsubscribed", topics=["inference"]))["topics"] == ["inference"]
        talk.told.clear()
        await talk.ask("inference", "inference_result", model="slot-0", inputs="ping")
        await talk.ask("ping", "pong")
        assert not [told for told in talk.told if told["type"] == "event"]
        assert not is_watched(gateway.house)


@pytest.mark.behaviour("WS-04")
async def test_an_inference_is_answered_by_the_source(gateway: Gateway, fake: FakeOpenAI) -> None:
    async with talking(gateway) as talk:
        parameters = {"temperature": 0.5, "system_prompt": "Be brief.", "vendor_field": [1]}
        reply = await talk.ask(
            "inference",
            *ENDS,
            request_id="r1",
            model="slot-0",
            task="text-generation",
            inputs="ping",
            parameters=parameters,
            stream=False,
        )
        assert (reply["type"], reply["request_id"], reply["result"]) == ("inference_result", "r1", "pong")
        assert (reply["model"], reply["task"], reply["finish_reason"]) == ("fake-model", "text-generation", "stop")
        assert reply["usage"]["completion_tokens"] == 1
        assert reply["served"]["slot"] == 0
        assert [told["type"] for told in talk.told[1:]] == ["inference_started", "inference_result"]
    sent = fake.requests[-1].json
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "ping"}]
    assert (sent["temperature"], sent["vendor_field"], sent["model"]) == (0.5, [1], "fake-model")
    row = gateway.rows()[0]
    assert (row.request_id, row.outcome) == (reply["served"]["gateway_request_id"], "ok")


@pytest.mark.behaviour("WS-04")
@pytest.mark.parametrize("missing", ["model", "inputs"])
async def test_what_is_missing_is_told_with_the_request_id(gateway: Gateway, missing: str) -> None:
    fields = {"request_id": "r9", "model": "slot-0", "inputs": "ping"}
    del fields[missing]
    async with talking(gateway) as talk:
        error = await talk.ask("inference", "error", **fields)
        assert error["request_id"] == "r9"
        assert error["param"] == missing
        assert error["message"] == f"Missing required fields: {missing}"


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"model": "slot-3"}, 404, "model"),
        ({"task": "dreaming"}, 400, "task"),
        ({"task": "rerank", "inputs": {"query": "a", "documents": ["b"]}}, 400, "task"),
        ({"task": "text-embedding", "stream": True}, 400, "stream"),
        ({"inputs": 7}, 400, "inputs"),
        ({"parameters": {"temperature": "hot"}}, 400, "temperature"),
    ],
)
async def test_a_request_that_cannot_be_served_ends_with_the_reason(
    gateway: Gateway, fields: dict[str, Any], status: int, param: str
) -> None:
    async with talking(gateway) as talk:
        error = await talk.ask("inference", *ENDS, **{"request_id": 5, "model": "slot-0", "inputs": "x", **fields})
        assert (error["type"], error["request_id"], error["status"]) == ("inference_error", 5, status)
        assert param in error.get("param", "")
        assert error["error"]


async def test_messages_in_and_vectors_out(gateway: Gateway) -> None:
    async with talking(gateway) as talk:
        turns = [{"role": "user", "content": COUNT}]
        for inputs in (turns, {"messages": turns}, {"prompt": COUNT}):
            assert (await talk.ask("inference", *ENDS, model="slot-0", inputs=inputs))["result"] == NINE
        one = await talk.ask("inference", *ENDS, model="slot-0", task="embed", inputs="a text")
        many = await talk.ask("inference", *ENDS, model="slot-0", task="text-embedding", inputs=["a text", "another"])
        assert len(many["result"]) == 2
        assert many["result"][0] == one["result"]
        assert gateway.rows()[0].outcome == "ok"


async def test_a_tool_call_and_reasoning_come_at_the_end(gateway: Gateway) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    asked = {"model": "slot-0", "inputs": "weather?", "parameters": {"tools": [tool], "reasoning_effort": "low"}}
    async with talking(gateway) as talk:
        whole = await talk.ask("inference", *ENDS, **asked)
        streamed = await talk.ask("inference", *ENDS, stream=True, **asked)
        for end in (whole, streamed):
            assert end["finish_reason"] == "tool_calls"
            assert [(call["name"], json.loads(call["arguments"])) for call in end["tool_calls"]] == [
                ("get_weather", {"city": "Paris"})
            ]
        thoughts = "".join(told["chunk"] for told in talk.told if told["type"] == "inference_reasoning")
        assert thoughts == whole["reasoning"] == "Let me think."


@pytest.mark.behaviour("WS-05")
async def test_pieces_come_in_order_and_are_the_whole_answer(gateway: Gateway) -> None:
    async with talking(gateway) as talk:
        whole = await talk.ask("inference", *ENDS, request_id="w", model="slot-0", inputs="Say it in unicode")
        end = await talk.ask("inference", *ENDS, request_id="s", model="slot-0", inputs="Say it in unicode", stream=True)
        pieces = talk.pieces("s")
        assert [piece["index"] for piece in pieces] == list(range(len(pieces)))
        assert len(pieces) > 1
        assert "".join(piece["chunk"] for piece in pieces) == whole["result"] == "héllo – 你好 🙂 done"
        assert (end["type"], end["chunks"], end["finish_reason"]) == ("inference_complete", len(pieces), "stop")
        assert end["usage"] == whole["usage"]


@pytest.mark.parametrize("behaviour", [{"cut_after": 3}, {"error_after": 3}, {"garbage_after": 3}])
async def test_a_stream_that_breaks_is_no_whole_answer(gateway: Gateway, fake: FakeOpenAI, behaviour: Any) -> None:
    fake.behaviour = Behaviour(piece_delay_s=0.02, **behaviour)
    async with talking(gateway) as talk:
        end = await talk.ask("inference", *ENDS, request_id="s", model="slot-0", inputs=COUNT, stream=True)
        assert end["type"] == "inference_error"
        assert end["request_id"] == "s"
        assert talk.pieces("s")
        assert gateway.rows()[0].outcome == end["code"]
        assert (await talk.ask("ping", "pong"))["timestamp"]
    await settled(gateway)


async def test_a_source_that_refuses_is_told_as_it_is_over_http(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(status=429, retry_after="120", message="slow down")
    async with talking(gateway) as talk:
        end = await talk.ask("inference", *ENDS, model="slot-0", inputs=COUNT, stream=True)
        assert (end["type"], end["status"], end["code"]) == ("inference_error", 429, "rate_limit_exceeded")
        assert end["retry_after_s"] == pytest.approx(120, abs=2)


@pytest.mark.behaviour("WS-06")
async def test_two_streams_run_side_by_side(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(piece_delay_s=0.02)
    async with talking(gateway) as talk:
        for name in ("a", "b"):
            await talk.say("inference", request_id=name, model="slot-0", inputs=COUNT, stream=True)
        await talk.hear("inference_complete")
        await talk.hear("inference_complete")
        order = [told["request_id"] for told in talk.told if told["type"] == "inference_chunk"]
        assert sum(one != other for one, other in itertools.pairwise(order)) > 4
        for name in ("a", "b"):
            assert "".join(piece["chunk"] for piece in talk.pieces(name)) == NINE


@pytest.mark.behaviour("WS-06")
@pytest.mark.parametrize("hang", ["before", "inside"])
async def test_cancel_closes_upstream_and_leaves_the_others_alone(gateway: Gateway, fake: FakeOpenAI, hang: Any) -> None:
    fake.script.append(Behaviour(hang=hang))
    async with talking(gateway) as talk:
        await talk.say("inference", request_id="a", model="slot-0", inputs=COUNT, stream=True)
        await asked_of(fake, 1)
        await talk.say("inference", request_id="ab", model="slot-0", inputs=COUNT, stream=True)
        began = perf_counter()
        await talk.say("cancel", request_id="a")
        await talk.hear("inference_cancelled", request_id="a")
        async with asyncio.timeout(1):
            await fake.disconnected.wait()
        assert perf_counter() - began < 1
        if not any(told["type"] == "inference_complete" for told in talk.told):
            await talk.hear("inference_complete", request_id="ab")
        again = await talk.ask("cancel", "error", request_id="a")
        assert (again["code"], again["request_id"]) == ("unknown_request", "a")
        assert (await talk.ask("inference", *ENDS, request_id="a", model="slot-0", inputs="ping"))["result"] == "pong"
    await settled(gateway)
    assert "cancelled" in [row.outcome for row in gateway.rows()]


async def test_an_id_in_use_is_refused_and_its_request_goes_on(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(piece_delay_s=0.02)
    async with talking(gateway) as talk:
        await talk.say("inference", request_id="a", model="slot-0", inputs=COUNT, stream=True)
        twice = await talk.ask("inference", "error", request_id="a", model="slot-0", inputs="ping")
        assert twice["code"] == "duplicate_request_id"
        assert (await talk.hear(*ENDS))["type"] == "inference_complete"
        assert "".join(piece["chunk"] for piece in talk.pieces("a")) == NINE


async def test_so_many_requests_at_once_and_no_more(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(hang="before")
    async with talking(gateway) as talk:
        most = talk.told[0]["limits"]["requests_at_once"]
        for number in range(most + 1):
            await talk.say("inference", request_id=number, model="slot-0", inputs=COUNT)
        refused = await talk.hear("inference_error")
        assert (refused["request_id"], refused["status"], refused["code"]) == (most, 429, "too_many_requests")
        assert (await talk.ask("ping", "pong", id="p"))["id"] == "p"
    await settled(gateway)


@pytest.mark.behaviour("WS-07")
async def test_status_is_the_backend_part_of_the_status_over_http(gateway: Gateway) -> None:
    async with talking(gateway) as talk:
        await talk.ask("inference", *ENDS, model="slot-0", inputs="ping")
        told = await talk.ask("status", "status")
        over_http = (await gateway.http.get("/status")).json()["backends"]
        assert _lasting(told["backend_status"]) == _lasting(over_http)
        assert told["backend_status"]["total_requests"] == 1
        assert told["detail_level"] == "full"
        brief = await talk.ask("status", "status", details="summary")
        assert "backends" not in brief["backend_status"]


def _lasting(value: Any) -> Any:
    """Without what differs from one moment to the next."""
    if isinstance(value, dict):
        return {name: _lasting(item) for name, item in value.items() if name not in VARYING}
    return [_lasting(item) for item in value] if isinstance(value, list) else value


@pytest.mark.behaviour("WS-08")
async def test_a_ping_is_answered_while_answers_are_made(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.script += [Behaviour(hang="before"), Behaviour(piece_delay_s=0.05)]
    async with talking(gateway) as talk:
        for name in ("hangs", "runs"):
            await talk.say("inference", request_id=name, model="slot-0", inputs="Count to 60", stream=True)
        await talk.hear("inference_chunk")
        times = []
        for _ in range(5):
            began = perf_counter()
            await talk.ask("ping", "pong")
            times.append(perf_counter() - began)
        assert sorted(times)[2] < 0.1
        assert not [told for told in talk.told if told["type"] in ENDS]


@pytest.mark.behaviour("WS-09")
async def test_subscribers_hear_of_a_source_that_dies(tmp_path: Path) -> None:
    async with FakeOpenAI() as fake, running_gateway(tmp_path, routing={"health_interval_s": 1.0}) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        async with talking(gateway, "one") as talk, talking(gateway, "other") as other:
            assert not is_watched(gateway.house)
            await talk.ask("subscribe", "subscribed", topics=["backend", "status"])
            await fake.stop()
            await talk.ask("inference", "inference_error", model="slot-0", inputs=COUNT)
            await other.ask("inference", "inference_error", model="slot-0", inputs=COUNT)
            while True:
                news = await talk.hear("event", topic="backend")
                if news["data"]["status"] in ("unhealthy", "offline"):
                    break
            assert news["event"] == "status_changed"
            assert (news["data"]["slot"], news["data"]["provider"]) == (0, "openai-compat")
            assert news["data"]["before"] != news["data"]["status"]
            assert news["data"]["reason"]
            sums = await talk.hear("event", topic="status", event="backends_changed")
            assert sums["data"]["backends_by_status"]
            await gateway.house.registry.unplug(0)
            assert (await talk.hear("event", topic="status", event="panel_changed"))["data"]["slots"] == [0]
            await other.ask("ping", "pong")
            assert not [told for told in other.told if told["type"] == "event"]
        async with asyncio.timeout(WITHIN_S):
            while is_watched(gateway.house):
                await asyncio.sleep(0.01)


@pytest.mark.behaviour("WS-09")
async def test_subscribers_hear_how_many_wait(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(hang="before")
    async with talking(gateway, "one") as talk:
        await talk.ask("subscribe", "subscribed", topics=["queue"])
        assert (await talk.hear("event"))["data"]["depth"] == 0
        async with talking(gateway, "other") as other:
            for _ in range(2):
                await other.say("inference", model="slot-0", inputs=COUNT)
            await asked_of(fake, 2)
            while (await talk.hear("event", topic="queue"))["data"]["depth"] < 2:
                pass
            assert sum(talk.told[-1]["data"]["backends"].values()) == 2
        while (await talk.hear("event", topic="queue"))["data"]["depth"]:
            pass


@pytest.mark.behaviour("WS-10")
async def test_fifty_clients_and_half_of_them_leave(gateway: Gateway, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(hang="inside", pieces_before=2)
    sockets = [await connect(address(gateway, f"client-{number}")) for number in range(50)]
    talks = [Talk(socket) for socket in sockets]
    tasks_before = len(asyncio.all_tasks())
    for talk in talks:
        await talk.say("inference", request_id="r", model="slot-0", inputs=COUNT, stream=True)
    for talk in talks:
        await talk.hear("inference_chunk")
    binding = gateway.house.registry.slot(0).binding
    assert binding is not None
    assert binding.live.in_flight == 50
    for number, talk in enumerate(talks[:25]):
        if number % 2:
            talk.socket.transport.abort()
        else:
            await talk.socket.close()
    async with asyncio.timeout(WITHIN_S):
        while binding.live.in_flight > 25:
            await asyncio.sleep(0.01)
    for talk in talks[25:]:
        await talk.ask("ping", "pong")
    assert binding.live.in_flight == 25
    await asyncio.gather(*(talk.socket.close() for talk in talks[25:]))
    await settled(gateway)
    async with asyncio.timeout(WITHIN_S):
        while len(asyncio.all_tasks()) > tasks_before:
            await asyncio.sleep(0.01)


@pytest.mark.behaviour("WS-11")
@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        ("garbage", "invalid_json"),
        ("", "invalid_json"),
        ("[]", "not_an_object"),
        ("{}", "unknown_type"),
        ('{"type": "dance"}', "unknown_type"),
        ('{"type": "cancel"}', "invalid_message"),
        ('{"type": "cancel", "request_id": 1.5}', "invalid_message"),
        (b"\xff\xfe", "invalid_json"),
        ("[" * 5000, "not_an_object"),
        ('{"type": "inference", "inputs": ' + "[" * 5000, "invalid_json"),
    ],
)
async def test_what_is_no_message_is_told_and_the_connection_stays(gateway: Gateway, garbage: Any, code: str) -> None:
    async with talking(gateway) as talk:
        await talk.socket.send(garbage)
        error = await talk.hear()
        assert (error["type"], error["code"]) == ("error", code)
        assert (await talk.ask("ping", "pong"))["timestamp"] > 0


async def test_a_message_over_the_limit_ends_the_connection_with_a_reason(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, server={"max_body_bytes": 4096}) as gateway, talking(gateway) as talk:
        assert talk.told[0]["limits"]["message_max_bytes"] == 4096
        await talk.say("ping", padding="x" * 3000)
        await talk.hear("pong")
        await talk.say("ping", padding="x" * 5000)
        with pytest.raises(ConnectionClosed) as closed:
            await talk.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("form", ["authorization", "x-api-key", "?key=", "?token="])
async def test_every_form_of_key_is_checked_before_anything_is_accepted(tmp_path: Path, form: str) -> None:
    def shown(key: str) -> tuple[str, dict[str, str]]:
        if form.startswith("?"):
            return f"{form}{key}", {}
        return "", {form: f"Bearer {key}" if form == "authorization" else key}

    settings: dict[str, Any] = {"server": {"api_key": "env:GATEWAY_KEY"}}
    async with running_gateway(tmp_path, {"GATEWAY_KEY": "right-key"}, **settings) as gateway:
        for key, status in (("", 401), ("wrong-key", 403)):
            query, headers = shown(key) if key else ("", {})
            with pytest.raises(InvalidStatus) as refused:
                await connect(address(gateway, query=query), additional_headers=headers)
            assert refused.value.response.status_code == status
        query, headers = shown("right-key")
        async with talking(gateway, query=query, additional_headers=headers) as talk:
            await talk.ask("ping", "pong")


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"origin": "null"}])
async def test_foreign_pages_are_refused(gateway: Gateway, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(address(gateway), additional_headers=headers)
    assert refused.value.response.status_code == 403
    async with talking(gateway, additional_headers={"origin": f"http://localhost:{gateway.port}"}) as talk:
        await talk.ask("ping", "pong")


async def test_a_key_in_the_address_reaches_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings: dict[str, Any] = {"server": {"api_key": "env:GATEWAY_KEY"}}
    async with running_gateway(tmp_path, {"GATEWAY_KEY": "right-key"}, **settings) as gateway:
        async with talking(gateway, query="?key=right-key", logger=_mute()) as talk:
            await talk.ask("ping", "pong")
        with pytest.raises(InvalidStatus):
            await connect(address(gateway, query="?key=almost-right"), logger=_mute())
    assert "right-key" not in caplog.text
    assert "almost-right" not in caplog.text


def _mute() -> Any:
    quiet = logging.getLogger("tests.client.of.its.own")
    quiet.disabled = True
    return quiet


async def test_stopping_the_gateway_ends_every_connection(tmp_path: Path, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(hang="before")
    async with running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="fake-model")
        talk = Talk(await connect(address(gateway)))
        await talk.say("subscribe", topics=["status", "queue"])
        await talk.say("inference", model="slot-0", inputs=COUNT)
        await asked_of(fake, 1)
    with pytest.raises(ConnectionClosed) as closed:
        await talk.hear("nothing more")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert fake.disconnected.is_set()
