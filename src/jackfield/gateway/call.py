"""One request on its way through the gateway: what was asked, where it goes, what came of it.

A mutable record that each step reads and completes; the ledger row is made from it. Holds no sockets and does nothing.
"""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from jackfield.core.usage import Money, Usage

if TYPE_CHECKING:
    from jackfield.core.errors import JackfieldError
    from jackfield.gateway.continuation import Said
    from jackfield.gateway.dialect import DoorDialect
    from jackfield.gateway.errand import Errand
    from jackfield.gateway.route import Route, Target
    from jackfield.routing.wishes import Wishes
    from jackfield.slots.slot import Binding


NO_HEADERS: Mapping[bytes, bytes] = {}


def _nothing() -> None:
    """Nobody is waiting to hear of it."""


class Call:
    """Times are `perf_counter` seconds; `at` is Unix seconds; `headers` are the client's, with lower-case names.

    `continues`: the client wants a stream that breaks to be taken up by another source; `said` is then what it has of it.
    `errand`: what is wanted where it is no chat; `reply_type` is the media type of a whole answer.
    `warnings`: what of the request its answer does not honour, and why.
    `head_is_out`: the client has the head of a streamed answer, so what goes wrong is told in the stream.
    `may_say_nothing`: an answer without a word is an answer, so nobody else is asked for one.
    `key_name` says which of the gateway's keys was shown, "" where none is asked for.
    """

    __slots__ = (
        "answering",
        "asked_fields",
        "at",
        "attempt",
        "binding",
        "books_are_closed",
        "broken",
        "continues",
        "cost",
        "dialect",
        "dispatched_at",
        "errand",
        "fields",
        "first_token_at",
        "head_is_out",
        "headers",
        "key_name",
        "may_say_nothing",
        "model",
        "model_text",
        "outcome",
        "prompt_bytes",
        "received_at",
        "reply_type",
        "request_id",
        "route",
        "said",
        "show_usage",
        "slot_number",
        "status",
        "stream",
        "upstream_at",
        "usage",
        "warnings",
        "wishes",
    )

    def __init__(
        self,
        request_id: str,
        dialect: "DoorDialect",
        fields: dict[str, msgspec.Raw],
        *,
        model_text: str,
        stream: bool,
        show_usage: bool,
        at: float,
        received_at: float,
    ) -> None:
        self.request_id = request_id
        self.dialect = dialect
        self.fields = fields
        self.model_text = model_text
        self.stream = stream
        self.show_usage = show_usage
        self.at = at
        self.received_at = received_at
        self.asked_fields = fields
        self.headers: Mapping[bytes, bytes] = NO_HEADERS
        self.key_name = ""
        self.may_say_nothing = False
        self.answering: Callable[[], None] = _nothing
        self.prompt_bytes = memoryview(fields.get(dialect.prompt_field, b"")).nbytes
        self.route: Route | None = None
        self.wishes: Wishes | None = None
        self.attempt = 0
        self.broken: JackfieldError | None = None
        self.continues = False
        self.head_is_out = False
        self.said: Said | None = None
        self.slot_number: int | None = None
        self.binding: Binding | None = None
        self.model: str | None = None
        self.usage: Usage | None = None
        self.cost: Money | None = None
        self.warnings: tuple[str, ...] = ()
        self.errand: Errand | None = None
        self.reply_type = b"application/json"
        self.status = 200
        self.outcome = ""
        self.books_are_closed = False
        self.dispatched_at = received_at
        self.upstream_at = received_at
        self.first_token_at: float | None = None

    def aim(self, target: "Target", *, keep_fields: bool) -> None:
        """Turns to a target; what an earlier one left behind is gone. `keep_fields`: others may come, with other defaults."""
        self.slot_number, self.binding, self.model = target.slot, target.binding, target.model
        if keep_fields:
            self.fields = dict(self.asked_fields)
        self.usage = self.cost = self.first_token_at = None
        self.warnings = ()

    def adopt(self, twin: "Call") -> None:
        """Goes on as its twin, which was aimed elsewhere and came first."""
        self.slot_number, self.binding, self.model = twin.slot_number, twin.binding, twin.model
        self.fields, self.answering, self.continues = twin.fields, twin.answering, twin.continues
        self.warnings = twin.warnings
        self.usage, self.cost, self.first_token_at = twin.usage, twin.cost, twin.first_token_at
        self.dispatched_at, self.upstream_at = twin.dispatched_at, twin.upstream_at

    def overhead_us(self, clock: Callable[[], float] = perf_counter) -> int:
        """Microseconds of this request that were spent here and not upstream, up to now."""
        return int((self.dispatched_at - self.received_at + clock() - self.upstream_at) * 1e6)
