"""One try at one target: it holds the binding and its place there and counts at the backend, until it ends, however it does."""

from functools import partial
from time import perf_counter
from typing import Protocol

from jackfield.core.errors import JackfieldError
from jackfield.gateway.answers import PlainAnswer, StreamAnswer
from jackfield.gateway.call import Call
from jackfield.gateway.route import Target
from jackfield.gateway.steps.enter import used_tokens
from jackfield.routing.attempts import kind_of
from jackfield.routing.backends import Outcome
from jackfield.routing.limits import FREE, Ticket

Begun = tuple[PlainAnswer | StreamAnswer, bytes]
"""An answer that has content, or is as good as it gets, and its bytes so far. Close the answer."""


class Play(Protocol):
    """How an attempt is made and its answer carried to the client: both in one task."""

    async def begin(self, call: Call, has_others: bool) -> Begun:
        """The answer of the call's target, up to content; told whether somebody else could answer. Leaves nothing open."""
        ...

    async def carry(self, call: Call, begun: Begun) -> None:
        """Raises only while nothing was sent, or what can be continued. Closes the answer."""
        ...


class Attempt:
    """Begins when it is made, after the breaker allowed it; raises SlotEmpty for a binding that has gone. `end` must follow.

    `ticket` is its place under the limits of its source.
    """

    __slots__ = ("_began", "_began_at", "_ticket", "call", "has_ended", "target")

    def __init__(self, call: Call, target: Target, ticket: Ticket = FREE) -> None:
        self.call = call
        self.target = target
        self.has_ended = False
        self._ticket = ticket
        try:
            target.binding.acquire()
        except JackfieldError:
            target.backend.breaker.abandon()
            ticket.release(0)
            raise
        self._began = perf_counter()
        self._began_at = target.backend.begin()
        if call.stream:
            call.answering = partial(target.backend.answering, self._began_at)

    def end(self, error: JackfieldError | None, *, cancelled: bool = False) -> None:
        """Once. `cancelled`: what happened says nothing about the source."""
        self.has_ended = True
        self.target.binding.release()
        call, began = self.call, self._began
        if self._ticket is not FREE:
            self._ticket.release(used_tokens(call))
        self.target.backend.end(
            Outcome(
                latency_s=perf_counter() - began,
                first_token_s=None if call.first_token_at is None else max(0.0, call.first_token_at - began),
                prompt_bytes=call.prompt_bytes,
                failure=None if error is None else kind_of(error),
                retry_after_s=None if error is None else error.retry_after_s,
                cancelled=cancelled,
                completion_tokens=0 if call.usage is None else call.usage.completion_tokens,
            ),
            self._began_at,
        )
