"""Requests that pass through: the client's own fields, of which only what must change is replaced.

The hot path of every same-dialect request: about a microsecond at 2 KB when the quirks need nothing. Values stay undecoded, so
unknown fields and the spelling of numbers survive. Nothing is validated: the source judges what it gets.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

import msgspec

from jackfield.dialects.openai_chat_quirks import REASONING_MODELS_REFUSE, ChatQuirks

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_USAGE_ASKED = msgspec.Raw(b'{"include_usage":true}')
_USAGE_ASKED_BYTES = bytes(_USAGE_ASKED)
_MODELS_REMEMBERED = 256

Fields = Mapping[str, msgspec.Raw]


class SplicePlan:
    """What one source's quirks ask of every request, worked out once (at plug time)."""

    __slots__ = ("_asks_usage", "_drops_nulls", "_is_plain", "_known_models", "_quirks", "_refused")

    def __init__(self, quirks: ChatQuirks) -> None:
        self._quirks = quirks
        self._asks_usage = quirks.stream_usage
        self._drops_nulls = quirks.drop_null_tool_fields
        refused = [*quirks.drop_fields]
        if not quirks.tool_choice:
            refused.append("tool_choice")
        if not quirks.stream_usage:
            refused.append("stream_options")
        self._refused = tuple(refused)
        self._is_plain = not (
            refused
            or quirks.flatten_content
            or quirks.reasoning_models
            or quirks.max_tokens_field is not None
            or quirks.system_role is not None
        )
        self._known_models: dict[str, bool] = {}

    @classmethod
    def of(cls, quirks: ChatQuirks) -> Self:
        return cls(quirks)

    def splice(self, fields: Fields, *, model: str | None, stream: bool) -> bytes:
        """The body to send. `fields` is not changed; `model` None keeps the client's; `stream` says what `fields` ask for."""
        sent = {**fields}
        if model is not None:
            sent["model"] = msgspec.Raw(_encode(model))
        if stream and self._asks_usage:
            asked = fields.get("stream_options")
            sent["stream_options"] = _USAGE_ASKED if asked is None else _with_usage(asked)
        if self._drops_nulls and (tools := fields.get("tools")) is not None:
            sent["tools"] = _without_nulls(tools)
        if not self._is_plain:
            self._apply(sent, model)
        return _encode(sent)

    def dropped(self, fields: Fields, *, model: str | None) -> list[str]:
        """What `splice` leaves out of these fields, one sentence each: for a response header, or an error in strict mode."""
        if self._is_plain:
            return []
        names = [name for name in self._refused if name in fields and name != "stream_options"]
        if self._is_reasoning(fields, model):
            names += [name for name in REASONING_MODELS_REFUSE if name in fields and name not in names]
        return [dropped_warning(name) for name in names]

    def _apply(self, sent: dict[str, msgspec.Raw], model: str | None) -> None:
        is_reasoning = self._is_reasoning(sent, model)
        for name in self._refused:
            sent.pop(name, None)
        if is_reasoning:
            for name in REASONING_MODELS_REFUSE:
                sent.pop(name, None)
        _rename_tokens(sent, "max_completion_tokens" if is_reasoning else self._quirks.max_tokens_field)
        if self._quirks.system_role is not None or self._quirks.flatten_content:
            _rewrite_messages(sent, self._quirks)

    def _is_reasoning(self, fields: Fields, model: str | None) -> bool:
        if not self._quirks.reasoning_models:
            return False
        name = model if model is not None else _text(fields.get("model"))
        known = self._known_models.get(name)
        if known is None:
            known = self._quirks.is_reasoning_model(name)
            if len(self._known_models) < _MODELS_REMEMBERED:
                self._known_models[name] = known
        return known


@lru_cache(maxsize=256)
def _plan_of(quirks: ChatQuirks) -> SplicePlan:
    return SplicePlan(quirks)


def splice_request(fields: Fields, *, model: str | None, stream: bool, quirks: ChatQuirks) -> bytes:
    """`SplicePlan.splice` for callers that keep no plan."""
    return _plan_of(quirks).splice(fields, model=model, stream=stream)


def dropped_warning(name: str) -> str:
    return f"{name}: left out, the source does not take it"


def _with_usage(asked: msgspec.Raw) -> msgspec.Raw:
    raw = bytes(asked)
    if raw == _USAGE_ASKED_BYTES or raw == b"null":
        return _USAGE_ASKED
    options = _decoded(asked)
    if not isinstance(options, dict):
        return asked
    return msgspec.Raw(_encode({**options, "include_usage": True}))


def _rename_tokens(sent: dict[str, msgspec.Raw], wanted: str | None) -> None:
    if wanted is None:
        return
    other = "max_tokens" if wanted == "max_completion_tokens" else "max_completion_tokens"
    value = sent.pop(other, None)
    if value is not None:
        sent.setdefault(wanted, value)


def _without_nulls(tools: msgspec.Raw) -> msgspec.Raw:
    """The tools, and in each those fields of it and of its function that are not null."""
    if b"null" not in bytes(tools):
        return tools
    try:
        told = [_said(tool) for tool in _decode_objects(tools)]
        for tool in told:
            if bytes(tool.get("function", b""))[:1] == b"{":
                tool["function"] = msgspec.Raw(_encode(_said(_decode_object(tool["function"]))))
    except (msgspec.MsgspecError, UnicodeError):
        return tools
    return msgspec.Raw(_encode(told))


def _said(fields: Fields) -> dict[str, msgspec.Raw]:
    return {name: value for name, value in fields.items() if bytes(value) != b"null"}


def _rewrite_messages(sent: dict[str, msgspec.Raw], quirks: ChatQuirks) -> None:
    try:
        messages = _decode_objects(sent.get("messages", b""))
    except (msgspec.MsgspecError, UnicodeError):
        return
    for message in messages:
        if quirks.system_role is not None and _text(message.get("role")) in ("system", "developer"):
            message["role"] = msgspec.Raw(_encode(quirks.system_role))
        if quirks.flatten_content:
            content = _decoded(message.get("content"))
            if isinstance(content, list) and (text := flattened(content)) is not None:
                message["content"] = msgspec.Raw(_encode(text))
    sent["messages"] = msgspec.Raw(_encode(messages))


def flattened(content: list[Any]) -> str | None:
    """The text of a content list that holds only text parts, joined by line breaks; None when it holds anything else."""
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    readable = [text for text in texts if isinstance(text, str)]
    return "\n".join(readable) if len(readable) == len(content) else None


def _decoded(raw: msgspec.Raw | None) -> Any:
    if raw is None:
        return None
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def _text(raw: msgspec.Raw | None) -> str:
    value = _decoded(raw)
    return value if isinstance(value, str) else ""
