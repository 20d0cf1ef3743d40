"""How this door runs what is no chat: reads the model's name, hands the rest to the pipeline as an errand."""

from collections.abc import Callable
from time import perf_counter

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.dialects.forms import Form
from jackfield.doors.openai.dialect import OpenAIChat
from jackfield.gateway.call import Call
from jackfield.gateway.client import Client
from jackfield.gateway.errand import Errand
from jackfield.gateway.fields import model_of
from jackfield.gateway.pipeline import Pipeline

Fields = dict[str, msgspec.Raw]


class Errands:
    """`now` gives Unix seconds."""

    def __init__(self, pipeline: Pipeline, new_request_id: Callable[[], str], now: Callable[[], float]) -> None:
        self._pipeline = pipeline
        self._new_request_id = new_request_id
        self.now = now
        self._dialect = OpenAIChat()

    async def run(self, client: Client, fields: Fields, make: Callable[[str], Errand], size_bytes: int) -> None:
        """`make` is given the request's id; `size_bytes` is what is sent to the source, for limits that count tokens."""
        call = Call(
            self._new_request_id(),
            self._dialect,
            fields,
            model_text=model_of(fields),
            stream=False,
            show_usage=False,
            at=self.now(),
            received_at=perf_counter(),
        )
        call.errand = make(call.request_id)
        call.prompt_bytes = size_bytes
        await self._pipeline.run(call, client)


def form_fields(form: Form) -> Fields:
    """What the pipeline reads of a body, from a form. Raises BadRequest where `provider` is no JSON."""
    fields = {"model": msgspec.Raw(msgspec.json.encode(form.text("model")))} if form.text("model") else {}
    if wishes := form.text("provider"):
        try:
            msgspec.json.decode(wishes)
        except msgspec.DecodeError:
            raise BadRequest("provider must be a JSON object", param="provider") from None
        fields["provider"] = msgspec.Raw(wishes.encode())
    return fields
