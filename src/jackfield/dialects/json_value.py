"""Typed reads from decoded JSON whose errors name the place, written as OpenAI writes `param`: messages[0].content.

Knows JSON and core errors only; no dialect's field names.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest

Object = dict[str, Any]
_decode = msgspec.json.Decoder().decode


def field_value(name: str, raw: msgspec.Raw) -> Any:
    """The value of a request's top-level field. Raises BadRequest naming it when it is no JSON or nested too deeply."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"{name} is not valid JSON: {error}", param=name) from None
    except RecursionError:
        raise BadRequest(f"{name} is nested too deeply", param=name) from None


def kind_of(value: Any) -> str:
    """The JSON word for what `value` is."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def wrong_type(at: str, expected: str, value: Any) -> BadRequest:
    return BadRequest(f"{at} must be {expected}, got {kind_of(value)}", param=at)


def missing(at: str) -> BadRequest:
    return BadRequest(f"{at} is required", param=at)


def read_object(value: Any, at: str) -> Object:
    if not isinstance(value, dict):
        raise wrong_type(at, "an object", value)
    return value


def read_array(value: Any, at: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong_type(at, "an array", value)
    return value


def read_text(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(at, "a string", value)
    return value


def read_optional_text(value: Any, at: str) -> str | None:
    return None if value is None else read_text(value, at)


def read_flag(value: Any, at: str) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise wrong_type(at, "true or false", value)
    return value


def required_text(owner: Mapping[str, Any], name: str, at: str) -> str:
    """The text under `name` of the object at `at`. Raises BadRequest when it is absent, null or no text."""
    value = owner.get(name)
    if value is None:
        raise missing(f"{at}.{name}")
    return read_text(value, f"{at}.{name}")


def rest(value: Mapping[str, Any], known: Collection[str], nested: Mapping[str, Object] | None = None) -> Object:
    """The fields of `value` that are not `known`, and the leftovers of its inner objects under their own names."""
    extra = {name: item for name, item in value.items() if name not in known}
    for name, inner in (nested or {}).items():
        if inner:
            extra[name] = inner
    return extra


def left(value: Mapping[str, Any], known: frozenset[str]) -> Object:
    """The fields of `value` that are not `known`, nor null or empty: those come and go at will, and differ in a stream."""
    if value.keys() <= known:
        return {}
    return {name: item for name, item in value.items() if name not in known and item is not None and item != [] and item != {}}


def with_extra(value: Object, extra: Mapping[str, Any], inner: str | None = None) -> Object:
    """The reverse of `rest`: `value` plus `extra`, whose entry `inner` goes into the object of that name."""
    for name, item in extra.items():
        if name == inner and isinstance(item, dict) and isinstance(value.get(name), dict):
            value[name] = {**item, **value[name]}
        else:
            value.setdefault(name, item)
    return value


def present(value: Object) -> Object:
    """Without nulls and empty containers."""
    return left(value, frozenset())
