"""Tells a client that asks for it who was considered for its request, in a header: who is in, who is out, and why.

A header has little room: the first candidates are told, and how many more there are. The whole is in `jackfield explain`.
"""

import json

from jackfield.gateway.call import Call
from jackfield.gateway.client import Answers, Headers
from jackfield.gateway.steps.resolve import Resolve

HEADER = b"x-jackfield-explain"
WANTED = frozenset({b"1", b"true"})
CANDIDATES_MAX = 12
REASON_MAX_CHARS = 120


class Telling:
    """Hands an answer on, with the decision in its headers. The attempts until then are told, the last one by its slot."""

    __slots__ = ("_call", "_client", "_resolve")

    def __init__(self, client: Answers, call: Call, resolve: Resolve) -> None:
        self._client = client
        self._call = call
        self._resolve = resolve

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        await self._client.reply(status, [*headers, (HEADER, self._told())], body)

    async def start(self, status: int, headers: Headers) -> None:
        await self._client.start(status, [*headers, (HEADER, self._told())])

    async def write(self, chunk: bytes) -> None:
        await self._client.write(chunk)

    async def end(self, chunk: bytes = b"") -> None:
        await self._client.end(chunk)

    def _told(self) -> bytes:
        """One line of ASCII JSON: {policy, candidates: [{name, provider, slot, is_in, stage, reason}], more}."""
        call = self._call
        decision = self._resolve.decision(call.request_id)
        if decision is None:
            only = {"name": f"slot-{call.slot_number}", "is_in": True, "reason": "nobody else has that name"}
            return json.dumps({"candidates": [only], "more": 0}).encode()
        candidates = [
            {**candidate, "reason": str(candidate["reason"])[:REASON_MAX_CHARS]} for candidate in decision["candidates"]
        ]
        told = {
            "policy": decision["policy"],
            "candidates": candidates[:CANDIDATES_MAX],
            "more": max(0, len(candidates) - CANDIDATES_MAX),
        }
        return json.dumps(told).encode()


def wants_telling(call: Call) -> bool:
    return call.headers.get(HEADER, b"") in WANTED
