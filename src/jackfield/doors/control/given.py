"""What every route may take beside its own arguments: the panel, and the slot number of its path."""

from typing import Annotated

from litestar.params import Dependency, Parameter

from jackfield.doors.control.panel import ControlPanel

# Litestar would look into the types of the panel's parts; it is ours and needs no validation.
Held = Annotated[ControlPanel, Dependency(skip_validation=True)]
SlotText = Annotated[
    str, Parameter(description="The slot's number, from 0.", schema_extra={"type": "integer", "minimum": 0})
]
