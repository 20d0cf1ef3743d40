"""Requests beyond chat: vectors, rankings, verdicts, pictures, speech. One source does the whole of one.

A door says what is wanted of a provider and how its answer reads; routing, limits, retries and the books are those of chat.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from jackfield.core.errors import NotSupported
from jackfield.core.usage import Usage
from jackfield.slots.slot import Binding

if TYPE_CHECKING:
    from jackfield.gateway.call import Call
    from jackfield.gateway.route import Route

JSON_TYPE = b"application/json"


class Pieces(Protocol):
    """An answer that is still being made, in the door's own bytes."""

    async def chunk(self) -> bytes:
        """What has come, as soon as anything has; b"" at the end. Raises Upstream errors."""
        ...

    async def aclose(self) -> None:
        """Idempotent. Cuts upstream where it has not ended."""
        ...


class Done(NamedTuple):
    """An answer in the door's own bytes. `model` None: the one that was asked for.

    `pieces`: it is sent on while it comes, in place of `body`. `tells_errors`: its form has a place for an error on the way.
    """

    body: bytes
    usage: Usage | None = None
    model: str | None = None
    content_type: bytes = JSON_TYPE
    pieces: Pieces | None = None
    tells_errors: bool = False


class Errand(msgspec.Struct, frozen=True):
    """`what` names it ("embeddings"); `capability` is the protocol of core/contracts.py that a provider must satisfy.

    `run` is given such a provider and the model, None where the choice is the provider's.
    """

    what: str
    capability: type
    run: Callable[[Any, str | None], Awaitable[Done]]

    def may_go_to(self, binding: Binding) -> bool:
        return _can(type(binding.live.provider), self.capability)


class ErrandAnswer:
    """What a provider made of an errand, or makes of it now: `pieces`, where it is not None."""

    __slots__ = ("_binding", "_errand", "pieces", "tells_errors")

    def __init__(self, errand: Errand, binding: Binding) -> None:
        self.pieces: Pieces | None = None
        self.tells_errors = False
        self._errand = errand
        self._binding = binding

    async def body(self, call: "Call") -> bytes:
        done = await self._errand.run(self._binding.live.provider, call.model or self._binding.spec.model)
        self.pieces, self.tells_errors = done.pieces, done.tells_errors
        call.upstream_at = perf_counter()
        call.usage = done.usage
        call.model = done.model or call.model
        call.reply_type = done.content_type
        return done.body

    async def aclose(self) -> None:
        if self.pieces is not None:
            await self.pieces.aclose()


def narrowed(route: "Route", errand: Errand) -> "Route":
    """The route without those that cannot do it. Raises NotSupported where nobody can."""
    able = route.only(lambda target: errand.may_go_to(target.binding))
    if able is None:
        info = route.first.binding.info
        raise NotSupported(
            f"{info.id} in slot {route.first.slot} does no {errand.what}; name a slot that does (jackfield slots list)",
            provider=info.id,
            slot=route.first.slot,
            param="model",
        )
    return able


@lru_cache(maxsize=1024)
def _can(kind: type, capability: type) -> bool:
    return issubclass(kind, capability)
