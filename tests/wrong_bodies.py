"""Hypothesis strategies for bodies that are wrong: right ones with something changed in them, in their JSON or in their bytes.

JSON is written here by hand, so that what no encoder writes can be in it: NaN, 1e999, numbers of 400 digits, lone surrogates,
keys twice, a nesting without end.
"""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from doors_table import BOUNDARY, FORM, JSON, Call, form

Path = tuple[str | int, ...]


class Verbatim(str):
    """JSON that is written as it stands."""


ODD = st.sampled_from(
    [
        *(
            "null",
            "true",
            "false",
            "0",
            "-1",
            "-0",
            "1.5",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1e999",
            "1e-999",
            "0.1e1",
        ),
        *("9" * 400, "-" + "9" * 400, "9223372036854775808", "18446744073709551616"),
        *('""', '"x"', '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\u202e"', '"' + "x" * 5000 + '"', '"/"', '"a/b"'),
        *('"slot-0"', '"slot-99"', '"slot-"', '"data:image/png;base64,%%"'),
        *("[]", "{}", "[null]", "[[]]", "[{}]", '{"a":1}', '{"a":1,"a":2}', '["x",1,null,{}]', '{"type":"object"}'),
        *("[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200, "[" * 20_000),
        *('[{"type":"text"}]', '[{"role":"user"}]', '{"type":"function"}'),
        '[{"type":"image_url","image_url":{"url":"data:x"}}]',
    ]
).map(Verbatim)
ANY = ODD | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = """
    model messages stream tools tool_choice temperature max_tokens stop n top_p seed response_format system contents
    generationConfig systemInstruction safetySettings toolConfig options format keep_alive think images input prompt
    suffix template raw context thinking metadata instructions reasoning reasoning_effort include previous_response_id
    text store provider stream_options logprobs top_logprobs user content role parts type tool_calls tool_call_id
    functionCall functionResponse inlineData cache_control dimensions encoding_format voice size query documents top_n
    hardware name audio modalities logit_bias requests taskType jsonrpc id method params
"""
FIELDS = st.sampled_from(_FIELDS.split())
CONTENT_TYPES = st.sampled_from(
    [
        *(JSON, JSON, JSON, JSON, "application/json; charset=utf-16", "text/plain", "", "x"),
        *(FORM, "multipart/form-data", "application/x-www-form-urlencoded"),
    ]
)
OTHER_BYTES = st.sampled_from([b"\xff", b"\x00", b"\xed\xa0\x80", b",", b'"', b"\\", b"}", b"[", b"\n"])


def dump(value: Any) -> str:
    """JSON text of plain data with `Verbatim` in it."""
    if isinstance(value, Verbatim):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{dump(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value)


def places(value: Any, here: Path = ()) -> Iterator[Path]:
    """Every place in a value, the value itself first."""
    yield here
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from places(item, (*here, name))


def put(value: Any, place: Path, new: Any) -> Any:
    if not place:
        return new
    copied: Any = dict(value) if isinstance(value, dict) else list(value)
    copied[place[0]] = put(value[place[0]], place[1:], new)
    return copied


def without(value: Any, place: Path) -> Any:
    if len(place) == 1:
        if isinstance(value, list):
            return [item for number, item in enumerate(value) if number != place[0]]
        return {name: item for name, item in value.items() if name != place[0]}
    return put(value, place[:1], without(value[place[0]], place[1:]))


@st.composite
def mutated(draw: st.DrawFn, right: Any) -> Any:
    """A right body with one to three changes."""
    value = right
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        place = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "replace", "add", "add", "drop", "wrap", "repeat"])):
            case "replace":
                value = put(value, place, draw(ANY))
            case "add":
                objects = [place for place in found if isinstance(at(value, place), dict)]
                if objects:
                    place = draw(st.sampled_from(objects))
                    value = put(value, place, {**at(value, place), draw(FIELDS): draw(ANY)})
            case "drop" if place:
                value = without(value, place)
            case "wrap":
                value = put(value, place, draw(st.sampled_from([[at(value, place)], {"a": at(value, place)}])))
            case "repeat":
                value = put(value, place, [at(value, place)] * draw(st.sampled_from([0, 2, 50])))
    return value


def at(value: Any, place: Path) -> Any:
    for step in place:
        value = value[step]
    return value


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes that were cut, or with others put into them."""
    start = draw(st.integers(0, len(content)))
    match draw(st.sampled_from(["cut", "insert", "replace", "twice", "bom"])):
        case "cut":
            return content[:start]
        case "insert":
            return content[:start] + draw(OTHER_BYTES) + content[start:]
        case "replace":
            return content[:start] + draw(st.binary(max_size=4)) + content[start + 4 :]
        case "twice":
            return content + content
        case _:
            return b"\xef\xbb\xbf" + content


@st.composite
def wrong_request(draw: st.DrawFn, call: Call) -> tuple[bytes, str]:
    """A body for this call, and its content type. Now and then it is right in spite of all."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=60)), draw(CONTENT_TYPES)
    value = draw(mutated(call.body))
    if call.is_form and isinstance(value, dict):
        content, kind = form({name: item if isinstance(item, str) else dump(item) for name, item in value.items()}), FORM
    else:
        content, kind = dump(value).encode("utf-8", "surrogatepass"), call.content_type
    if draw(st.integers(0, 4)) == 0:
        content = draw(damaged(content))
    if draw(st.integers(0, 9)) == 0:
        kind = draw(CONTENT_TYPES)
    return content, kind.replace(
        BOUNDARY, draw(st.sampled_from([BOUNDARY, BOUNDARY, BOUNDARY, "other"]))
    ) if call.is_form else kind
