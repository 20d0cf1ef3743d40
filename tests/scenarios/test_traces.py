"""Traces through a real collector endpoint: what leaves this process for one request, and when nothing may."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from jackfield.app.compose import open_house
from jackfield.app.settings import Loaded
from jackfield.core.errors import ModeForbids
from running_gateway import running_gateway, settings_for

PING: dict[str, Any] = {"model": "slot-0", "messages": [{"role": "user", "content": "a-secret-prompt"}]}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """Takes OTLP over HTTP and keeps the bodies."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.bodies.append(await reader.readexactly(size))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


async def test_one_span_a_request_reaches_the_collector(tmp_path: Path, collector: Collector) -> None:
    traces = {"enabled": True, "endpoint": f"http://127.0.0.1:{collector.port}/v1/traces"}
    async with running_gateway(tmp_path, traces=traces) as gateway:
        await gateway.plug(0, "scripted")
        header = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
        reply = await gateway.http.post("/v1/chat/completions", json=PING, headers=header)
        assert reply.status_code == 200
    sent = ExportTraceServiceRequest.FromString(collector.bodies[0])
    (span,) = sent.resource_spans[0].scope_spans[0].spans
    attributes = {each.key: each.value for each in span.attributes}
    assert span.trace_id.hex() == TRACE_ID
    assert attributes["gen_ai.provider.name"].string_value == "scripted"
    assert attributes["jackfield.request_id"].string_value == reply.headers["x-request-id"]
    assert b"a-secret-prompt" not in b"".join(collector.bodies)


async def test_a_collector_elsewhere_needs_the_mode_for_it(tmp_path: Path) -> None:
    traces = {"enabled": True, "endpoint": "https://collector.example/v1/traces"}
    with pytest.raises(ModeForbids, match=r"collector\.example"):
        async with open_house(Loaded(settings_for(tmp_path, traces=traces)), port=1):
            pass
