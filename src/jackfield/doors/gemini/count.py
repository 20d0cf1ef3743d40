"""POST .../models/{m}:countTokens: how many tokens a prompt has, without asking for an answer to it."""

from collections.abc import Callable
from time import perf_counter

from jackfield.dialects import gemini
from jackfield.doors.gemini.dialect import GeminiCount
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.token_count import TokenCount


class CountTokens:
    def __init__(self, count: TokenCount, new_request_id: Callable[[], str], now: Callable[[], float]) -> None:
        self._count = count
        self._new_request_id = new_request_id
        self._now = now
        self._dialect = GeminiCount()

    async def __call__(self, client: Client, model: str) -> None:
        received_at = perf_counter()
        call = Call(
            self._new_request_id(),
            self._dialect,
            gemini.parse_fields(await client.body()),
            model_text=model,
            stream=False,
            show_usage=True,
            at=self._now(),
            received_at=received_at,
        )
        await self._count.tell(client, call, "totalTokens")
