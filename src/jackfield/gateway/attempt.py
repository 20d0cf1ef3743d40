"""One try at one target: it holds the binding and counts at the backend while it lasts, however it ends."""

from functools import partial
from time import perf_counter
from typing import NamedTuple

from jackfield.core.errors import JackfieldError
from jackfield.gateway.answers import PlainAnswer, StreamAnswer
from jackfield.gateway.call import Call
from jackfield.gateway.route import Target
from jackfield.routing.attempts import kind_of
from jackfield.routing.backends import Outcome


class Begun(NamedTuple):
    """An answer that has content, or is as good as it gets: `held` are its bytes so far. Close the answer."""

    answer: PlainAnswer | StreamAnswer
    held: bytes


class Attempt:
    """Begins when it is made, which raises SlotEmpty for a binding that has gone. `end` must follow, once."""

    __slots__ = ("_began", "_began_at", "call", "has_ended", "target")

    def __init__(self, call: Call, target: Target) -> None:
        self.call = call
        self.target = target
        self.has_ended = False
        target.binding.acquire()
        self._began = perf_counter()
        self._began_at = target.backend.begin()
        if call.stream:
            call.answering = partial(target.backend.answering, self._began_at)

    def end(self, error: JackfieldError | None, *, cancelled: bool = False) -> None:
        """`cancelled`: what happened says nothing about the source."""
        self.has_ended = True
        self.target.binding.release()
        call, began = self.call, self._began
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
