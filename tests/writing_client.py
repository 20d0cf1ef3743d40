"""A client in this process that remembers what it was sent: what unit tests of the request pipeline ask through."""

from jackfield.gateway.client import Headers
from jackfield.gateway.inside import InnerClient


class WritingClient(InnerClient):
    """`sent` are all bytes of the answer, `head` its headers."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 0
        self.head: dict[bytes, bytes] = {}

    @property
    def sent(self) -> bytes:
        return b"".join(self.pieces)

    async def start(self, status: int, headers: Headers) -> None:
        assert not self.has_started, "one head an answer"
        await super().start(status, headers)
        self.status, self.head = status, dict(headers)
