"""Answers that were given before, for requests that are word for word the same.

Knows fields and bytes, not slots or clients: whoever asks says which model of which source really answers, and for whom.
Holds whole, good answers only, within a bound of bytes and of age. Whether a request wants one is decided here too.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b

import msgspec

from jackfield.core.usage import Usage

KEY_BYTES = 24
ENTRY_OVERHEAD_BYTES = 512
"""What an entry takes besides its body: key, dictionary, usage, object headers."""

# They change how an answer is sent or who is noted as asking, never what is said.
_NOT_IN_THE_KEY = frozenset({"model", "stream", "stream_options", "user", "safety_identifier", "prompt_cache_key"})
_WISHES: Mapping[bytes, bool] = {b"1": True, b"true": True, b"0": False, b"false": False}
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode


class CacheSettings(msgspec.Struct, frozen=True):
    """Bounds. `max_bytes` for everything, `max_answer_bytes` for one answer; older than `ttl_s` seconds is forgotten."""

    max_bytes: int = 64 * 1024 * 1024
    max_answer_bytes: int = 1024 * 1024
    ttl_s: float = 3600.0


class CachedAnswer(msgspec.Struct, frozen=True):
    """A whole answer in the dialect of its key. `stored_at` is in clock seconds."""

    body: bytes
    usage: Usage | None
    stored_at: float

    @property
    def size_bytes(self) -> int:
        return len(self.body) + ENTRY_OVERHEAD_BYTES


def wish(header: bytes | None) -> bool | None:
    """What `x-jackfield-cache` asks: True yes, False no, None (absent or unreadable) leaves it to the temperature."""
    return None if header is None else _WISHES.get(header.strip().lower())


def is_cacheable(fields: Mapping[str, msgspec.Raw], asked: bool | None = None) -> bool:
    """May this request be answered from the cache, and its answer be kept? By default only what says temperature 0.

    `fields` are those that go upstream, the slot's own settings filled in.
    """
    return _is_zero(fields.get("temperature")) if asked is None else asked


def answer_key(dialect: str, source: str, fields: Mapping[str, msgspec.Raw], *, scope: str = "") -> bytes:
    """The same for requests that must have the same answer, whatever the spacing and order of their fields.

    `source` is what really answers, e.g. "openai/gpt-5" and not a slot's name, which may come to mean another. Answers never
    cross from one `scope` to another: give each client key its own where clients must not see that others asked.
    """
    told = {name: raw for name, raw in fields.items() if name not in _NOT_IN_THE_KEY}
    try:
        canonical = _encode([dialect, source, scope, {name: _decode(raw) for name, raw in told.items()}])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        # Numbers or strings that we cannot read but a source might: the same spelling is still the same request.
        canonical = _encode([dialect, source, scope, told, "as written"])
    return blake2b(canonical, digest_size=KEY_BYTES).digest()


class AnswerCache:
    """Least recently used goes first. One event loop only; `clock` gives monotonic seconds."""

    def __init__(self, settings: CacheSettings, clock: Callable[[], float]) -> None:
        self.settings = settings
        self._clock = clock
        self._answers: OrderedDict[bytes, CachedAnswer] = OrderedDict()
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._answers)

    def peek(self, key: bytes) -> CachedAnswer | None:
        """As `get`, where another key will be tried: a miss is not counted."""
        answer = self.get(key)
        self.misses -= answer is None
        return answer

    def get(self, key: bytes) -> CachedAnswer | None:
        """The answer kept for `key`, counted as a hit; None, counted as a miss, when there is none or it is too old."""
        answer = self._answers.get(key)
        if answer is not None and self._is_fresh(answer):
            self._answers.move_to_end(key)
            self.hits += 1
            return answer
        if answer is not None:
            self._drop(key)
        self.misses += 1
        return None

    def put(self, key: bytes, body: bytes, usage: Usage | None) -> bool:
        """Keeps a whole, good answer; False when it is over the bound of one answer."""
        if len(body) > self.settings.max_answer_bytes:
            return False
        answer = CachedAnswer(bytes(body), usage, self._clock())
        if answer.size_bytes > self.settings.max_bytes:
            return False
        self._drop(key)
        self._answers[key] = answer
        self.size_bytes += answer.size_bytes
        while self.size_bytes > self.settings.max_bytes:
            self._drop(next(iter(self._answers)))
            self.evictions += 1
        return True

    def clear(self) -> None:
        self._answers.clear()
        self.size_bytes = 0

    def _is_fresh(self, answer: CachedAnswer) -> bool:
        return self._clock() - answer.stored_at < self.settings.ttl_s

    def _drop(self, key: bytes) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self.size_bytes -= answer.size_bytes


def _is_zero(raw: msgspec.Raw | None) -> bool:
    if raw is None:
        return False
    try:
        return float(bytes(raw)) == 0.0
    except ValueError:
        return False
