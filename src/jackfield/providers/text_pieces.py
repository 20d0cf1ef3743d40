"""From tokens to the text that may be shown: characters only when they are whole, and no beginning of a stop string.

Pure: the tokenizer comes in as a function.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Literal

Decode = Callable[[list[int]], str]
UNFINISHED = "\ufffd"


class TextPieces:
    """The text of one answer as its tokens come; `reason` is set once nothing more belongs to it.

    `ends` are tokens that end the answer. `before` are the tokens that it goes on after, where it is no new turn: some
    tokenizers write a word differently inside a text than at its beginning.
    """

    def __init__(
        self,
        decode: Decode,
        *,
        stop: Sequence[str] = (),
        ends: Collection[int] = (),
        max_tokens: int | None = None,
        before: Sequence[int] = (),
    ) -> None:
        self._decode = decode
        self._stop = tuple(text for text in stop if text)
        self._ends = frozenset(ends)
        self._max_tokens = max_tokens
        self._tokens = list(before)
        self._shown_from, self._shown_to = 0, len(self._tokens)
        self._held = ""
        self.count = 0
        self.reason: Literal["stop", "length"] | None = None

    def feed(self, token: int) -> str:
        """The text that this token adds for certain, perhaps none. Counts every token; after the end it adds nothing."""
        if self.reason is not None:
            return ""
        self.count += 1
        if token in self._ends:
            self._end("stop")
            return self._rest()
        self._tokens.append(token)
        shown = self._until_stop(self._fresh(is_last=False))
        if self.count == self._max_tokens:
            shown += self._rest()
            self._end("length")
        return shown

    def finish(self) -> str:
        """What is left when no more tokens come."""
        if self.reason is not None:
            return ""
        shown = self._rest()
        self._end("length")
        return shown

    def _end(self, reason: Literal["stop", "length"]) -> None:
        self.reason = self.reason or reason

    def _rest(self) -> str:
        shown = self._until_stop(self._fresh(is_last=True))
        held, self._held = self._held, ""
        return shown + held

    def _fresh(self, *, is_last: bool) -> str:
        """New text, told by comparing: a few tokens with and without those that are not shown yet."""
        old = self._decode(self._tokens[self._shown_from : self._shown_to])
        text = self._decode(self._tokens[self._shown_from :])
        if len(text) <= len(old) or (text.endswith(UNFINISHED) and not is_last):
            return ""
        self._shown_from, self._shown_to = self._shown_to, len(self._tokens)
        return text[len(old) :]

    def _until_stop(self, text: str) -> str:
        held = self._held + text
        cuts = [place for place in (held.find(stop) for stop in self._stop) if place >= 0]
        if cuts:
            self._held = ""
            self._end("stop")
            return held[: min(cuts)]
        kept = max((_overlap(held, stop) for stop in self._stop), default=0)
        self._held = held[len(held) - kept :]
        return held[: len(held) - kept]


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of `text` may be the beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
