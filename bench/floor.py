"""The least that a gateway written in Python can cost here: uvicorn, one route, jackfield's own pooled client, nothing else.

No keys, routes, limits, ledger, metrics or retries: it reads the body's top-level fields, sets the model and passes the answer
on. The difference between this and jackfield is what all of jackfield's features cost together.

    python bench/floor.py PORT UPSTREAM_PORT
"""

import asyncio
import sys
from typing import Any

import msgspec
import uvicorn

from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import Endpoint, HttpClient, Timeouts

decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
TIMEOUTS = Timeouts()


class Floor:
    def __init__(self, upstream_port: int) -> None:
        self._client: HttpClient | None = None
        endpoint = Endpoint.parse(f"http://127.0.0.1:{upstream_port}/v1")
        self._head = endpoint.head("POST", "chat/completions", {"content-type": "application/json"})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] != "POST":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})
            return
        if self._client is None:
            self._client = HttpClient(EgressGate())
        fields = decode((await receive())["body"])
        fields["model"] = msgspec.Raw(bytes(fields["model"]))
        reply = await self._client.send(self._head, msgspec.json.encode(fields), TIMEOUTS)
        headers = [(b"content-type", reply.header(b"content-type") or b"application/json")]
        if bytes(fields.get("stream", b"")) == b"true":
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            while chunk := await reply.chunk():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        body = await reply.read()
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def main() -> None:
    port, upstream_port = map(int, sys.argv[1:3])
    config = uvicorn.Config(
        Floor(upstream_port),
        port=port,
        http="httptools",
        interface="asgi3",
        lifespan="off",
        access_log=False,
        log_level="error",
    )
    config.proxy_headers = False
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
