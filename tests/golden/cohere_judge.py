"""Cohere's own client as judge: of request bodies, of whole answers, and of streams put together."""

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import httpx
from cohere import V2ChatResponse
from cohere.core.http_sse._api import EventSource
from cohere.core.pydantic_utilities import parse_sse_obj
from cohere.v2.client import V2Client
from cohere.v2.types.v2chat_stream_response import V2ChatStreamResponse
from pydantic import BaseModel, TypeAdapter


@cache
def _fields(call: str) -> dict[str, TypeAdapter[Any]]:
    """What a method of the client takes, each by its type."""
    hints = inspect.get_annotations(getattr(V2Client, call), eval_str=True)
    return {name: TypeAdapter(kind) for name, kind in hints.items() if name not in ("return", "request_options")}


def judge_request(body: dict[str, Any], call: str = "chat") -> None:
    """Every field is one that the client sends, of the type that it has there, with nothing that this type does not know."""
    known = _fields(call)
    for name, value in body.items():
        if name != "stream":
            assert name in known, f"{call}() takes no {name}"
            assert_known(known[name].validate_python(value), name)


def assert_known(value: Any, at: str) -> None:
    """The types let unknown fields pass: here none may."""
    if isinstance(value, BaseModel):
        assert not value.model_extra, f"{at} holds {sorted(value.model_extra or {})}, which its type does not know"
        for name in type(value).model_fields:
            assert_known(getattr(value, name), f"{at}.{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            assert_known(item, f"{at}[{index}]")


def judged_reply(body: bytes) -> V2ChatResponse:
    reply = V2ChatResponse.model_validate_json(body)
    assert_known(reply, "answer")
    return reply


def judged_events(body: bytes) -> Iterator[Any]:
    """The stream as the client reads it, each event by its type."""
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    union: Any = V2ChatStreamResponse
    kinds = {kind.model_fields["type"].default: kind for kind in get_args(get_args(union)[0])}
    for event in EventSource(response).iter_sse():
        if event.data == "[DONE]":
            return
        found: Any = parse_sse_obj(event, union)
        assert type(found) is kinds[found.type]
        yield found
