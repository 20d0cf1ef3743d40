"""Lets a request in under the limits of the gateway and of its key, before any work is done for it; it may wait in line.

What providers and models can take is another matter: the walk asks there for each target. Estimates tokens, spends none.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from jackfield.gateway.call import Call
from jackfield.gateway.client import Answers
from jackfield.routing.limits import Limits

BYTES_PER_TOKEN = 4
ANSWER_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
Serve = Callable[[Call, Answers], Awaitable[None]]


class Enter:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def __call__(self, call: Call, client: Answers, serve: Serve) -> None:
        """Raises RateLimited and Overloaded, each with `retry_after_s`."""
        ticket = await self._limits.enter(call.key_name, "", "", estimated_tokens(call))
        try:
            await serve(call, client)
        finally:
            ticket.release(used_tokens(call))


def estimated_tokens(call: Call) -> int:
    """The prompt by its size, and the longest answer where the client named one."""
    return call.prompt_bytes // BYTES_PER_TOKEN + _longest_answer(call.fields)


def used_tokens(call: Call) -> int | None:
    return None if call.usage is None else call.usage.prompt_tokens + call.usage.completion_tokens


def _longest_answer(fields: Mapping[str, msgspec.Raw]) -> int:
    for name in ANSWER_LIMITS:
        raw = fields.get(name)
        if raw is not None and (text := bytes(raw)).isdigit():
            return int(text)
    return 0
