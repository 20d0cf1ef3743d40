"""POST /v1/responses/input_tokens: how many tokens a request of the Responses API would be, without asking for an answer."""

from collections.abc import Callable
from time import perf_counter

from jackfield.dialects import openai_responses
from jackfield.doors.openai.responses import check, with_what_went_before
from jackfield.doors.openai.responses_dialect import OpenAIResponses
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.fields import model_of
from jackfield.gateway.kept_responses import KeptResponses
from jackfield.gateway.token_count import TokenCount

PATH = f"{openai_responses.PATH}/input_tokens"
_KIND = {"object": "response.input_tokens"}


class InputTokens:
    """What went before a request is counted with it."""

    def __init__(
        self, count: TokenCount, kept: KeptResponses, new_request_id: Callable[[], str], now: Callable[[], float]
    ) -> None:
        self._count = count
        self._kept = kept
        self._new_request_id = new_request_id
        self._now = now

    async def __call__(self, client: Client) -> None:
        received_at = perf_counter()
        fields = openai_responses.parse_fields(await client.body())
        check(fields)
        with_what_went_before(self._kept, fields, client.key_name)
        call = Call(
            self._new_request_id(),
            OpenAIResponses(),
            fields,
            model_text=model_of(fields),
            stream=False,
            show_usage=True,
            at=self._now(),
            received_at=received_at,
        )
        await self._count.tell(client, call, "input_tokens", told=_KIND)
