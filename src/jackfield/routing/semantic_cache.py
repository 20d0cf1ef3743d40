"""Answers that were given before to questions that mean the same: near by the vectors of their texts.

Only the text of the last message is compared by meaning. Everything else of a request (who asks, what really answers, system
prompt, earlier turns, parameters, tools) must be the same, and so must the figures in that text: whatever is near in meaning,
2023 is not 2024. Knows fields, vectors and bytes, not who makes the vectors. Needs numpy, loaded when a cache is made.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from jackfield.core.errors import JackfieldError, MissingExtra
from jackfield.core.usage import Usage
from jackfield.routing.cache import CachedAnswer, answer_key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

Embed = Callable[[str], Awaitable[Sequence[float]]]
"""A text as a vector; all vectors of one length. Raises JackfieldError."""
ASKED = b"semantic"
"""What `x-jackfield-cache` says for it."""
_FIGURES = re.compile(r"\d+(?:[.,:/]\d+)*")


class SemanticSettings(msgspec.Struct, frozen=True):
    """`threshold` is the least cosine similarity, 0 to 1. Questions longer than `max_question_chars` are not compared.

    A vector that takes longer than `embed_within_s` seconds is not waited for. Bounds of answers as in cache.py.
    """

    threshold: float = 0.95
    max_answers: int = 1024
    max_bytes: int = 32 * 1024 * 1024
    max_answer_bytes: int = 1024 * 1024
    ttl_s: float = 3600.0
    max_question_chars: int = 8000
    embed_within_s: float = 2.0


class Question(msgspec.Struct, frozen=True):
    """What is compared by meaning, and the key of all that must be the same."""

    text: str
    scope: bytes


class Asked(msgspec.Struct, frozen=True):
    """A question with its vector and what was found near it: `answer` with its `similarity`, or neither."""

    question: Question
    vector: Any
    answer: CachedAnswer | None = None
    similarity: float = 0.0


class _Entry(msgspec.Struct, frozen=True):
    scope: bytes
    answer: CachedAnswer
    size_bytes: int


def is_asked(header: bytes | None) -> bool:
    """Whether `x-jackfield-cache` asks for it; nobody gets another question's answer who did not."""
    return header is not None and header.strip().lower() == ASKED


def question(dialect: str, source: str, fields: Mapping[str, msgspec.Raw], *, scope: str = "") -> Question | None:
    """The question of a chat body whose last message is the user's and holds nothing but text; None for any other.

    `source` and `scope` as for `answer_key`.
    """
    try:
        *earlier, last = msgspec.json.decode(fields.get("messages", b""))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError, ValueError):
        return None
    text = _text(last)
    if text is None or not text.strip():
        return None
    around = {name: value for name, value in last.items() if name != "content"}
    rest = msgspec.json.encode([earlier, around, _FIGURES.findall(text)])
    return Question(text, answer_key(dialect, source, {**fields, "messages": msgspec.Raw(rest)}, scope=scope))


class SemanticCache:
    """Least recently used goes first. One event loop only; `clock` gives monotonic seconds.

    Raises MissingExtra when numpy is not installed.
    """

    def __init__(self, settings: SemanticSettings, embed: Embed, clock: Callable[[], float]) -> None:
        self._np = _numpy()
        self.settings = settings
        self._embed = embed
        self._clock = clock
        self._vectors: Vector | None = None  # one row for each answer there is room for
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._rows: dict[bytes, dict[int, None]] = {}
        self._free: list[int] = []
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0
        self.failures = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    async def find(self, question: Question) -> Asked | None:
        """The question with the nearest answer, if one is near enough; None where it cannot be compared."""
        if len(question.text) > self.settings.max_question_chars:
            return None
        vector = await self._vector(question.text)
        if vector is None:
            self.failures += 1
            return None
        row, similarity = self._nearest(question.scope, vector)
        if row is None:
            self.misses += 1
            return Asked(question, vector)
        self._entries.move_to_end(row)
        self.hits += 1
        return Asked(question, vector, self._entries[row].answer, similarity)

    def store(self, asked: Asked, body: bytes, usage: Usage | None) -> bool:
        """Keeps a whole, good answer; False when it is over a bound."""
        settings, vector = self.settings, asked.vector
        answer = CachedAnswer(bytes(body), usage, self._clock())
        size_bytes = answer.size_bytes + vector.nbytes
        if len(body) > settings.max_answer_bytes or size_bytes > settings.max_bytes or settings.max_answers < 1:
            return False
        vectors = self._room_for(vector)
        twin, _ = self._nearest(asked.question.scope, vector)
        if twin is not None:  # somebody asked the same meanwhile
            self._drop(twin)
        while not self._free or self.size_bytes + size_bytes > settings.max_bytes:
            self._drop(next(iter(self._entries)))
            self.evictions += 1
        row = self._free.pop()
        vectors[row] = vector
        self._entries[row] = _Entry(asked.question.scope, answer, size_bytes)
        self._rows.setdefault(asked.question.scope, {})[row] = None
        self.size_bytes += size_bytes
        return True

    def clear(self) -> None:
        self._vectors = None
        self._entries.clear()
        self._rows.clear()
        self.size_bytes = 0

    async def _vector(self, text: str) -> "Vector | None":
        """Of length 1; None where nobody could make one that is of use."""
        try:
            async with asyncio.timeout(self.settings.embed_within_s):
                made = await self._embed(text)
        except (JackfieldError, TimeoutError):
            return None
        vector = self._np.asarray(made, dtype=self._np.float32)
        norm = float(self._np.linalg.norm(vector)) if vector.ndim == 1 and vector.size else 0.0
        return vector / norm if 0.0 < norm < float("inf") else None

    def _nearest(self, scope: bytes, vector: "Vector") -> tuple[int | None, float]:
        """The row of the nearest answer that is near enough and fresh, and how near it is."""
        for row in [row for row in self._rows.get(scope, ()) if not self._is_fresh(row)]:
            self._drop(row)
        rows = list(self._rows.get(scope, ()))
        if not rows or self._vectors is None or self._vectors.shape[1] != vector.size:
            return None, 0.0
        similarities = self._vectors[rows] @ vector
        best = int(similarities.argmax())
        similarity = min(1.0, float(similarities[best]))
        return (rows[best], similarity) if similarity >= self.settings.threshold else (None, similarity)

    def _room_for(self, vector: "Vector") -> "Vector":
        """The rows. Vectors of another length come from another model: those that were kept say nothing beside them."""
        if self._vectors is None or self._vectors.shape[1] != vector.size:
            self.clear()
            self._vectors = self._np.zeros((self.settings.max_answers, vector.size), dtype=self._np.float32)
            self._free = list(range(self.settings.max_answers))
        return self._vectors

    def _is_fresh(self, row: int) -> bool:
        return self._clock() - self._entries[row].answer.stored_at < self.settings.ttl_s

    def _drop(self, row: int) -> None:
        entry = self._entries.pop(row)
        self.size_bytes -= entry.size_bytes
        rows = self._rows[entry.scope]
        del rows[row]
        if not rows:
            del self._rows[entry.scope]
        self._free.append(row)


def _text(message: Any) -> str | None:
    """The text of a message by the user; None if there is anything else in it."""
    if not isinstance(message, dict) or message.get("role") != "user":
        return None
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, dict) and part.keys() == {"type", "text"} for part in content):
        return None
    texts = [part["text"] for part in content if part["type"] == "text"]
    return "\n".join(texts) if len(texts) == len(content) and all(isinstance(text, str) for text in texts) else None


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise MissingExtra("the cache by meaning needs numpy: pip install 'jackfield[semantic]'") from None
    return numpy
