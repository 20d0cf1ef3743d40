"""One OpenTelemetry span for each call, by the conventions for generative AI. Numbers and names, never a prompt or an answer.

The only file that knows OpenTelemetry, and it is loaded when traces are asked for: without the setting there is no book for
them, and nothing is paid. A span is made when the call's books close, from the times that the call has anyway.

Source: opentelemetry.io/docs/specs/semconv/gen-ai (2026-11).
"""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING

from jackfield import __version__
from jackfield.core.errors import MissingExtra
from jackfield.gateway.call import Call

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider

OK = "ok"
OPERATION = "chat"
SCOPE = "jackfield"
MODEL_MAX_CHARS = 200
CLOSE_WITHIN_MS = 5000
Value = str | int | float | bool


class Traces:
    """Put `observe` among the books. `close` sends what is waiting and ends the exporter, if it is ours."""

    def __init__(
        self,
        provider: "TracerProvider",
        *,
        parent_of: Callable[[Call], str | None] | None = None,
        clock: Callable[[], float] = perf_counter,
        close: Callable[[], None] | None = None,
    ) -> None:
        """`parent_of` gives the client's `traceparent` header, to which the span then belongs."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer(SCOPE, __version__)
        self._parent_of = parent_of
        self._clock = clock
        self._close = close
        self._nowhere = Context()
        self._kind = SpanKind.CLIENT
        self._failed = Status(StatusCode.ERROR)
        self._extract = TraceContextTextMapPropagator().extract

    def observe(self, call: Call) -> None:
        """Makes the span of one call whose outcome is settled; an attempt that another one follows is only counted in it."""
        if not call.books_are_closed:
            return
        began_ns = int(call.at * 1e9)
        span = self._tracer.start_span(
            f"{OPERATION} {call.model_text[:MODEL_MAX_CHARS]}",
            context=self._context(call),
            kind=self._kind,
            attributes=attributes(call),
            start_time=began_ns,
        )
        if call.outcome != OK:
            span.set_status(self._failed)
        span.end(began_ns + int((self._clock() - call.received_at) * 1e9))

    def close(self) -> None:
        """Waits `CLOSE_WITHIN_MS` at most. Blocking: call it in a thread."""
        if self._close is not None:
            self._close()

    def _context(self, call: Call) -> "Context":
        header = None if self._parent_of is None else self._parent_of(call)
        return self._nowhere if header is None else self._extract({"traceparent": header}, self._nowhere)


def open_traces(exporter: "SpanExporter | None" = None, *, parent_of: Callable[[Call], str | None] | None = None) -> Traces:
    """Traces into `exporter`, in batches on a thread; None uses what the process has set up for itself.

    Exporters bring their own network client, which the egress gate does not see: hand in only what a person configured.
    Raises MissingExtra.
    """
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import get_tracer_provider
    except ImportError:
        raise MissingExtra("OpenTelemetry is not installed: pip install 'jackfield[otel]'") from None
    if exporter is None:
        return Traces(get_tracer_provider(), parent_of=parent_of)
    resource = Resource.create({SERVICE_NAME: SCOPE, SERVICE_VERSION: __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))

    def close() -> None:
        provider.force_flush(CLOSE_WITHIN_MS)
        provider.shutdown()

    return Traces(provider, parent_of=parent_of, close=close)


def attributes(call: Call) -> Mapping[str, Value]:
    """What a span says of a call. `gen_ai.system` is the older name of `gen_ai.provider.name`; readers know either."""
    binding, usage = call.binding, call.usage
    found: dict[str, Value] = {
        "gen_ai.operation.name": OPERATION if call.errand is None else call.errand.what,
        "gen_ai.request.model": call.model_text[:MODEL_MAX_CHARS],
        "gen_ai.request.stream": call.stream,
        "http.response.status_code": call.status,
        "jackfield.request_id": call.request_id,
        "jackfield.attempts": call.attempt + 1,
    }
    if call.slot_number is not None:
        found["jackfield.slot"] = call.slot_number
    if binding is not None:
        found["gen_ai.provider.name"] = found["gen_ai.system"] = binding.info.id
    if call.outcome != OK:
        found["error.type"] = call.outcome
    elif binding is not None and (model := call.model or binding.model):
        found["gen_ai.response.model"] = model[:MODEL_MAX_CHARS]
    if call.first_token_at is not None:
        found["gen_ai.response.time_to_first_chunk"] = call.first_token_at - call.received_at
    if usage is not None:
        found["gen_ai.usage.input_tokens"] = usage.prompt_tokens
        found["gen_ai.usage.output_tokens"] = usage.completion_tokens
        if usage.cached_tokens:
            found["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
        if usage.reasoning_tokens:
            found["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
    if call.cost is not None:
        found["jackfield.cost_msat"] = call.cost.msat
    return found
