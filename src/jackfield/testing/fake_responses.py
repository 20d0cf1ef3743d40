"""What the fake says in the form of the Responses API: whole, and as its numbered events. Pure; written after the reference."""

import re
from typing import Any

import msgspec

from jackfield.testing.answers import CREATED, Answer

_PIECES = re.compile(r"\S+\s*|\s+")


def response_body(answer: Answer, model: str, number: int) -> dict[str, Any]:
    """A finished response."""
    cut = answer.finish_reason == "length"
    usage = answer.usage
    return {
        **_frame(model, number),
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": _output(answer, number),
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": len(_PIECES.findall(answer.reasoning))},
            "total_tokens": usage["total_tokens"],
        },
    }


def _frame(model: str, number: int) -> dict[str, Any]:
    return {
        "id": f"resp_{number}", "object": "response", "created_at": CREATED, "status": "in_progress", "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "model": model, "output": [],
        "parallel_tool_calls": True, "temperature": None, "tool_choice": "auto", "tools": [], "top_p": None, "usage": None,
    }  # fmt: skip


def _output(answer: Answer, number: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.reasoning:
        summary = [{"type": "summary_text", "text": answer.reasoning}]
        items.append({"id": f"rs_{number}", "type": "reasoning", "summary": summary, "encrypted_content": f"proof-{number}=="})
    for index, (name, arguments) in enumerate(answer.tool_calls):
        call = {"type": "function_call", "name": name, "arguments": arguments, "status": "completed"}
        items.append({"id": f"fc_{number}_{index}", "call_id": f"call_{number}_{index}", **call})
    if answer.text:
        content = [{"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}]
        items.append({"id": f"msg_{number}", "type": "message", "role": "assistant", "status": "completed", "content": content})
    return items


def events_of(whole: dict[str, Any]) -> list[bytes]:
    """The stream that ends in `whole`."""
    begun = {**whole, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    told: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": begun})]
    told.append(("response.in_progress", {"response": begun}))
    for index, item in enumerate(whole["output"]):
        told += _item_events(index, item)
    told.append((f"response.{whole['status']}", {"response": whole}))
    return [_event(kind, number, fields) for number, (kind, fields) in enumerate(told)]


def _event(kind: str, number: int, fields: dict[str, Any]) -> bytes:
    data = msgspec.json.encode({"type": kind, "sequence_number": number, **fields})
    return f"event: {kind}\ndata: ".encode() + data + b"\n\n"


def _item_events(index: int, item: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    at = {"item_id": item["id"], "output_index": index}
    match item["type"]:
        case "message":
            opened, inner = {"status": "in_progress", "content": []}, _text_events(at, item["content"][0])
        case "reasoning":
            opened, inner = {"summary": []}, _summary_events(at, item["summary"][0])
        case _:
            opened, inner = {"status": "in_progress", "arguments": ""}, _call_events(at, item["arguments"])
    added = ("response.output_item.added", {"output_index": index, "item": {**item, **opened}})
    return [added, *inner, ("response.output_item.done", {"output_index": index, "item": item})]


def _text_events(at: dict[str, Any], part: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    at = {**at, "content_index": 0}
    deltas = [{**at, "delta": piece, "logprobs": []} for piece in _PIECES.findall(part["text"])]
    return [
        ("response.content_part.added", {**at, "part": {**part, "text": ""}}),
        *(("response.output_text.delta", delta) for delta in deltas),
        ("response.output_text.done", {**at, "text": part["text"], "logprobs": []}),
        ("response.content_part.done", {**at, "part": part}),
    ]


def _summary_events(at: dict[str, Any], part: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    at = {**at, "summary_index": 0}
    return [
        ("response.reasoning_summary_part.added", {**at, "part": {**part, "text": ""}}),
        *(("response.reasoning_summary_text.delta", {**at, "delta": piece}) for piece in _PIECES.findall(part["text"])),
        ("response.reasoning_summary_text.done", {**at, "text": part["text"]}),
        ("response.reasoning_summary_part.done", {**at, "part": part}),
    ]


def _call_events(at: dict[str, Any], arguments: str) -> list[tuple[str, dict[str, Any]]]:
    half = len(arguments) // 2
    return [
        *(("response.function_call_arguments.delta", {**at, "delta": part}) for part in (arguments[:half], arguments[half:])),
        ("response.function_call_arguments.done", {**at, "arguments": arguments}),
    ]
