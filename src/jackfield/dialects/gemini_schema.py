"""Google's older way to write a schema (a subset of OpenAPI 3.0) read as JSON Schema.

Pure and one-way: we write JSON Schema itself, in the fields that Google has for it.
"""

from typing import Any

from jackfield.dialects.gemini_names import camel
from jackfield.dialects.json_value import Object

_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_NESTED = ("items", "additionalProperties")
_LISTS = ("anyOf", "prefixItems")


def to_json_schema(schema: Object) -> Object:
    """Types in lower case, `nullable` as a type beside, counts as numbers (Google writes them as text)."""
    given = camel(schema)
    result: Object = {name: item for name, item in given.items() if name not in ("type", "nullable", "propertyOrdering")}
    type_ = given.get("type")
    if isinstance(type_, str) and type_ != "TYPE_UNSPECIFIED":
        result = {"type": type_.lower(), **result}
    if given.get("nullable") is True and "type" in result:
        result["type"] = [result["type"], "null"]
    for name in _COUNTS:
        if isinstance(result.get(name), str) and result[name].isdecimal():
            result[name] = int(result[name])
    for name in _NESTED:
        if isinstance(result.get(name), dict):
            result[name] = to_json_schema(result[name])
    for name in _LISTS:
        if isinstance(result.get(name), list):
            result[name] = [_nested(item) for item in result[name]]
    if isinstance(result.get("properties"), dict):
        result["properties"] = {name: _nested(item) for name, item in result["properties"].items()}
    return result


def _nested(value: Any) -> Any:
    return to_json_schema(value) if isinstance(value, dict) else value
