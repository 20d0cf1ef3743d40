"""POST /v1/responses: one request of this API through the pipeline, with what went before it and kept for what comes after.

The conversation so far is put in front of the input here, so that no source is told an id of which it knows nothing.
"""

from collections.abc import Callable
from time import perf_counter

import msgspec

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.dialects import openai_responses, openai_responses_kept
from jackfield.dialects.json_value import missing
from jackfield.doors.openai.responses_dialect import OpenAIResponses
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.continuation import wants_continuation
from jackfield.gateway.copying import CopyingClient
from jackfield.gateway.fields import flag_of, model_of, shown
from jackfield.gateway.kept_responses import KeptResponses
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.shape import FLAG, LIST, NUMBER, OBJECT, TEXT, TEXT_OR_LIST, TEXT_OR_OBJECT, Shape

Fields = dict[str, msgspec.Raw]
Items = tuple[msgspec.Raw, ...]
PREVIOUS = "previous_response_id"
_text = msgspec.json.Decoder(str).decode
_SHAPE = Shape(
    {
        **dict.fromkeys(("temperature", "top_p", "max_output_tokens", "top_logprobs", "max_tool_calls"), NUMBER),
        "input": TEXT_OR_LIST,
        "instructions": TEXT_OR_LIST,
        "tools": LIST,
        "tool_choice": TEXT_OR_OBJECT,
        "parallel_tool_calls": FLAG,
        "include": LIST,
        "reasoning": OBJECT,
        "text": OBJECT,
        "user": TEXT,
    },
    "input",
)


class Responses:
    """`now` gives Unix seconds. `keeps_unasked`: a response is kept unless the request says otherwise, as with OpenAI."""

    def __init__(
        self,
        pipeline: Pipeline,
        kept: KeptResponses,
        new_request_id: Callable[[], str],
        now: Callable[[], float],
        *,
        keeps_unasked: bool = True,
    ) -> None:
        self._pipeline = pipeline
        self._kept = kept
        self._keeps_unasked = keeps_unasked
        self._new_request_id = new_request_id
        self._now = now

    async def __call__(self, client: Client) -> None:
        received_at = perf_counter()
        fields = openai_responses.parse_fields(await client.body())
        check(fields)
        is_kept = flag_of(fields, "store") if _is_said(fields, "store") else self._keeps_unasked
        echo = {**openai_responses.echo_of(fields), "store": is_kept}
        items = with_what_went_before(self._kept, fields, client.key_name)
        call = Call(
            self._new_request_id(),
            OpenAIResponses(echo),
            fields,
            model_text=model_of(fields),
            stream=flag_of(fields, "stream"),
            show_usage=True,
            at=self._now(),
            received_at=received_at,
        )
        call.continues = call.stream and wants_continuation(client.headers)
        await self._pipeline.run(call, self._copying(client, call, items) if is_kept and self._kept.max_bytes else client)

    def _copying(self, client: Client, call: Call, items: Items | None) -> CopyingClient:
        asked = call.fields

        def keep(answer: bytes) -> None:
            whole = openai_responses_kept.closing_response(answer) if call.stream else answer
            id_ = None if whole is None else openai_responses_kept.response_id(whole)
            if whole is not None and id_ is not None:
                known = openai_responses_kept.input_items(asked) if items is None else items
                self._kept.keep(call.key_name, id_, whole, known)

        return CopyingClient(client, call, keep, self._kept.max_bytes)


def with_what_went_before(kept: KeptResponses, fields: Fields, key_name: str) -> Items | None:
    """All items of the request, which `fields` hold then; None leaves them unread, nothing went before. Raises BadRequest."""
    raw = fields.pop(PREVIOUS, None)
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        id_ = _text(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(f"{PREVIOUS} must be a string, got {shown(raw)}", param=PREVIOUS) from None
    before = kept.get(key_name, id_)
    if before is None:
        raise BadRequest(
            f"the response {id_[:80]!r} is not kept here (any more): send the whole conversation in input",
            code="previous_response_not_found",
            param=PREVIOUS,
        )
    said = openai_responses_kept.output_items(before.body)
    items = (*before.items, *said, *openai_responses_kept.input_items(fields))
    fields[openai_responses_kept.INPUT] = openai_responses_kept.joined(items)
    return items


def check(fields: Fields) -> None:
    """What every request must have, and what nothing here does for any source. Raises BadRequest or NotSupported."""
    if _is_said(fields, "input"):
        if memoryview(fields["input"])[0] not in TEXT_OR_LIST.begins:
            raise BadRequest(f"input must be a string or an array of items, got {shown(fields['input'])}", param="input")
    elif not _is_said(fields, "prompt") and not _is_said(fields, PREVIOUS):
        raise missing("input")
    _SHAPE.check(fields)
    if _is_said(fields, PREVIOUS) and _is_said(fields, "conversation"):
        raise BadRequest(f"{PREVIOUS} and conversation cannot go together: leave one out", param="conversation")
    if flag_of(fields, "background"):
        raise NotSupported("background is not possible here: leave it out and wait, or stream", param="background")


def _is_said(fields: Fields, name: str) -> bool:
    raw = fields.get(name)
    return raw is not None and bytes(memoryview(raw)[:4]) != b"null"
