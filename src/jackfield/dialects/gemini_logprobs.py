"""Token probabilities between Gemini's `logprobsResult` and the entries that core keeps, which have OpenAI's shape."""

from collections.abc import Sequence
from typing import Any

from jackfield.dialects.json_value import Object


def read_logprobs(value: Any) -> tuple[Any, ...]:
    """One entry for each chosen token, with the other likely ones."""
    if not isinstance(value, dict):
        return ()
    chosen, top = value.get("chosenCandidates"), value.get("topCandidates")
    others = top if isinstance(top, list) else []
    entries: list[Object] = []
    for index, candidate in enumerate(chosen if isinstance(chosen, list) else ()):
        if isinstance(candidate, dict):
            beside = others[index].get("candidates") if index < len(others) and isinstance(others[index], dict) else None
            rivals = [_entry(item) for item in (beside if isinstance(beside, list) else ()) if isinstance(item, dict)]
            entries.append(_entry(candidate) | {"top_logprobs": rivals})
    return tuple(entries)


def _entry(candidate: Object) -> Object:
    token = candidate.get("token")
    text = token if isinstance(token, str) else ""
    return {"token": text, "logprob": candidate.get("logProbability", 0.0), "bytes": list(text.encode())}


def encode_logprobs(entries: Sequence[Any]) -> Object:
    """A `logprobsResult`; entries that are no objects are passed over."""
    given = [entry for entry in entries if isinstance(entry, dict)]
    return {
        "chosenCandidates": [_candidate(entry) for entry in given],
        "topCandidates": [{"candidates": [_candidate(rival) for rival in entry.get("top_logprobs") or ()]} for entry in given],
    }


def _candidate(entry: Object) -> Object:
    return {"token": entry.get("token", ""), "logProbability": entry.get("logprob", 0.0)}
