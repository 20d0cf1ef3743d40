"""Files and batches as OpenAI writes them, and what a client says of them read and checked. Pure."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.usage import Usage
from jackfield.dialects.json_value import field_value, missing, read_object, wrong_type
from jackfield.gateway.batches.engine import BatchOrder
from jackfield.store.batches import BatchProblem, StoredBatch
from jackfield.store.files import StoredFile

TTL_MIN_S, TTL_MAX_S = 3600, 30 * 86_400
METADATA_MAX, NAME_MAX_CHARS, VALUE_MAX_CHARS = 16, 64, 512
WINDOW_MAX_H = 720
_WINDOW = re.compile(r"([1-9][0-9]{0,2})(h|d)", re.ASCII)
_KNOWN = frozenset({"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"})
_TIMES = (
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


def _usage(usage: Usage) -> dict[str, Any]:
    """Of all lines together; without the tokens written to a cache, for which a batch has no place."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def file_object(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def batch_object(batch: StoredBatch) -> dict[str, Any]:
    # The ids of the files are settled before the files are there.
    has_files = not batch.is_open
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": _errors(batch.problems),
        "input_file_id": batch.input_file_id,
        "completion_window": batch.completion_window,
        "status": batch.status,
        "output_file_id": batch.output_file_id if has_files else None,
        "error_file_id": batch.error_file_id if has_files else None,
        "created_at": batch.created_at,
        **{name: getattr(batch, name) for name in _TIMES},
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": batch.metadata,
        "model": batch.model,
        "usage": None if batch.usage is None else _usage(batch.usage),
    }


def _errors(problems: Collection[BatchProblem]) -> dict[str, Any] | None:
    if not problems:
        return None
    data = [{"code": each.code, "line": each.line, "message": each.message, "param": each.param} for each in problems]
    return {"object": "list", "data": data}


def read_order(fields: Mapping[str, msgspec.Raw], endpoints: Collection[str]) -> BatchOrder:
    """The body of POST /v1/batches. Raises BadRequest naming the field."""
    endpoint = _text(fields, "endpoint")
    if endpoint not in endpoints:
        raise BadRequest(f"endpoint must be one of {', '.join(endpoints)}, got {endpoint[:80]!r}", param="endpoint")
    window = _text(fields, "completion_window")
    return BatchOrder(
        endpoint,
        _text(fields, "input_file_id"),
        window,
        _window_s(window),
        _metadata(fields),
        _output_ttl_s(fields),
    )


def left_out(fields: Mapping[str, msgspec.Raw]) -> tuple[str, ...]:
    """What a body says that a batch has no place for."""
    return tuple(name for name in fields if name not in _KNOWN)


def _text(fields: Mapping[str, msgspec.Raw], name: str) -> str:
    value = field_value(name, fields[name]) if name in fields else None
    if value is None:
        raise missing(name)
    if not isinstance(value, str):
        raise wrong_type(name, "a string", value)
    return value


def _window_s(said: str) -> int:
    found = _WINDOW.fullmatch(said)
    hours = 0 if found is None else int(found[1]) * (24 if found[2] == "d" else 1)
    if not 1 <= hours <= WINDOW_MAX_H:
        raise BadRequest(
            f'completion_window must be hours or days up to {WINDOW_MAX_H}h, such as "24h", got {said[:40]!r}',
            param="completion_window",
        )
    return hours * 3600


def _metadata(fields: Mapping[str, msgspec.Raw]) -> dict[str, str] | None:
    value = field_value("metadata", fields["metadata"]) if "metadata" in fields else None
    if value is None:
        return None
    pairs = read_object(value, "metadata")
    if len(pairs) > METADATA_MAX:
        raise BadRequest(f"metadata has {len(pairs)} pairs, and {METADATA_MAX} are the most", param="metadata")
    for name, said in pairs.items():
        if not isinstance(said, str):
            raise wrong_type(f"metadata.{name[:80]}", "a string", said)
        if len(name) > NAME_MAX_CHARS or len(said) > VALUE_MAX_CHARS:
            raise BadRequest(
                f"metadata: names have {NAME_MAX_CHARS} characters at most, values {VALUE_MAX_CHARS}",
                param=f"metadata.{name[:80]}",
            )
    return pairs


def _output_ttl_s(fields: Mapping[str, msgspec.Raw]) -> int | None:
    name = "output_expires_after"
    value = field_value(name, fields[name]) if name in fields else None
    if value is None:
        return None
    said = read_object(value, name)
    return ttl_s(said.get("anchor"), said.get("seconds"), f"{name}.anchor", f"{name}.seconds")


def ttl_s(anchor: object, seconds: object, anchor_at: str, seconds_at: str) -> int:
    """How long a file is kept. Raises BadRequest."""
    if anchor != "created_at":
        raise BadRequest(f"{anchor_at} must be created_at", param=anchor_at)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not TTL_MIN_S <= seconds <= TTL_MAX_S:
        raise BadRequest(f"{seconds_at} must be a whole number from {TTL_MIN_S} to {TTL_MAX_S}", param=seconds_at)
    return seconds
