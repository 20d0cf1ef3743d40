"""From what a program writes to the events of an answer: plain text as it comes, or JSON lines by a row's rules.

Pure: bytes in, events out. Lines that no rule knows are passed over, as new versions of programs write new ones.
"""

import codecs
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, StreamBroken, Unavailable
from jackfield.core.events import Event, Finished, PartEnded, PartStarted, ReasoningDelta, Started, TextDelta, UsageReported
from jackfield.core.usage import Usage
from jackfield.dialects.openai_errors import decode_error
from jackfield.providers.command_rows import LineRule

ERROR_MAX_CHARS = 400


class Pieces:
    """Text and reasoning, in the order in which they come, as parts of one answer. `warnings` are told when it begins."""

    def __init__(self, model: str, warnings: Sequence[str] = ()) -> None:
        self.model = model
        self._warnings = warnings
        self.usage: Usage | None = None
        self._has_started = False
        self._open: str | None = None
        self._count = 0

    @property
    def is_empty(self) -> bool:
        return self._count == 0

    def text(self, text: str) -> Iterator[Event]:
        if text:
            yield from self._turn_to("text")
            yield TextDelta(self._count - 1, text)

    def reasoning(self, text: str) -> Iterator[Event]:
        if text:
            yield from self._turn_to("reasoning")
            yield ReasoningDelta(self._count - 1, text)

    def end(self) -> Iterator[Event]:
        yield from self._start()
        yield from self._close()
        if self.usage is not None:
            yield UsageReported(self.usage)
        yield Finished("stop")

    def _start(self) -> Iterator[Event]:
        if not self._has_started:
            self._has_started = True
            yield Started(self.model, extra={"warnings": list(self._warnings)} if self._warnings else {})

    def _turn_to(self, kind: Any) -> Iterator[Event]:
        yield from self._start()
        if self._open != kind:
            yield from self._close()
            self._open = kind
            self._count += 1
            yield PartStarted(self._count - 1, kind)

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            self._open = None
            yield PartEnded(self._count - 1)


class TextOutput:
    """The output is the answer. UTF-8, cut anywhere; white space and the `end_mark` at its end are the program's own."""

    def __init__(self, model: str, *, end_mark: str = "") -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pieces = Pieces(model)
        self._end_mark = end_mark
        self._held = ""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        text = self._held + self._decoder.decode(chunk)
        said = text[: self._sure(text)]
        self._held = text[len(said) :]
        yield from self._pieces.text(said)

    def finish(self) -> Iterator[Event]:
        """Raises StreamBroken for a program that ended well and said nothing at all."""
        rest = (self._held + self._decoder.decode(b"", True)).rstrip()
        yield from self._pieces.text(rest.removesuffix(self._end_mark).rstrip() if self._end_mark else rest)
        if self._pieces.is_empty:
            raise StreamBroken("the program ended without an answer")
        yield from self._pieces.end()

    def _sure(self, text: str) -> int:
        """How much of `text` is the answer's, whatever comes: not what may be the beginning of its end."""
        end = len(text.rstrip())
        mark = self._end_mark
        for size in range(min(len(mark), end), 0, -1):
            if text[:end].endswith(mark[:size]):
                return len(text[: end - size].rstrip())
        return end


class LineOutput:
    """JSON lines. `finish` raises StreamBroken where no line said anything."""

    def __init__(self, rules: Sequence[LineRule], model: str, provider: str, warnings: Sequence[str] = ()) -> None:
        self._rules = rules
        self._pieces = Pieces(model, warnings)
        self._provider = provider
        self._has_result = False

    def feed(self, line: bytes) -> Iterator[Event]:
        """Raises the error that a line tells of."""
        said = _object(line)
        rule = None if said is None else next((rule for rule in self._rules if _fits(rule, said)), None)
        if rule is None or said is None:
            return
        if rule.error is not None:
            raise self._error(rule, said)
        self._note(rule, said)
        yield from self._pieces.reasoning(_text(said, rule.reasoning))
        yield from self._pieces.text(_text(said, rule.text))
        if rule.whole is not None:
            self._has_result = True
            if self._pieces.is_empty:
                yield from self._pieces.text(_text(said, rule.whole))

    def finish(self) -> Iterator[Event]:
        if self._pieces.is_empty and not self._has_result:
            raise StreamBroken("the program ended without an answer", provider=self._provider)
        yield from self._pieces.end()

    def _note(self, rule: LineRule, said: Mapping[str, Any]) -> None:
        if rule.model is not None:
            self._pieces.model = _text(said, rule.model) or self._pieces.model
        if rule.prompt_tokens or rule.completion_tokens:
            self._has_result = True  # it counted its tokens: an answer without words is still its answer
            self._pieces.usage = Usage(
                prompt_tokens=_sum(said, rule.prompt_tokens),
                completion_tokens=_sum(said, rule.completion_tokens),
                cached_tokens=_sum(said, rule.cached_tokens),
            )

    def _error(self, rule: LineRule, said: Mapping[str, Any]) -> JackfieldError:
        text = _text(said, rule.error)[:ERROR_MAX_CHARS] or "the program failed and did not say why"
        status = None if rule.status is None else _value(said, rule.status)
        if isinstance(status, int) and status >= 400:
            return decode_error(status, text.encode(), provider=self._provider)
        return Unavailable(text, provider=self._provider)


def _object(line: bytes) -> Mapping[str, Any] | None:
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        said = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return said if isinstance(said, Mapping) else None


def _fits(rule: LineRule, said: Mapping[str, Any]) -> bool:
    return all(_value(said, path) == wanted for path, wanted in rule.when.items())


def _value(said: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(said, Mapping):
            return None
        said = said.get(name)
    return said


def _text(said: Mapping[str, Any], path: str | None) -> str:
    found = None if path is None else _value(said, path)
    return found if isinstance(found, str) else ""


def _sum(said: Mapping[str, Any], paths: Sequence[str]) -> int:
    numbers = [_value(said, path) for path in paths]
    return sum(number for number in numbers if isinstance(number, int) and not isinstance(number, bool))
