"""One line asked: again where that may help, and its answer or refusal on one line."""

import asyncio
import json
from collections.abc import Callable

from jackfield.core.errors import BadRequest, BudgetSpent, JackfieldError, Overloaded, RateLimited
from jackfield.dialects.openai_chat import encode_error
from jackfield.gateway.batches.asking import Asking
from jackfield.gateway.batches.line_gate import LineGate
from jackfield.gateway.client import Client
from jackfield.store.result_file import ResultLine

Answer = Exception | bytes


class Source:
    """Gives its answers one after the other, the last one again and again; the pauses between are noted, not waited for."""

    def __init__(self, *answers: Answer, retries: int = 2, patience_s: float = 5.0) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bytes]] = []
        self.pauses: list[float] = []
        self.asking = Asking(
            {"/v1/x": self._serve},
            encode_error,
            LineGate(1, lambda: 0),
            retries=retries,
            patience_s=patience_s,
            sleep=self._sleep,
        )

    async def ask(self) -> ResultLine:
        return await asyncio.wait_for(self.asking.answer("/v1/x", "key-a", "one", b'{"a":1}'), 5)

    async def _serve(self, client: Client) -> None:
        self.asked.append((client.key_name, await client.body()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        await client.reply(200, [(b"x-request-id", b"req-1")], answer)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_an_answer_is_kept_with_its_status_and_id_on_one_line() -> None:
    source = Source(b'{\n "b": [1,\n 2]}')
    result = await source.ask()
    assert source.asked == [("key-a", b'{"a":1}')]
    assert result.error is None
    assert result.response is not None
    said = (result.custom_id, result.response.status_code, result.response.request_id, bytes(result.response.body))
    assert said == ("one", 200, "req-1", b'{"b":[1,2]}')


async def test_what_may_pass_is_asked_again_and_a_refusal_is_not() -> None:
    cases: tuple[tuple[Callable[[], JackfieldError], int], ...] = (
        (lambda: Overloaded("busy"), 3),
        (lambda: BadRequest("wrong"), 1),
        (lambda: BudgetSpent("spent"), 1),
        (lambda: RateLimited("later", retry_after_s=10_000), 1),
    )
    for make, tries in cases:
        source = Source(make())
        result = await source.ask()
        assert len(source.asked) == tries
        assert result.error is not None
        assert result.response is not None
        assert result.response.status_code == make().status
        assert json.loads(bytes(result.response.body))["error"]["message"] == make().message


async def test_a_limit_that_says_when_to_come_back_is_waited_for_and_not_counted() -> None:
    source = Source(*[RateLimited("later", retry_after_s=7)] * 9, b"{}", retries=0)
    assert (await source.ask()).error is None
    assert len(source.pauses) == 9
    assert min(source.pauses) >= 7


async def test_a_try_has_its_time_and_a_fault_of_ours_is_no_ones_answer() -> None:
    source = Source(b"", patience_s=0.01, retries=0)

    async def hang(_: Client) -> None:
        await asyncio.sleep(30)

    source.asking.handlers = {"/v1/x": hang}
    late = await source.ask()
    assert late.error is not None
    assert late.error.code == "timeout"
    for answer in (ValueError("a fault with sk-secret-0123456789abcdef in it"), b"no JSON"):
        told = await Source(answer, retries=0).ask()
        assert told.error is not None
        assert "sk-secret" not in str(told)
        assert told.response is not None
        assert told.response.status_code >= 500
