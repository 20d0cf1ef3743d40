"""POST /v1/messages/count_tokens: clients ask it often and before every prompt, so it is quick, free and always answered."""

from collections.abc import Callable
from time import perf_counter

from jackfield.dialects import anthropic_messages
from jackfield.doors.anthropic.dialect import AnthropicMessages
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.fields import model_of
from jackfield.gateway.token_count import Place, TokenCount

PLACE = Place(anthropic_messages.COUNT_PATH, anthropic_messages.decode_count)


class CountTokens:
    """Models that nobody has are counted too, by size: what is wrong with them, the message itself will say."""

    def __init__(self, count: TokenCount, new_request_id: Callable[[], str], now: Callable[[], float]) -> None:
        self._count = count
        self._new_request_id = new_request_id
        self._now = now
        self._dialect = AnthropicMessages(counts=True)

    async def __call__(self, client: Client) -> None:
        received_at = perf_counter()
        fields = anthropic_messages.parse_fields(await client.body())
        call = Call(
            self._new_request_id(),
            self._dialect,
            fields,
            model_text=model_of(fields),
            stream=False,
            show_usage=True,
            at=self._now(),
            received_at=received_at,
        )
        await self._count.tell(client, call, "input_tokens", PLACE)
