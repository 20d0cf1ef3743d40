"""Anthropic's own types and client code as judges: of requests, of whole answers, and of streams put together."""

import sys
from functools import cache
from typing import Any, cast

import pytest
from anthropic._models import construct_type_unchecked
from anthropic._streaming import SSEDecoder
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParams
from pydantic import TypeAdapter

SAMPLING = frozenset(("temperature", "top_p", "top_k"))
"""Parameters that only older versions of the API have: the types of the newest know them no more."""


@cache
def request_judge() -> TypeAdapter[Any]:
    """Validates a whole request body, and refuses fields that nobody knows, at the top.

    The official types say Iterable, which pydantic checks only when it is read, and which a text passes for too: here it
    stands for a list.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("anthropic.types.") and hasattr(module, "Iterable"):
                patch.setattr(module, "Iterable", list)
        judge: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)
        judge.rebuild(force=True)
    return judge


def judge_request(body: dict[str, Any]) -> None:
    known = {name: value for name, value in body.items() if name not in SAMPLING}
    request_judge().validate_python(known, strict=False)


def accumulated(stream: bytes) -> Message:
    """The stream as Anthropic's own client puts it together; every event is validated first."""
    events: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for item in SSEDecoder().iter_bytes(iter([stream])):
        assert item.event is not None, "the official client skips events without a name"
        if item.event == "ping":
            continue
        event = events.validate_python(item.json())
        assert event.type == item.event, f"an event called {item.event} holds a {event.type}"
        read = construct_type_unchecked(type_=cast("Any", RawMessageStreamEvent), value=item.json())
        snapshot = accumulate_event(event=read, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot is not None, "no event at all"
    return Message.model_validate(snapshot.to_dict())
