"""Spans of calls: what they say, by whose conventions, that they never hold a prompt, and what they cost when unwanted."""

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes
from opentelemetry.trace import SpanKind, StatusCode

from jackfield.core.errors import MissingExtra
from jackfield.core.requests import Generation
from jackfield.core.usage import Money, Usage
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.call import Call
from jackfield.gateway.traces import Traces, open_traces
from jackfield.providers.scripted import Scripted, ScriptedConfig
from jackfield.slots.live import LiveProvider
from jackfield.slots.slot import Binding, SlotSpec

CANARY = "the-prompt-that-nobody-else-may-see"
TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def call(*, outcome: str = "ok", is_bound: bool = True, stream: bool = False) -> Call:
    fields = {"messages": msgspec.Raw(msgspec.json.encode([{"role": "user", "content": CANARY}]))}
    made = Call(
        "req-1",
        OpenAIChat(),
        fields,
        model_text="slot-3",
        stream=stream,
        show_usage=False,
        at=1_700_000_000.5,
        received_at=10.0,
    )
    made.outcome, made.books_are_closed = outcome, True
    if is_bound:
        made.slot_number = 3
        live = LiveProvider(Scripted(ScriptedConfig(), Generation()), Scripted.card)
        made.binding = Binding(live, SlotSpec("scripted", model="small"))
    return made


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


@pytest.mark.behaviour("OTEL-01")
def test_a_good_call_is_one_span_by_the_conventions(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    done = call(stream=True)
    done.usage, done.cost, done.first_token_at = Usage(10, 5, cached_tokens=4, reasoning_tokens=2), Money(7), 10.25
    done.model = "small-2026-08-06"
    Traces(provider, clock=lambda: 11.5).observe(done)
    span = only(exporter)
    assert (span.name, span.kind, span.parent) == ("chat slot-3", SpanKind.CLIENT, None)
    assert span.status.status_code is StatusCode.UNSET
    assert span.start_time == 1_700_000_000_500_000_000
    assert span.end_time == 1_700_000_002_000_000_000
    ai = gen_ai_attributes
    assert dict(span.attributes or {}) == {
        ai.GEN_AI_OPERATION_NAME: ai.GenAiOperationNameValues.CHAT.value,
        ai.GEN_AI_PROVIDER_NAME: "scripted",
        ai.GEN_AI_SYSTEM: "scripted",
        ai.GEN_AI_REQUEST_MODEL: "slot-3",
        ai.GEN_AI_REQUEST_STREAM: True,
        ai.GEN_AI_RESPONSE_MODEL: "small-2026-08-06",
        ai.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: 0.25,
        ai.GEN_AI_USAGE_INPUT_TOKENS: 10,
        ai.GEN_AI_USAGE_OUTPUT_TOKENS: 5,
        ai.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: 4,
        ai.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: 2,
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
        "jackfield.request_id": "req-1",
        "jackfield.attempts": 1,
        "jackfield.slot": 3,
        "jackfield.cost_msat": 7,
    }


@pytest.mark.parametrize("outcome", ["timeout", "cancelled"])
def test_a_failure_names_its_kind(provider: TracerProvider, exporter: InMemorySpanExporter, outcome: str) -> None:
    Traces(provider).observe(call(outcome=outcome))
    span = only(exporter)
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert (span.attributes or {})[error_attributes.ERROR_TYPE] == outcome
    assert gen_ai_attributes.GEN_AI_RESPONSE_MODEL not in (span.attributes or {})


def test_a_call_that_reached_no_slot_is_a_span_too(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    Traces(provider).observe(call(outcome="model_not_found", is_bound=False))
    assert gen_ai_attributes.GEN_AI_PROVIDER_NAME not in (only(exporter).attributes or {})


def test_attempts_are_counted_in_the_one_span_of_their_call(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    traces, asked = Traces(provider), call(outcome="overloaded")
    asked.books_are_closed = False
    traces.observe(asked)
    asked.outcome, asked.attempt, asked.books_are_closed = "ok", 1, True
    traces.observe(asked)
    assert (only(exporter).attributes or {})["jackfield.attempts"] == 2


@pytest.mark.behaviour("OTEL-02")
def test_no_span_holds_a_prompt(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    traces = Traces(provider)
    for outcome in ("ok", "invalid_request"):
        traces.observe(call(outcome=outcome))
    for span in exporter.get_finished_spans():
        assert CANARY not in span.to_json()
        assert span.events == ()


def test_the_span_belongs_to_the_trace_of_the_client(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    Traces(provider, parent_of=lambda call: TRACE_PARENT).observe(call())
    span = only(exporter)
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" in TRACE_PARENT
    assert f"{span.parent.trace_id:032x}" in TRACE_PARENT


@pytest.mark.parametrize("header", [None, "", "nonsense", "00-zz-zz-01"])
def test_an_unreadable_parent_is_none(provider: TracerProvider, exporter: InMemorySpanExporter, header: str | None) -> None:
    Traces(provider, parent_of=lambda call: header).observe(call())
    assert only(exporter).parent is None


def test_an_exporter_gets_its_spans_by_the_time_it_is_closed(exporter: InMemorySpanExporter) -> None:
    traces = open_traces(exporter)
    traces.observe(call())
    traces.close()
    assert only(exporter).resource.attributes["service.name"] == "jackfield"


def test_without_an_exporter_the_process_decides() -> None:
    traces = open_traces()
    traces.observe(call())
    traces.close()


def test_a_missing_extra_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtra, match=r"pip install 'jackfield\[otel\]'"):
        open_traces()


@pytest.mark.behaviour("OTEL-02")
def test_who_does_not_trace_does_not_pay() -> None:
    code = "import sys, jackfield.gateway.traces; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
