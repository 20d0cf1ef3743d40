"""GET /health, /ready, /status and /metrics: is the gateway up, what is plugged into it, and what has come of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from jackfield.core.errors import ServiceFailed
from jackfield.gateway.client import Client
from jackfield.gateway.door import Methods
from jackfield.gateway.exposition import CONTENT_TYPE
from jackfield.gateway.metrics import Metrics

JSON = (b"content-type", b"application/json")
Facts = Callable[[], Awaitable[dict[str, Any]]]


class Status:
    """`is_ready` is true between start and shutdown; `facts` gathers what /status tells, without asking any source."""

    def __init__(self, is_ready: Callable[[], bool], facts: Facts, metrics: Metrics) -> None:
        self._is_ready = is_ready
        self._metrics = metrics
        self._facts = facts

    @property
    def routes(self) -> dict[str, Methods]:
        return {
            "/health": {"GET": self.health},
            "/ready": {"GET": self.ready},
            "/status": {"GET": self.status},
            "/metrics": {"GET": self.metrics},
        }

    async def health(self, client: Client) -> None:
        await self._answer(client, b'{"status":"ok"}')

    async def ready(self, client: Client) -> None:
        """The same, in the words of those who ask before they send requests."""
        await self._answer(client, b'{"status":"ready"}')

    async def _answer(self, client: Client, body: bytes) -> None:
        if not self._is_ready():
            raise ServiceFailed("the gateway is starting or stopping; try again in a moment", code="not_ready", retry_after_s=1)
        await client.reply(200, [JSON], body)

    async def metrics(self, client: Client) -> None:
        """Prometheus text."""
        await client.reply(200, [(b"content-type", CONTENT_TYPE)], self._metrics.render())

    async def status(self, client: Client) -> None:
        await client.reply(200, [JSON], msgspec.json.encode(await self._facts()))
