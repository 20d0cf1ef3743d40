"""Stream events that differ from the one before in their text alone: read without decoding them again.

Nearly every event of a stream is such a one. Knows where an event of one text has that text, and the bytes around it; what
the event means was found by the decoder that read the one before.

Why it is right: what was read once is `head`, a JSON string, `tail`. Trial shows, when a Repeat is made, that with another
string between the two just the event's text is another one. So whatever begins with `head` and goes on with one JSON string
and `tail` is the same event with that text. Whatever else comes is read in full. A second string that means nothing may
differ too: the same holds for it.
"""

import re
from typing import Any, TypeAlias

import msgspec

from jackfield.core.events import Event, ReasoningDelta, TextDelta, ToolCallDelta
from jackfield.dialects.json_value import Object

_decode = msgspec.json.Decoder().decode
_text_of = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
FILLER_FIELD = "obfuscation"
"""A text of random length that says nothing, so that nobody can tell from an event's size what it holds."""
_FRAME_START = b"data: "
_FRAME_END = b"\n\n"

_GROWTHS = (TextDelta, ReasoningDelta, ToolCallDelta)
Growth: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta


class Repeat:
    """One event's bytes around its text. `took_any` tells whether another one fitted.

    `end` is not empty where a second string differs each time and means nothing: then `tail` goes as far as its opening quote,
    and `end` begins with its closing one.
    """

    __slots__ = ("_end", "_head", "_head_bytes", "_index", "_kind", "_tail", "_tail_bytes", "took_any")

    def __init__(self, head: bytes, tail: bytes, end: bytes, growth: Growth) -> None:
        self._head = _FRAME_START + head
        self._tail = tail if end else tail + _FRAME_END
        self._end = end and end + _FRAME_END
        self._head_bytes, self._tail_bytes = len(self._head), len(self._tail)
        self._kind: type[TextDelta] | type[ReasoningDelta] | type[ToolCallDelta] = type(growth)
        self._index = growth.index
        self.took_any = False

    def take(self, data: bytes, events: list[Event]) -> bool:
        """Adds the event if `data` (of one SSE event) is the same as before but for the text; whether it is."""
        return b"\n" not in data and self.take_frames(_FRAME_START + data + _FRAME_END, events) > 0

    def take_frames(self, chunk: bytes, events: list[Event]) -> int:
        """Adds the events of as many whole SSE frames as are the same but for the text; how many bytes those were.

        Only for a chunk that begins where a frame begins.
        """
        head, tail, after_head = self._head, self._tail, self._head_bytes
        at = 0
        while chunk.startswith(head, at):
            closing = chunk.find(tail, at + after_head)
            if closing < 0 or not (text := _one_text(chunk[at + after_head - 1 : closing + 1])):
                break
            after = closing + self._tail_bytes
            if self._end and not (after := self._passed(chunk, after)):
                break
            events.append(self._kind(self._index, text))
            at = after
            self.took_any = True
        return at

    def _passed(self, chunk: bytes, begin: int) -> int:
        """Where the frame ends whose second string begins at `begin`; 0 where that is no string or the end another."""
        closing = chunk.find(self._end, begin)
        if closing < 0 or _one_text(chunk[begin - 1 : closing + 1]) is None:
            return 0
        return closing + len(self._end)


def _one_text(written: bytes) -> str | None:
    """The text, if this is exactly one JSON string."""
    try:
        return _text_of(written)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def repeat_of(data: bytes, chunk: Object, growth: Event) -> Repeat | None:
    """How more events like this one would look; None where it says more than one text, or its text is not found in `data`.

    `chunk` is the decoded `data`, and `growth` the last event that it gave.
    """
    if not isinstance(growth, _GROWTHS) or b"\n" in data:
        return None
    found = _only_text(chunk)
    if found is None:
        return None
    owner, name = found
    if not owner[name] or owner[name] != (growth.arguments if isinstance(growth, ToolCallDelta) else growth.text):
        return None
    hole = _hole(data, chunk, owner, name)
    if hole is None or not isinstance(chunk.get(FILLER_FIELD), str):
        return hole and Repeat(*hole, b"", growth)
    head, tail = hole
    filler = _hole(data, chunk, chunk, FILLER_FIELD)
    between = filler and data[len(data) - len(tail) : len(filler[0])]
    return Repeat(head, between, filler[1], growth) if filler and between else None


def _only_text(chunk: Object) -> tuple[Object, str] | None:
    """The object that holds the one text of a chunk, and its name there; None for a chunk that says anything beside it."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return None
    choice = choices[0]
    if choice.get("finish_reason") is not None or choice.get("logprobs") is not None or choice.get("error") is not None:
        return None
    owner, name = _only_field(choice.get("delta"), "role")
    if name == "tool_calls" and isinstance(owner[name], list) and len(owner[name]) == 1:
        owner, name = _only_field(owner[name][0], "index", "type")
        owner, name = _only_field(owner[name], "") if name == "function" else ({}, "")
    return (owner, name) if isinstance(owner.get(name), str) else None


def _only_field(value: Any, *beside: str) -> tuple[Object, str]:
    """The object, and the name of its only field that is not null and not one of `beside`; "" where there is no such one."""
    if not isinstance(value, dict):
        return {}, ""
    names = [name for name, item in value.items() if item is not None and name not in beside]
    return (value, names[0]) if len(names) == 1 else ({}, "")


def _hole(data: bytes, chunk: Object, owner: Object, name: str) -> tuple[bytes, bytes] | None:
    """`data` up to the text under `name`, with its opening quote, and from its closing quote on; None where it is not found.

    It is found when another text there is that text of `owner` (a part of `chunk`, which is the decoded `data`) and no more.
    """
    label = _encode(name) + b":"
    found = data.rfind(label)
    begin = found + len(label)
    begin += data.startswith(b" ", begin)
    written = _STRING.match(data, begin) if found >= 0 else None
    if written is None:
        return None
    head, tail = data[: begin + 1], data[written.end() - 1 :]
    trial = "other" if owner[name] != "other" else "another"
    return (head, tail) if _is_same(head + trial.encode() + tail, chunk, owner, name, trial) else None


def _is_same(data: bytes, chunk: Object, owner: Object, name: str, trial: str) -> bool:
    """Whether `data` decodes as `chunk` would be with `trial` under `name` of `owner`."""
    try:
        decoded = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    text = owner[name]
    owner[name] = trial
    is_same = bool(decoded == chunk)
    owner[name] = text
    return is_same
