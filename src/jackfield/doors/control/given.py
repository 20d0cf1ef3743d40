"""What all routes share: the panel they are given, a slot number in the path, and what a route that looks or changes is."""

from functools import partial
from typing import Annotated

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, SkipValidation

from jackfield.doors.control.discovered import Discovered
from jackfield.doors.control.event_stream import EventStreams
from jackfield.doors.control.panel import ControlPanel
from jackfield.doors.control.refusals import OF_ALL, OF_CHANGES, OF_NAMED

# Litestar would look into the types of the parts; they are ours and need no validation.
Held = NamedDependency[SkipValidation[ControlPanel]]
Streams = NamedDependency[SkipValidation[EventStreams]]
Looked = NamedDependency[SkipValidation[Discovered]]
SlotText = Annotated[
    str, PathParameter(description="The slot's number, from 0.", schema_extra={"type": "integer", "minimum": 0})
]


look = partial(get, responses=OF_ALL)
change = partial(post, status_code=200, responses=OF_CHANGES)
take_back = partial(delete, status_code=200, responses=OF_NAMED)
