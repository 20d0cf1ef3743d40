"""One answer of the pipeline on its way into a socket: bytes of the chat dialect in, messages out.

Stands where an HTTP client stands (gateway/client.py). Knows the dialect's stream and the door's messages, not the socket.
"""

from collections.abc import Awaitable, Callable, Iterable

from jackfield.core.errors import JackfieldError
from jackfield.core.events import (
    Event,
    Finished,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from jackfield.core.messages import ReasoningPart, RefusalPart, TextPart, ToolCallPart
from jackfield.core.tasks import TEXT_GENERATION
from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat
from jackfield.doors.websocket.messages import (
    InferenceChunk,
    InferenceComplete,
    InferenceReasoning,
    InferenceResult,
    RequestId,
    Served,
    Tokens,
    Told,
    ToolCall,
    inference_error,
)
from jackfield.gateway.call import Call
from jackfield.gateway.client import Headers
from jackfield.gateway.inside import InnerClient

Say = Callable[[Told], Awaitable[None]]
Result = Callable[[RequestId, bytes, Served], InferenceResult]
"""Makes the message of a whole answer from its bytes."""


class _Pieces:
    """What a stream has told besides its text."""

    def __init__(self) -> None:
        self.model = ""
        self.finish_reason = ""
        self.usage: Usage | None = None
        self._calls: dict[int, tuple[PartStarted, list[str]]] = {}

    def note(self, event: Event) -> None:
        match event:
            case Started():
                self.model = event.model
            case PartStarted() if event.kind == "tool_call":
                self._calls[event.index] = (event, [])
            case ToolCallDelta(index, arguments):
                self._calls[index][1].append(arguments)
            case UsageReported():
                self.usage = event.usage
            case Finished():
                self.finish_reason = event.reason
            case _:
                pass

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(begun.id, begun.name, "".join(pieces)) for begun, pieces in self._calls.values())


class Answer(InnerClient):
    """`say` hands a message to the client and waits while it does not read; `result_of`
    reads a whole answer. `headers` and `key_name` are the connection's."""

    def __init__(self, request_id: RequestId, say: Say, headers: dict[bytes, bytes], key_name: str) -> None:
        super().__init__(key_name)
        self.headers = headers
        self.call: Call | None = None
        self._request_id = request_id
        self.say = say
        self.result_of: Result = _text_told
        self._decoder = openai_chat.StreamDecoder()
        self._pieces = _Pieces()
        self._texts = 0
        self._thoughts = 0

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        await self.say(self.result_of(self._request_id, body, self._served()))

    async def start(self, status: int, headers: Headers) -> None:
        """Nothing is said: the client knows already that its request was taken."""

    async def write(self, chunk: bytes) -> None:
        await self._tell(self._decoder.feed(chunk))

    async def end(self, chunk: bytes = b"") -> None:
        broken = None if self.call is None else self.call.broken
        if broken is not None:
            await self.fail(broken)
            return
        try:
            await self._tell(self._decoder.feed(chunk))
            await self._tell(self._decoder.finish())
        except JackfieldError as error:
            await self.fail(error)
            return
        await self.say(self._complete())

    async def fail(self, error: JackfieldError) -> None:
        await self.say(inference_error(self._request_id, error))

    async def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case TextDelta(_, text) if text:
                    await self.say(InferenceChunk(self._request_id, text, self._texts))
                    self._texts += 1
                case ReasoningDelta(_, text) if text:
                    await self.say(InferenceReasoning(self._request_id, text, self._thoughts))
                    self._thoughts += 1
                case _:
                    self._pieces.note(event)

    def _complete(self) -> InferenceComplete:
        told = self._pieces
        return InferenceComplete(
            self._request_id,
            self._texts,
            told.model,
            told.finish_reason,
            tokens(told.usage),
            told.tool_calls,
            self._served(),
        )

    def _served(self) -> Served:
        call = self.call
        if call is None or call.binding is None:
            return Served(None if call is None else call.request_id)
        return Served(call.request_id, call.slot_number, call.binding.info.id)


def tokens(usage: Usage | None) -> Tokens | None:
    return None if usage is None else Tokens(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


def _text_told(request_id: RequestId, body: bytes, served: Served) -> InferenceResult:
    reply = openai_chat.decode_reply(body)
    parts = reply.message.parts
    return InferenceResult(
        request_id,
        "".join(part.text for part in parts if isinstance(part, TextPart | RefusalPart)),
        reply.model,
        TEXT_GENERATION,
        reply.finish_reason,
        tokens(reply.usage),
        "".join(part.text for part in parts if isinstance(part, ReasoningPart)),
        tuple(ToolCall(part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCallPart)),
        served,
    )
