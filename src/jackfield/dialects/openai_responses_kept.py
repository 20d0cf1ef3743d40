"""Responses that were kept: what of one goes before the next request, and how its items are listed. Pure.

Ids and states of items are facts of the store of whoever made them: left out of what is sent, made up where items are listed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.dialects import sse
from jackfield.dialects.json_value import Object, wrong_type

INPUT = "input"
_CLOSING = ("response.completed", "response.incomplete")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class _Closing(msgspec.Struct):
    type: str
    response: msgspec.Raw


class _Whole(msgspec.Struct):
    id: str
    output: list[dict[str, Any]] = []


_closing = msgspec.json.Decoder(_Closing).decode
_whole = msgspec.json.Decoder(_Whole).decode


def input_items(fields: Mapping[str, msgspec.Raw]) -> tuple[msgspec.Raw, ...]:
    """The items of a request, undecoded; a text is one message. Raises BadRequest."""
    raw = fields.get(INPUT)
    if raw is None or bytes(raw) == b"null":
        return ()
    try:
        if bytes(memoryview(raw)[:1]) == b'"':
            return (msgspec.Raw(_encode({"type": "message", "role": "user", "content": _text(raw)})),)
        return tuple(_items(raw))
    except msgspec.ValidationError:
        raise wrong_type(INPUT, "a string or an array of items", _decode(raw)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"{INPUT} is not valid JSON: {error}", param=INPUT) from None


def joined(items: Iterable[msgspec.Raw]) -> msgspec.Raw:
    """Items as the `input` of a request."""
    return msgspec.Raw(b"[" + b",".join(bytes(item) for item in items) + b"]")


def closing_response(stream: bytes) -> bytes | None:
    """The whole response that the last event of a stream holds; None where it did not end with one."""
    trimmed = stream.rstrip()
    start = max(trimmed.rfind(b"\n\n"), trimmed.rfind(b"\r\n\r\n")) + 1
    decoder = sse.SseDecoder()
    for event in (*decoder.feed(trimmed[start:].lstrip() + b"\n\n"), *decoder.finish()):
        if event.data.strip() in (b"", b"[DONE]"):
            continue
        try:
            closing = _closing(event.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return bytes(closing.response) if closing.type in _CLOSING else None
    return None


def response_id(body: bytes) -> str | None:
    """None for what is no response that could be come back to."""
    try:
        return _whole(body).id or None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def output_items(body: bytes) -> tuple[msgspec.Raw, ...]:
    """What a kept response said, as input for the next request. Reasoning goes along only with its proof."""
    said: list[msgspec.Raw] = []
    for item in _whole(body).output:
        if item.get("type") == "reasoning":
            if not item.get("encrypted_content"):
                continue
            kept = {name: value for name, value in item.items() if name != "status"}
        else:
            kept = {name: value for name, value in item.items() if name not in ("id", "status")}
        said.append(msgspec.Raw(_encode(kept)))
    return tuple(said)


def listed_items(items: Sequence[msgspec.Raw], response: str) -> list[Object]:
    """Items as a list tells them: each with an id, texts as parts. Those that are no objects are left out."""
    listed: list[Object] = []
    for number, raw in enumerate(items):
        try:
            item = _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(item, dict):
            listed.append(_listed(item, f"{response.rpartition('_')[2]}_{number}"))
    return listed


def _listed(item: Object, stem: str) -> Object:
    kind = item.get("type") or "message"
    made = f"{'msg' if kind == 'message' else 'item'}_{stem}"
    told: Object = {**item, "type": kind, "id": item.get("id") or made}
    if kind == "message":
        told.setdefault("status", "completed")
        if isinstance(item.get("content"), str):
            word = "output_text" if item.get("role") == "assistant" else "input_text"
            told["content"] = [{"type": word, "text": item["content"]}]
            if word == "output_text":
                told["content"][0]["annotations"] = []
    return told
