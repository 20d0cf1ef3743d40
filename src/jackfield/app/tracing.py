"""Where traces go, as the settings say: a collector of the person's own, or what this process was given for them.

A collector outside this machine gets request ids, model names and numbers, never a prompt; even so the operating mode must
allow it, for the exporter has a network client of its own that the egress gate does not see.
"""

from urllib.parse import urlsplit

from jackfield.app.settings_tree import TraceSettings
from jackfield.core.errors import MissingExtra, ModeForbids
from jackfield.core.modes import OperatingMode
from jackfield.gateway.call import Call
from jackfield.gateway.traces import Traces, open_traces
from jackfield.routing.candidates import on_this_machine


def traces_of(settings: TraceSettings, mode: OperatingMode) -> Traces | None:
    """None where no traces are wanted. Raises MissingExtra, and ModeForbids for a collector that may not be reached."""
    if not settings.enabled:
        return None
    if settings.endpoint is None:
        return open_traces(parent_of=_parent)
    host = urlsplit(settings.endpoint).hostname or ""
    if mode is not OperatingMode.BURST and not on_this_machine(host):
        raise ModeForbids(f"traces.endpoint is {host}, outside this machine, and the mode is {mode}: set the mode to burst")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise MissingExtra("the OpenTelemetry exporter is not installed: pip install 'jackfield[otel]'") from None
    return open_traces(OTLPSpanExporter(endpoint=settings.endpoint), parent_of=_parent)


def _parent(call: Call) -> str | None:
    """The span that the client is in, if it told."""
    header = call.headers.get(b"traceparent")
    return None if header is None else header.decode("latin-1")
