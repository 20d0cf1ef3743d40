"""The handle on a slot: everything a person can ask of a source, the same for every one, on a real fake upstream."""

import asyncio
import json
import logging
from timeit import timeit
from typing import Any

import psutil
import pytest

from jackfield.core.contracts import PROVIDER_KINDS
from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    ContextOverflow,
    JackfieldError,
    Malformed,
    NotSupported,
    RateLimited,
    TimedOut,
    Unavailable,
)
from jackfield.core.events import Finished, Started, UsageReported
from jackfield.core.messages import format_messages, text_message
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest, Generation
from jackfield.money.prices import PriceTable, parse_prices
from jackfield.slots.completion import HealthState
from jackfield.slots.handle import SlotAdapter
from jackfield.slots.registry import ProviderRegistry
from jackfield.testing.fakes import Behaviour, FakeOpenAI

IMAGE = "data:image/png;base64,iVBORw0KGgo="
COUNT = "1, 2, 3, 4, 5"


async def handle_on(panel: ProviderRegistry, fake: FakeOpenAI, provider: str = "openai-compat", **config: Any) -> SlotAdapter:
    await panel.plug(0, provider, {"base_url": fake.base_url, **config})
    adapter = panel.get_adapter(0)
    assert isinstance(adapter, SlotAdapter)
    return adapter


@pytest.fixture
async def handle(panel: ProviderRegistry, fake: FakeOpenAI) -> SlotAdapter:
    return await handle_on(panel, fake)


@pytest.fixture
async def scripted(panel: ProviderRegistry) -> SlotAdapter:
    await panel.plug(5, "scripted", {"text": "one two three", "replies": [{"match": "^ping", "text": "pong"}]})
    adapter = panel.get_adapter(5)
    assert isinstance(adapter, SlotAdapter)
    return adapter


@pytest.mark.behaviour("ADPT-01", "ADPT-02")
async def test_identity_comes_from_the_provider(handle: SlotAdapter, scripted: SlotAdapter) -> None:
    assert (handle.provider_id, handle.provider_type, handle.display_name) == (
        "openai-compat",
        "api",
        handle.binding.info.display_name,
    )
    assert (scripted.provider_id, scripted.provider_type) == ("scripted", "local")
    assert {handle.provider_type, scripted.provider_type} <= set(PROVIDER_KINDS)


@pytest.mark.behaviour("ADPT-12", "ADPT-29")
async def test_forward_and_generate_give_the_text(handle: SlotAdapter, scripted: SlotAdapter) -> None:
    assert await handle.forward("hi") == await handle.generate("hi") == "Hello there! How can I help you today?"
    assert await scripted.forward("ping") == "pong"
    assert [piece async for piece in scripted.generate_stream("x")] == ["one ", "two ", "three"]


@pytest.mark.behaviour("ADPT-24")
async def test_a_completion_has_all_that_is_known(handle: SlotAdapter) -> None:
    done = await handle.complete(ChatRequest(format_messages("Count to 5")))
    assert (done.text, done.finish_reason, done.model, done.provider) == (COUNT, "stop", "fake-model", "openai-compat")
    assert done.usage is not None
    assert done.usage.completion_tokens == 5
    assert done.latency_ms > 0
    assert done.raw.text == done.text == await handle.forward("Count to 5")
    assert done.warnings == ()


@pytest.mark.behaviour("ADPT-03", "ADPT-16")
async def test_a_stream_is_the_plain_answer_in_pieces(handle: SlotAdapter) -> None:
    pieces = [piece async for piece in handle.stream("Count to 5")]
    assert len(pieces) >= 2
    assert "".join(pieces) == COUNT


@pytest.mark.behaviour("ADPT-16", "ADPT-28")
async def test_leaving_a_stream_early_closes_the_response(handle: SlotAdapter, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(piece_delay_s=0.02)
    stream = handle.stream("Count to 50")
    async for _ in stream:
        break
    await stream.aclose()
    await asyncio.wait_for(fake.disconnected.wait(), 1)
    assert handle.binding.live.in_flight == 0


@pytest.mark.behaviour("ADPT-28")
async def test_cancelling_reaches_the_source_within_a_second(handle: SlotAdapter, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(hang="before")
    asking = asyncio.create_task(handle.forward("Count to 50"))
    await asyncio.wait_for(fake.arrived.wait(), 5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(fake.disconnected.wait(), 1)
    assert handle.binding.live.in_flight == 0
    assert handle.metrics.last_outcome == "cancelled"
    assert handle.metrics.failures == 0


@pytest.mark.behaviour("ADPT-28")
@pytest.mark.parametrize("hang", ["before", "inside"])
async def test_every_call_takes_a_timeout(handle: SlotAdapter, fake: FakeOpenAI, hang: Any) -> None:
    fake.behaviour = Behaviour(hang=hang, everywhere=True)
    with pytest.raises(TimedOut, match=r"0\.05 s"):
        async for _ in handle.stream("Count to 50", timeout_s=0.05):
            pass
    if hang == "before":
        with pytest.raises(TimedOut):
            await handle.forward("Count to 50", timeout=0.05)
        with pytest.raises(TimedOut):
            await handle.embed("x", timeout_s=0.05)
        with pytest.raises(TimedOut):
            await handle.list_models(timeout_s=0.05)
        assert (await handle.health(timeout_s=0.05)).status is HealthState.UNHEALTHY
    assert handle.binding.live.in_flight == 0


@pytest.mark.behaviour("ADPT-25")
async def test_typed_events_end_with_usage_and_a_reason(handle: SlotAdapter) -> None:
    events = [
        event async for event in handle.stream_events(ChatRequest(format_messages("ping"), stream=True, include_usage=True))
    ]
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stop"
    assert any(isinstance(event, UsageReported) for event in events)


@pytest.mark.behaviour("ADPT-25")
async def test_tool_calls_are_put_together(handle: SlotAdapter) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    done = await handle.ask("What is the weather in Paris?", tools=[tool])
    assert done.finish_reason == "tool_calls"
    assert [(call.name, json.loads(call.arguments)) for call in done.tool_calls] == [("get_weather", {"city": "Paris"})]


@pytest.mark.behaviour("ADPT-04", "ADPT-14", "ADPT-15")
async def test_embeddings_where_there_are_some(panel: ProviderRegistry, fake: FakeOpenAI, handle: SlotAdapter) -> None:
    assert handle.supports_embeddings
    vector = await handle.embed("x")
    assert len(vector) == len(await handle.embed("a longer text")) == fake.dimensions
    assert all(isinstance(number, float) for number in vector)
    assert json.loads(await handle.forward("x", format="embedding")) == vector
    groq = await handle_on(panel, fake, "groq", api_key="gsk_0123456789abcdefghij")
    assert not groq.supports_embeddings
    with pytest.raises(NotSupported, match=r"^groq: .*embedding"):
        await groq.embed("x")


@pytest.mark.behaviour("ADPT-05")
async def test_images_only_for_who_can_see(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    blind = await handle_on(panel, fake, vision=False)
    sent = fake.completions
    assert not blind.supports_images
    with pytest.raises(NotSupported, match="takes no images"):
        await blind.forward("what is this?", images=[IMAGE])
    assert fake.completions == sent
    seeing = await handle_on(panel, fake, vision=True)
    assert seeing.supports_images
    assert await seeing.forward("what is this?", images=[IMAGE]) == "I see an image."
    assert fake.last.json["messages"][-1]["content"][1]["image_url"]["url"] == IMAGE


@pytest.mark.behaviour("ADPT-06")
async def test_what_cannot_fit_is_refused_before_any_request(panel: ProviderRegistry) -> None:
    async with FakeOpenAI(models=({"id": "small", "context_length": 100}, {"id": "big", "context_length": 1000})) as fake:
        handle = await handle_on(panel, fake, model="small")
        assert handle.max_context == 100
        sent = len(fake.requests)
        with pytest.raises(ContextOverflow, match="100 tokens"):
            await handle.forward("word " * 400)
        with pytest.raises(ContextOverflow):
            await handle.forward("hi", max_tokens=101)
        assert len(fake.requests) == sent
        assert await handle.forward("ping", max_tokens=50) == "pong"
        assert {model["id"]: model["context_length"] for model in await handle.list_models()} == {"small": 100, "big": 1000}


@pytest.mark.behaviour("ADPT-07", "ADPT-08")
async def test_the_record_has_the_flags_and_more(handle: SlotAdapter) -> None:
    record = handle.capabilities
    assert (record.streaming, record.embeddings, record.images, record.max_context) == (
        handle.supports_streaming,
        handle.supports_embeddings,
        handle.supports_images,
        handle.max_context,
    )
    assert record.default_model == "fake-model"
    assert set(handle.get_info()["capabilities"]) == set(Capabilities.__struct_fields__)


@pytest.mark.behaviour("ADPT-09")
async def test_connecting_is_true_only_if_it_is_ready(panel: ProviderRegistry, handle: SlotAdapter, fake: FakeOpenAI) -> None:
    assert await handle.connect() is True
    states = [handle.is_connected]
    async with FakeOpenAI(models=("other",)) as other:
        assert await handle.connect({"base_url": other.base_url}) is True
        assert await handle.forward("ping") == "pong"
        assert other.completions == 1
        assert panel.get_adapter(0).binding is handle.binding  # type: ignore[union-attr]
    assert await handle.connect() is False
    assert [*states, handle.is_connected] == [True, False]
    with pytest.raises(Unavailable):
        await handle.connect(strict=True)
    before = handle.binding
    assert await handle.connect({"base_url": "http://127.0.0.1:1/v1"}) is False
    assert handle.binding is before
    with pytest.raises(BadRequest, match="unknown setting"):
        await handle.connect({"bas_url": "x"}, strict=True)


@pytest.mark.behaviour("ADPT-10")
async def test_disconnecting_twice_is_quiet_and_empties_the_slot(panel: ProviderRegistry, handle: SlotAdapter) -> None:
    await handle.disconnect()
    await handle.disconnect()
    assert panel.slot(0).is_empty
    assert not handle.is_available()
    assert (await handle.health()).status is HealthState.OFFLINE
    with pytest.raises(JackfieldError, match="unplugged"):
        await handle.forward("ping")


@pytest.mark.behaviour("ADPT-11")
async def test_availability_is_told_from_memory(panel: ProviderRegistry, handle: SlotAdapter, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(everywhere=True, hang="before")
    assert handle.is_available()
    assert min(timeit(handle.is_available, number=100) for _ in range(3)) / 100 < 0.001
    age = handle.available_age_s
    assert age is not None
    assert 0 <= age < 60
    await fake.stop()
    assert (await handle.health()).status is HealthState.UNHEALTHY
    assert not handle.is_available()
    assert panel.slot(0).problem
    fake.behaviour = Behaviour()
    async with fake:
        assert (await handle.health()).status is HealthState.HEALTHY
        assert handle.is_available()
        assert panel.slot(0).problem is None


async def test_failures_in_a_row_make_it_unavailable_until_a_look(handle: SlotAdapter, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(status=503)
    for _ in range(3):
        with pytest.raises(JackfieldError):
            await handle.forward("ping")
    assert not handle.is_available()
    assert handle._status().status is HealthState.DEGRADED
    await handle.health()
    assert handle.is_available()


@pytest.mark.behaviour("ADPT-13")
async def test_json_is_asked_for_natively_where_the_record_says_so(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    fake.models = ["gpt-4o"]
    native = await handle_on(panel, fake, "openai", api_key="sk-0123456789abcdefghij", model="gpt-4o")
    done = await native.ask("an object", format="json")
    assert json.loads(done.text) == {"ok": True}
    assert done.metadata["json_mode"] == "native"
    assert fake.last.json["response_format"] == {"type": "json_object"}


@pytest.mark.behaviour("ADPT-13", "PARM-10")
async def test_json_is_asked_for_in_words_repaired_and_asked_for_once_more(panel: ProviderRegistry) -> None:
    replies = [
        {"match": "fenced", "text": "Sure:\n```json\n{'a': 1,}\n```"},
        {"match": "second", "text": "no idea", "times": 1},
        {"match": "not valid JSON", "text": '{"second": true}'},
        {"match": "never", "text": "no"},
    ]
    await panel.plug(0, "openai-compat", {"base_url": "http://127.0.0.1:1/v1"}, require_ready=False)
    await panel.plug(1, "scripted", {"replies": replies})
    adapter = panel.get_adapter(1)
    assert isinstance(adapter, SlotAdapter)
    adapter.binding.live.capabilities = Capabilities(json_mode=None)
    assert json.loads(await adapter.forward("fenced", format="json")) == {"a": 1}
    done = await adapter.ask("the second one", format="json")
    assert (json.loads(done.text), done.metadata["json_mode"]) == ({"second": True}, "emulated")


@pytest.mark.behaviour("ADPT-13")
async def test_json_that_cannot_be_had_is_an_error(scripted: SlotAdapter) -> None:
    with pytest.raises(Malformed, match="not JSON"):
        await scripted.forward("anything", format="json")
    assert scripted.metrics.requests == 2


@pytest.mark.behaviour("ADPT-17")
async def test_metrics_are_sums_of_what_was_reported(handle: SlotAdapter) -> None:
    usages = [(await handle.complete(text)).usage for text in ("ping", "Count to 5", "hi")]
    told = handle.get_metrics()
    assert told["tokens_used"] == sum(usage.total_tokens for usage in usages if usage)
    assert told["requests"] == 3
    assert told["latency_ms"] > 0
    assert all(isinstance(told[key], int | float) for key in ("latency_ms", "tokens_used", "cost_estimate"))


PRICES = """
updated = 2026-01-01
[rates]
sats_per_usd = 1000
as_of = 2026-01-01
[providers.openai-compat.models]
"fake-model" = { input = 2.5, output = 10 }
"""


@pytest.mark.behaviour("ADPT-18")
async def test_cost_estimates_by_the_table(bench: Any, fake: FakeOpenAI) -> None:
    data = parse_prices(PRICES, "test")
    assert data.rates is not None
    panel = bench.panel(prices=PriceTable(data, data.rates))
    handle = await handle_on(panel, fake, model="fake-model")
    assert handle.get_cost_estimate(1000, 500) == pytest.approx((1000 * 2.5 + 500 * 10) / 1e6 * 1000, abs=1e-9)
    await handle.forward("ping")
    assert handle.get_metrics()["cost_estimate"] > 0
    other = await handle_on(panel, fake, model="another", strict=False)
    assert other.get_cost_estimate(1000, 500) is None
    await panel.plug(1, "scripted")
    assert panel.get_adapter(1).get_cost_estimate(1000, 500) == 0.0
    await panel.aclose()


@pytest.mark.behaviour("ADPT-21")
async def test_models_are_listed_and_a_dead_source_is_an_error(handle: SlotAdapter, fake: FakeOpenAI) -> None:
    models = await handle.list_models()
    assert [model["id"] for model in models] == ["fake-model"]
    assert {"id", "name", "description"} <= set(models[0])
    await fake.stop()
    with pytest.raises(Unavailable):
        await handle.list_models()


@pytest.mark.behaviour("ADPT-22")
async def test_validating_spends_nothing_and_says_why_not(
    panel: ProviderRegistry, caplog: pytest.LogCaptureFixture, fake: FakeOpenAI
) -> None:
    fake.require_key = "sk-right-0123456789abcdef"
    handle = await handle_on(panel, fake, api_key=fake.require_key)
    assert await handle.validate_config() is True
    fake.require_key = "sk-changed-0123456789abc"
    with caplog.at_level(logging.WARNING):
        assert await handle.validate_config() is False
    assert fake.completions == 0
    assert any("config is not valid" in record.message and "key" in record.message for record in caplog.records)
    assert "sk-right" not in caplog.text


@pytest.mark.behaviour("ADPT-23")
async def test_info_has_its_schema(handle: SlotAdapter, scripted: SlotAdapter) -> None:
    for info in (handle.get_info(), scripted.get_info()):
        assert {"name", "version", "status", "capabilities", "limits"} <= set(info)
        assert info["status"] in list(HealthState)
        json.dumps(info)
    assert scripted.get_info()["simulated"] is True


@pytest.mark.behaviour("ADPT-26")
async def test_health_tells_status_latency_detail_and_time(handle: SlotAdapter, fake: FakeOpenAI) -> None:
    status = await handle.health()
    assert (status.status, status.latency_s is not None) == (HealthState.HEALTHY, True)
    assert status.checked_at > 1_700_000_000
    await fake.stop()
    status = await handle.health()
    assert status.status is HealthState.UNHEALTHY
    assert status.detail


@pytest.mark.behaviour("ADPT-27")
async def test_capabilities_are_there_before_any_connection(panel: ProviderRegistry) -> None:
    unconnected = panel.get_provider("ollama")
    assert unconnected.capabilities.streaming
    assert unconnected.supports_streaming
    assert unconnected.get_info()["status"] == "unknown"


@pytest.mark.behaviour("PARM-09")
async def test_an_unknown_parameter_is_said_in_the_metadata(handle: SlotAdapter, fake: FakeOpenAI) -> None:
    done = await handle.ask("ping", mirostatt=2)
    assert any("mirostatt" in warning for warning in done.warnings)
    with pytest.raises(BadRequest, match="mirostatt"):
        await handle.forward("ping", mirostatt=2, strict=True)


@pytest.mark.behaviour("ADPT-33")
@pytest.mark.parametrize(
    ("behaviour", "kind", "remedy"),
    [
        (Behaviour(status=401), AuthFailed, "key"),
        (Behaviour(status=429, retry_after="3"), RateLimited, "another slot"),
        (Behaviour(status=500), Unavailable, ""),
        (Behaviour(body=b"<html>no</html>"), Malformed, "base_url"),
    ],
)
async def test_errors_name_the_provider_the_request_and_a_remedy(
    handle: SlotAdapter,
    fake: FakeOpenAI,
    caplog: pytest.LogCaptureFixture,
    behaviour: Behaviour,
    kind: type[JackfieldError],
    remedy: str,
) -> None:
    fake.behaviour = behaviour
    with caplog.at_level(logging.WARNING, "jackfield.adapter"), pytest.raises(kind) as caught:
        await handle.forward("ping")
    assert str(caught.value).startswith("openai-compat: ")
    assert remedy in caught.value.message
    record = next(record for record in caplog.records if record.name == "jackfield.adapter")
    assert record.provider == "openai-compat"  # type: ignore[attr-defined]
    assert record.request_id == caught.value.request_id  # type: ignore[attr-defined]
    assert isinstance(record.model, str)  # type: ignore[attr-defined]


async def test_the_slots_settings_fill_what_a_call_leaves_open(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    handle = await handle_on(panel, fake, temperature=0.25, top_p=0.5)
    await handle.complete(ChatRequest((text_message("user", "ping"),), generation=Generation(temperature=1.0)))
    assert (fake.last.json["temperature"], fake.last.json["top_p"]) == (1.0, 0.5)


@pytest.mark.behaviour("ADPT-10")
async def test_no_socket_is_left_after_everything_is_closed(bench: Any, fake: FakeOpenAI) -> None:
    def to_fake() -> int:
        connections = psutil.Process().net_connections("tcp")
        open_ones = [each for each in connections if each.status == "ESTABLISHED"]
        return sum(getattr(each.raddr, "port", None) == fake.port for each in open_ones)

    panel = bench.panel()
    handle = await handle_on(panel, fake)
    await handle.forward("ping")
    assert to_fake() > 0
    await panel.aclose()
    await bench.tools.aclose()
    assert to_fake() == 0


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}


@pytest.mark.behaviour("PARM-13")
async def test_an_answer_that_breaks_its_schema_is_asked_for_again_and_then_refused(panel: ProviderRegistry) -> None:
    replies = [
        {"match": "first wrong", "text": '{"town": "Paris"}', "times": 1},
        {"match": "breaks the schema", "text": '{"city": "Paris"}', "times": 1},
        {"match": ".", "text": '{"city": 7}'},
    ]
    await panel.plug(1, "scripted", {"replies": replies})
    adapter = panel.get_adapter(1)
    assert isinstance(adapter, SlotAdapter)
    done = await adapter.ask("first wrong", response_format=schema_format(SCHEMA))
    assert (json.loads(done.text), done.metadata["schema"]) == ({"city": "Paris"}, "kept")
    with pytest.raises(Malformed, match=r"breaks the schema at \['city'\]: 7 is not of type 'string'") as caught:
        await adapter.ask("always wrong", response_format=schema_format(SCHEMA))
    assert caught.value.code == "schema_violation"


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "https://example.com/schema.json"}])
async def test_a_schema_that_is_none_is_the_callers_mistake(panel: ProviderRegistry, schema: dict[str, Any]) -> None:
    await panel.plug(1, "scripted", {"text": "{}"})
    adapter = panel.get_adapter(1)
    assert isinstance(adapter, SlotAdapter)
    with pytest.raises(BadRequest, match="response_format"):
        await adapter.ask("x", response_format=schema_format(schema))
