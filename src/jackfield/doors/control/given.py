"""What all routes share: the panel they are given, a slot number in the path, and how a refusal looks to whoever reads the
OpenAPI description."""

from functools import partial
from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, SkipValidation

from jackfield.doors.control.discovered import Discovered
from jackfield.doors.control.event_stream import EventStreams
from jackfield.doors.control.panel import ControlPanel

# Litestar would look into the types of the parts; they are ours and need no validation.
Held = NamedDependency[SkipValidation[ControlPanel]]
Streams = NamedDependency[SkipValidation[EventStreams]]
Looked = NamedDependency[SkipValidation[Discovered]]
SlotText = Annotated[
    str, PathParameter(description="The slot's number, from 0.", schema_extra={"type": "integer", "minimum": 0})
]


class ErrorFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """`message` is for a person, `code` for a program; `param` names the field that is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None
    slot: int | None = None
    provider: str | None = None
    request_id: str | None = None


class ErrorAnswer(msgspec.Struct, frozen=True):
    """OpenAI's error object."""

    error: ErrorFacts


_REFUSED = {
    400: ResponseSpec(ErrorAnswer, description="Refused. Every status from 400 on has this form.", generate_examples=False)
}
look = partial(get, responses=_REFUSED)
change = partial(post, status_code=200, responses=_REFUSED)
take_back = partial(delete, status_code=200, responses=_REFUSED)
