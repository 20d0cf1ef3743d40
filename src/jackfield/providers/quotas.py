"""Rate limits as sources tell them in the headers of their answers, and the trait of a provider that hands them on.

Knows the headers of OpenAI and its kin (x-ratelimit-remaining-requests), Anthropic (anthropic-ratelimit-requests-remaining) and
OpenRouter (x-ratelimit-remaining). They are kept as they came and read only when somebody asks. Sources, October 2026:
platform.openai.com/docs/guides/rate-limits, docs.anthropic.com/en/api/rate-limits, openrouter.ai/docs/api-reference/limits.
"""

import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from jackfield.core.contracts import ReportsQuota
from jackfield.core.quotas import Allowance, Quota
from jackfield.providers.http_source import HttpSource
from jackfield.providers.refusal import retry_after_s

Headers = Sequence[tuple[bytes, bytes]]
_WORDS = {"limit": "limit", "remaining": "remaining", "reset": "resets_in_s"}
_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-", "ratelimit-")
_DURATION = re.compile(r"(?P<count>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EPOCH_S, _EPOCH_MS = 1e9, 1e12
REQUESTS = "requests"


class TellsQuota:
    """For providers whose calls go through one HttpSource."""

    _source: HttpSource

    def quota(self) -> Quota | None:
        """None before the first answer, and where the source says nothing of limits."""
        told_at = self._source.answered_at
        ago_s = 0.0 if told_at is None else time.monotonic() - told_at
        return read_quota(self._source.answer_headers, ago_s=ago_s, now=time.time())


def read_quota(headers: Headers, *, ago_s: float, now: float) -> Quota | None:
    """`now` in Unix seconds; what cannot be read is left out."""
    found: dict[str, dict[str, float]] = {}
    for name, value in _told(headers):
        counted, word = _split(name)
        if word is None:
            continue
        amount = _seconds(value, now - ago_s) if word == "reset" else _count(value)
        if amount is not None:
            found.setdefault(counted, {})[_WORDS[word]] = amount
    wait_s = retry_after_s({name.lower(): value for name, value in headers}, now)
    if not found and wait_s is None:
        return None
    return Quota({counted: _allowance(said) for counted, said in sorted(found.items())}, wait_s, round(ago_s, 3))


def _allowance(said: dict[str, float]) -> Allowance:
    limit, remaining = said.get("limit"), said.get("remaining")
    return Allowance(
        None if limit is None else int(limit), None if remaining is None else int(remaining), said.get("resets_in_s")
    )


def _told(headers: Headers) -> Iterator[tuple[str, str]]:
    """Those of the headers that tell of limits, without their beginning."""
    for raw, value in headers:
        name = raw.decode("latin-1").lower()
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        if prefix is not None:
            yield name[len(prefix) :], value.decode("latin-1").strip()


def _split(name: str) -> tuple[str, str | None]:
    """`remaining-requests` and `requests-remaining` are the same; `remaining` alone counts requests."""
    for word in _WORDS:
        if name == word:
            return REQUESTS, word
        if name.startswith(f"{word}-"):
            return name[len(word) + 1 :], word
        if name.endswith(f"-{word}"):
            return name[: -len(word) - 1], word
    return name, None


def _count(value: str) -> float | None:
    return float(value) if value.isascii() and value.isdigit() and len(value) < 16 else None


def _seconds(value: str, told_at: float) -> float | None:
    """ "6m0s", "20ms", seconds, a moment in Unix seconds or milliseconds, or a date."""
    pieces = list(_DURATION.finditer(value))
    if pieces and "".join(piece[0] for piece in pieces) == value:
        return sum(float(piece["count"]) * _UNIT_S[piece["unit"]] for piece in pieces)
    try:
        number = float(value)
    except ValueError:
        return _until(value, told_at)
    if number >= _EPOCH_MS:
        number = number / 1000 - told_at
    elif number >= _EPOCH_S:
        number -= told_at
    return max(0.0, round(number, 3))


def _until(value: str, told_at: float) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo is None else max(0.0, round(moment.timestamp() - told_at, 3))


_satisfies: type[ReportsQuota] = TellsQuota
