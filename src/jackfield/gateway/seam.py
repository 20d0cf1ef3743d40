"""Where one source's text ends and another's begins: what of the second one the client has already.

Pure: text in, text out. Knows nothing of streams, sources or messages.
"""

REPEATED_MIN_CHARS = 8
"""Fewer characters that come again may well be the answer going on; more are a source that repeats what it was given."""


class Seam:
    """Joins a new text to `sent`, however it is cut. `feed` and `finish` give what is to follow `sent`.

    A new text that goes on after `sent` (which was given to its source without the white space at its end) is joined to it; if
    it repeats `sent` first, that is left out. With `anew` the new text is a whole answer: as far as it says the same again it
    is left out, and where it does not, `has_parted` becomes true and all of it is given.
    """

    def __init__(self, sent: str, *, anew: bool) -> None:
        self._expected = sent.rstrip()
        self._blank = sent[len(self._expected) :]
        self._anew = anew
        self._at = 0
        self._is_repeating = bool(self._expected) and (anew or len(self._expected) >= REPEATED_MIN_CHARS)
        self.has_parted = False

    def feed(self, text: str) -> str:
        if not text:
            return ""
        if not self._is_repeating:
            return self._after_blank(text)
        if self._expected.startswith(text, self._at):
            self._at += len(text)
            self._is_repeating = self._at < len(self._expected)
            return ""
        left = len(self._expected) - self._at
        if len(text) > left and self._expected.endswith(text[:left]):
            self._is_repeating = False
            return self._after_blank(text[left:])
        return self._part(text)

    def finish(self) -> str:
        """What was held back, when the new text is at its end."""
        return self._part("") if self._is_repeating else ""

    def _part(self, text: str) -> str:
        """The new text is no repetition: what looked like one belongs to it."""
        held = self._expected[: self._at] + text
        self._is_repeating = False
        if not self._anew:
            return self._after_blank(held)
        self.has_parted = True
        self._blank = ""
        return held

    def _after_blank(self, text: str) -> str:
        """Leaves out the white space that the client has: sources begin with it anew."""
        blank = self._blank
        if not blank:
            return text
        common = next((at for at, (mine, new) in enumerate(zip(blank, text, strict=False)) if mine != new), None)
        if common is None:
            common = min(len(blank), len(text))
            self._blank = blank[common:]
        else:
            self._blank = ""
        return text[common:]
