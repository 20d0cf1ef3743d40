"""OpenAI's moderations as a client sends and reads them: texts in, a verdict for each out. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.requests import ModerateReply, ModerateRequest
from jackfield.dialects.json_value import field_value, missing, wrong_type

PATH = "moderations"
_KNOWN = frozenset({"model", "input", "provider"})


def decode_moderate_request(fields: Mapping[str, msgspec.Raw]) -> ModerateRequest:
    """Raises BadRequest naming the field. Images are not judged here, and are refused by name."""
    given = {name: field_value(name, raw) for name, raw in fields.items() if name != "model"}
    extra = {name: value for name, value in given.items() if name not in _KNOWN}
    return ModerateRequest(_texts(given.get("input")), None, extra)


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        raise missing("input")
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise wrong_type("input", "a text or a list of texts", value)
    if not items:
        raise BadRequest("input is empty: give at least one text", param="input")
    return tuple(_text(item, f"input[{place}]") for place, item in enumerate(items))


def _text(item: Any, at: str) -> str:
    if isinstance(item, dict) and item.get("type") == "text":
        item = item.get("text")
    if not isinstance(item, str):
        raise wrong_type(at, "a text", item)
    return item


def encode_moderate_reply(reply: ModerateReply, request_id: str) -> bytes:
    results = [
        {
            "flagged": result.flagged,
            "categories": result.categories,
            "category_scores": result.scores,
            "category_applied_input_types": {name: ["text"] for name in result.categories},
        }
        for result in reply.results
    ]
    return msgspec.json.encode({"id": f"modr-{request_id}", "model": reply.model, "results": results})
