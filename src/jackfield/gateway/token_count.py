"""How many tokens a prompt has, for the doors whose clients ask before they send it: told by the source, else estimated.

Never asks for an answer and so spends nothing; a source that is slow, unwell or cannot count costs the client nothing but
exactness. Knows no dialect: a door says where its own is counted and how that answer is read.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from jackfield.core.contracts import PassesThrough, RawCall
from jackfield.core.errors import JackfieldError, NotSupported
from jackfield.core.messages import (
    ImagePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from jackfield.core.requests import ChatRequest, Tool
from jackfield.gateway.call import Call
from jackfield.gateway.route import Target
from jackfield.gateway.steps.dispatch import forwarded
from jackfield.gateway.steps.enter import BYTES_PER_TOKEN
from jackfield.gateway.steps.resolve import Resolve

COUNT_WITHIN_S = 3.0
MESSAGE_TOKENS = 4
"""What the marks around a message come to."""
IMAGE_TOKENS = 1500
"""A picture of a usual size, as most vision models count it."""
ESTIMATED = "estimate"


class Counted(msgspec.Struct, frozen=True):
    """`by` is the provider that counted, or `ESTIMATED`."""

    tokens: int
    by: str


class TokenCount:
    """Asks the source that would be asked first, for no longer than `within_s` seconds."""

    def __init__(self, resolve: Resolve, *, within_s: float = COUNT_WITHIN_S) -> None:
        self._resolve = resolve
        self._within_s = within_s

    async def __call__(self, call: Call, path: str, read: Callable[[bytes], int]) -> Counted:
        """`path` is where sources of the call's dialect count, `read` reads what they say. Raises BadRequest."""
        request = _decoded(call)
        target = self._target(call)
        if target is not None:
            with suppress(JackfieldError, TimeoutError):
                async with asyncio.timeout(self._within_s):
                    tokens = await _ask(call, target, request, path, read)
                if tokens is not None:
                    return Counted(tokens, target.binding.info.id)
        return Counted(estimate(request) if request is not None else _by_size(call), ESTIMATED)

    def _target(self, call: Call) -> Target | None:
        """None where nobody could be asked now: whether that is a mistake, the request itself will tell."""
        try:
            self._resolve(call)
        except JackfieldError:
            return None
        assert call.route is not None
        return call.route.first if call.route.first.backend.is_routable else None


def _decoded(call: Call) -> ChatRequest | None:
    """None for what only a source of the call's dialect understands."""
    try:
        return call.dialect.decode_request(call.fields, None)
    except NotSupported:
        return None


async def _ask(call: Call, target: Target, request: ChatRequest | None, path: str, read: Callable[[bytes], int]) -> int | None:
    """What the target's source says; None if it cannot count this request. Raises any JackfieldError."""
    binding = target.binding
    binding.acquire()
    try:
        if binding.pass_through is not None and binding.dialect == call.dialect.name:
            return await _pass_through(
                binding.pass_through, RawCall(path, call.fields, target.model, stream=False, headers=forwarded(call)), read
            )
        if binding.counts_tokens is not None and request is not None:
            return await binding.counts_tokens.count_tokens(msgspec.structs.replace(request, model=target.model))
        return None
    finally:
        binding.release()


async def _pass_through(source: PassesThrough, raw: RawCall, read: Callable[[bytes], int]) -> int:
    reply = await source.pass_through(raw)
    try:
        return read(await reply.read())
    finally:
        await reply.aclose()


def estimate(request: ChatRequest) -> int:
    """About how many tokens the prompt has: its text by size, pictures at a flat rate."""
    size_bytes = sum(_part_bytes(part) for message in request.messages for part in message.parts)
    size_bytes += sum(_tool_bytes(tool) for tool in request.tools)
    images = sum(_images(message.parts) for message in request.messages)
    return max(1, size_bytes // BYTES_PER_TOKEN + MESSAGE_TOKENS * len(request.messages) + IMAGE_TOKENS * images)


def _by_size(call: Call) -> int:
    """For a request that cannot be read here: everything in it."""
    return max(1, sum(memoryview(raw).nbytes for raw in call.fields.values()) // BYTES_PER_TOKEN)


def _part_bytes(part: Part) -> int:
    match part:
        case TextPart() | RefusalPart() | ReasoningPart():
            return len(part.text.encode(errors="replace"))
        case ToolCallPart():
            return len(part.name) + len(part.arguments.encode(errors="replace"))
        case ToolResultPart():
            return sum(_part_bytes(inner) for inner in part.content)
        case _:
            return 0


def _tool_bytes(tool: Tool) -> int:
    return len(msgspec.json.encode([tool.name, tool.description, tool.parameters]))


def _images(parts: tuple[Part, ...]) -> int:
    return sum(
        isinstance(part, ImagePart) or (_images(part.content) if isinstance(part, ToolResultPart) else 0) for part in parts
    )
