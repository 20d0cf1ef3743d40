"""How long to wait and how much to hold: the numbers of the HTTP client, checked once when they are made."""

from dataclasses import dataclass, field, fields

from jackfield.core.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `first_byte_s` and `idle_s` count silence of the upstream; `total_s` counts from `send` to the last byte."""

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    idle_s: float = 60.0
    total_s: float = 300.0
    shortest_s: float = field(init=False, repr=False, compare=False, default=0.0)

    def __post_init__(self) -> None:
        for limit in fields(self):
            if limit.init and not getattr(self, limit.name) > 0:
                raise BadRequest(f"{limit.name} must be more than 0 seconds", param=limit.name)
        object.__setattr__(self, "shortest_s", min(self.first_byte_s, self.idle_s, self.total_s))


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes held per answer and connections kept per endpoint.

    `body_bytes` bounds `Response.read`; `buffer_bytes` is where reading pauses until the reader of `Response.chunk` catches
    up, and where writing waits for the upstream. `idle_keep_s` is how long an unused connection is kept.
    """

    header_bytes: int = 65536
    body_bytes: int = 64 * 1024 * 1024
    buffer_bytes: int = 65536
    max_idle_per_endpoint: int = 256
    idle_keep_s: float = 30.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) < 0:
                raise BadRequest(f"{limit.name} must not be negative", param=limit.name)
