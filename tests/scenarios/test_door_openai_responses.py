"""The Responses API with the official SDK as the client, over a source that speaks it and over one that does not."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types.responses import ResponseCustomToolCall

from jackfield.testing.answers import Answer
from jackfield.testing.fake_openai import FakePlatform
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

KEY = "sk-canary-0123456789abcdef"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
PASSED, TRANSLATED = "slot-0", "slot-1"
BOTH = pytest.mark.parametrize("model", [PASSED, TRANSLATED], ids=["passed through", "translated"])


@contextlib.asynccontextmanager
async def sources(folder: Path, **fields: Any) -> AsyncIterator[tuple[Gateway, FakePlatform, FakeOpenAI, AsyncOpenAI]]:
    """Slot 0 speaks Responses, slot 1 chat only."""
    async with (
        FakePlatform(["gpt-4o"], require_key=KEY) as platform,
        FakeOpenAI(["small"]) as chat,
        running_gateway(folder, {"MY_KEY": KEY}, **fields) as gateway,
    ):
        await gateway.plug(0, "openai", base_url=platform.base_url, api_key="env:MY_KEY", model="gpt-4o")
        await gateway.plug(1, "openai-compat", base_url=chat.base_url, model="small")
        async with gateway.openai() as client:
            yield gateway, platform, chat, client


@BOTH
async def test_a_plain_answer(tmp_path: Path, model: str) -> None:
    async with sources(tmp_path) as (gateway, platform, chat, client):
        said = await client.responses.create(model=model, input="Count to 3", instructions="Be brief.")
        assert (said.output_text, said.status) == ("1, 2, 3", "completed")
        assert said.usage is not None
        assert said.usage.output_tokens == 3
        assert gateway.rows()[0].completion_tokens == 3
        if model == PASSED:
            sent = platform.requests[-1]
            assert sent.path.endswith("/responses")
            assert (sent.json["input"], sent.json["instructions"], sent.json["model"]) == ("Count to 3", "Be brief.", "gpt-4o")
        else:
            assert said.id.startswith("resp_")
            assert said.instructions == "Be brief."
            assert [turn["role"] for turn in chat.requests[-1].json["messages"]] == ["system", "user"]


@BOTH
async def test_a_stream_tells_every_event_and_the_whole(tmp_path: Path, model: str) -> None:
    async with sources(tmp_path) as (_, _, _, client):
        async with client.responses.stream(model=model, input="Count to 3") as stream:
            events = [event async for event in stream]
            whole = await stream.get_final_response()
        kinds = [event.type for event in events]
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == whole.output_text == "1, 2, 3"
        assert [event.sequence_number for event in events] == list(range(len(events)))


@BOTH
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_a_tool_is_called_and_its_result_answered_by_id(tmp_path: Path, model: str, streamed: bool) -> None:
    async with sources(tmp_path) as (_, platform, _, client):
        asked: Any = {"model": model, "input": "What is the weather in Paris?", "tools": [WEATHER]}
        if streamed:
            async with client.responses.stream(**asked) as stream:
                said: Any = await stream.get_final_response()
        else:
            said = await client.responses.create(**asked)
        (call,) = [item for item in said.output if item.type == "function_call"]
        assert call.name == "get_weather"
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        more = await client.responses.create(model=model, previous_response_id=said.id, input=[result], tools=[WEATHER])
        assert "sunny" in more.output_text
        if model == PASSED:
            sent = platform.requests[-1].json
            assert "previous_response_id" not in sent
            assert [item["type"] for item in sent["input"]] == ["message", "function_call", "function_call_output"]


async def test_a_conversation_goes_on_at_another_source(tmp_path: Path) -> None:
    async with sources(tmp_path) as (_, _, chat, client):
        first = await client.responses.create(model=PASSED, input="Count to 3")
        second = await client.responses.create(model=TRANSLATED, previous_response_id=first.id, input="Count to 2")
        third = await client.responses.create(model=TRANSLATED, previous_response_id=second.id, input="ping")
        assert (second.output_text, third.output_text) == ("1, 2", "pong")
        assert second.previous_response_id == first.id
        told = [(turn["role"], turn["content"]) for turn in chat.requests[-1].json["messages"]]
        assert told == [
            ("user", "Count to 3"),
            ("assistant", "1, 2, 3"),
            ("user", "Count to 2"),
            ("assistant", "1, 2"),
            ("user", "ping"),
        ]


@BOTH
async def test_what_was_kept_can_be_read_listed_and_deleted(tmp_path: Path, model: str) -> None:
    async with sources(tmp_path) as (_, _, _, client):
        said = await client.responses.create(model=model, input="Count to 3")
        again = await client.responses.retrieve(said.id)
        assert again.output_text == "1, 2, 3"
        items = await client.responses.input_items.list(said.id)
        assert [item.content[0].text for item in items.data if item.type == "message"] == ["Count to 3"]  # type: ignore[union-attr]
        with pytest.raises(BadRequestError, match="background"):
            await client.responses.cancel(said.id)
        await client.responses.delete(said.id)
        with pytest.raises(NotFoundError):
            await client.responses.retrieve(said.id)
        with pytest.raises(NotFoundError):
            await client.responses.delete(said.id)


async def test_what_one_key_was_told_no_other_reads(tmp_path: Path) -> None:
    secrets = {"KEY_A": "key-of-a-0123456789", "KEY_B": "key-of-b-0123456789"}
    server = {"api_keys": {"a": "env:KEY_A", "b": "env:KEY_B"}}
    async with FakeOpenAI(["small"]) as chat, running_gateway(tmp_path, secrets, server=server) as gateway:
        await gateway.plug(0, "openai-compat", base_url=chat.base_url, model="small")
        base: Any = {"base_url": gateway.url + "/v1", "max_retries": 0, "timeout": 20}
        async with AsyncOpenAI(api_key=secrets["KEY_A"], **base) as a, AsyncOpenAI(api_key=secrets["KEY_B"], **base) as b:
            said = await a.responses.create(model="slot-0", input="Count to 3")
            assert (await a.responses.retrieve(said.id)).id == said.id
            with pytest.raises(NotFoundError):
                await b.responses.retrieve(said.id)
            with pytest.raises(BadRequestError) as refused:
                await b.responses.create(model="slot-0", input="ping", previous_response_id=said.id)
            assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")


async def test_store_false_keeps_nothing(tmp_path: Path) -> None:
    async with sources(tmp_path) as (_, platform, _, client):
        for model in (PASSED, TRANSLATED):
            said = await client.responses.create(model=model, input="ping", store=False)
            with pytest.raises(NotFoundError):
                await client.responses.retrieve(said.id)
        assert platform.requests[-1].json["store"] is False


async def test_a_form_of_answer_and_reasoning_reach_either_source(tmp_path: Path) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "it", "schema": {"type": "object"}, "strict": True}}
    async with sources(tmp_path) as (_, platform, chat, client):
        for model in (PASSED, TRANSLATED):
            asked: Any = {"text": form, "reasoning": {"effort": "low"}, "max_output_tokens": 50}
            await client.responses.create(model=model, input="ping", **asked)
        assert platform.requests[-1].json["text"] == form
        sent = chat.requests[-1].json
        assert sent["response_format"]["json_schema"]["name"] == "it"
        assert sent["reasoning_effort"] == "low"
        assert 50 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "input"),
    ({"input": 5}, "input"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": "x", "tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"input": "x", "tools": [WEATHER], "tool_choice": {"type": "web_search"}}, "tool_choice"),
    ({"input": "x", "conversation": "conv_1"}, "conversation"),
    ({"input": "x", "background": True}, "background"),
    ({"input": "x", "previous_response_id": "resp_none"}, "previous_response_id"),
    ({"input": "x", "previous_response_id": 5}, "previous_response_id"),
    ({"input": "x", "store": "yes"}, "store"),
]


async def test_what_cannot_be_done_is_named_and_nobody_is_asked(tmp_path: Path) -> None:
    async with sources(tmp_path) as (gateway, _, chat, _):
        for fields, param in REFUSED:
            said = await gateway.http.post("/v1/responses", json={"model": TRANSLATED, **fields})
            assert (said.status_code, said.json()["error"]["param"]) == (400, param), said.text
        assert not [request for request in chat.requests if request.method == "POST"]


async def test_tools_of_the_vendor_are_passed_to_it_and_left_out_where_they_were_only_an_offer(tmp_path: Path) -> None:
    async with sources(tmp_path) as (_, platform, chat, client):
        search: Any = {"type": "web_search"}
        await client.responses.create(model=PASSED, input="ping", tools=[search])
        assert platform.requests[-1].json["tools"] == [search]
        await client.responses.create(model=TRANSLATED, input="ping", tools=[WEATHER, search])
        assert [tool["type"] for tool in chat.requests[-1].json["tools"]] == ["function"]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
async def test_functions_in_a_namespace_are_called_where_namespaces_are_unknown(tmp_path: Path, streamed: bool) -> None:
    """As Codex offers the tools of its MCP servers."""
    async with sources(tmp_path) as (_, platform, chat, client):
        sky: Any = {"type": "namespace", "name": "mcp__sky", "description": "The sky.", "tools": [WEATHER]}
        question = "What is the weather in Paris?"
        if streamed:
            async with client.responses.stream(model=TRANSLATED, input=question, tools=[sky]) as stream:
                said: Any = await stream.get_final_response()
        else:
            said = await client.responses.create(model=TRANSLATED, input=question, tools=[sky])
        (call,) = said.output
        assert (call.type, call.name, call.namespace) == ("function_call", "get_weather", "mcp__sky")
        assert chat.requests[-1].json["tools"][0]["function"]["name"] == "mcp__sky__get_weather"
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        answer = await client.responses.create(model=TRANSLATED, input=[result], previous_response_id=said.id, tools=[sky])
        assert "sunny" in answer.output_text
        called = chat.requests[-1].json["messages"][-2]["tool_calls"][0]
        assert (called["function"]["name"], "namespace" in called) == ("mcp__sky__get_weather", False)
        await client.responses.create(model=PASSED, input="ping", tools=[sky])
        assert platform.requests[-1].json["tools"] == [sky]


class Patcher(FakeOpenAI):
    """Calls the one function that it is offered with a text, and repeats the result when it has it."""

    def _continued(self, body: Mapping[str, Any]) -> Answer:
        if body["messages"][-1]["role"] == "tool":
            return Answer(f"so: {body['messages'][-1]['content']}")
        name = body["tools"][0]["function"]["name"]
        return Answer("", tool_calls=((name, json.dumps({"input": PATCH_TEXT})),), finish_reason="tool_calls")


PATCH_TEXT = '*** Begin Patch\n+print("ö")\n*** End Patch'
PATCH: Any = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin"},
}


@pytest.mark.behaviour("DOOR-41")
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("in_namespace", [False, True], ids=["alone", "in a namespace"])
async def test_a_freeform_tool_is_called_where_only_functions_are_known(
    tmp_path: Path, streamed: bool, in_namespace: bool
) -> None:
    """As Codex offers its `apply_patch`."""
    tool: Any = {"type": "namespace", "name": "files", "description": "Files.", "tools": [PATCH]} if in_namespace else PATCH
    async with Patcher(["small"]) as chat, running_gateway(tmp_path) as gateway, gateway.openai() as client:
        await gateway.plug(0, "openai-compat", base_url=chat.base_url, model="small")
        asked: Any = {"model": "slot-0", "tools": [tool]}
        if streamed:
            async with client.responses.stream(input="Patch it.", **asked) as stream:
                events: list[Any] = [event async for event in stream]
                said = await stream.get_final_response()
            text = "".join(event.delta for event in events if event.type == "response.custom_tool_call_input.delta")
            (done,) = [event for event in events if event.type == "response.custom_tool_call_input.done"]
            assert (text, done.input) == (PATCH_TEXT, PATCH_TEXT)
        else:
            said = await client.responses.create(input="Patch it.", **asked)
        (call,) = said.output
        assert isinstance(call, ResponseCustomToolCall)
        assert (call.name, call.input, call.namespace) == ("apply_patch", PATCH_TEXT, "files" if in_namespace else None)
        offered = chat.requests[-1].json["tools"][0]["function"]
        assert "start: begin" in offered["description"]
        result: Any = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
        answer = await client.responses.create(input=[result], previous_response_id=said.id, **asked)
        assert answer.output_text == "so: done"
        told, heard = chat.requests[-1].json["messages"][-2:]
        assert json.loads(told["tool_calls"][0]["function"]["arguments"]) == {"input": PATCH_TEXT}
        assert told["tool_calls"][0]["function"]["name"] == offered["name"]
        assert (heard["role"], heard["tool_call_id"]) == ("tool", call.call_id)


@BOTH
async def test_tokens_are_counted_without_asking_for_an_answer(tmp_path: Path, model: str) -> None:
    async with sources(tmp_path) as (gateway, platform, chat, client):
        first = await client.responses.create(model=model, input="Count to 3")
        asked = len(platform.requests) + len(chat.requests)
        short = await client.responses.input_tokens.count(model=model, input="ping")
        told: Any = {"input": "ping", "instructions": "Be brief.", "tools": [WEATHER, PATCH]}
        long = await client.responses.input_tokens.count(model=model, previous_response_id=first.id, **told)
        assert (short.object, 0 < short.input_tokens < long.input_tokens) == ("response.input_tokens", True)
        said = await gateway.http.post("/v1/responses/input_tokens", json={"model": model, "input": 5})
        assert (said.status_code, said.json()["error"]["param"]) == (400, "input")
        assert len(platform.requests) + len(chat.requests) == asked
        assert len(gateway.rows()) == 1


async def test_a_broken_stream_ends_in_the_dialects_error_and_is_not_kept(tmp_path: Path) -> None:
    async with sources(tmp_path, routing={"retries": 0}) as (gateway, platform, chat, client):
        platform.behaviour, chat.behaviour = Behaviour(cut_after=6), Behaviour(cut_after=3)
        for model in (PASSED, TRANSLATED):
            body = {"model": model, "input": "Count to 9", "stream": True}
            said = await gateway.http.post("/v1/responses", json=body)
            last = said.text.rstrip().rpartition("\n\n")[2]
            assert last.startswith("event: error"), said.text
            assert "response.completed" not in said.text
            with pytest.raises(NotFoundError):
                await client.responses.retrieve(json.loads(said.text.split("data: ")[1].split("\n")[0])["response"]["id"])
