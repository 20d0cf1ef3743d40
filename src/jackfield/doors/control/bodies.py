"""What the control routes take: one strict type per body. An unknown field is an error, never ignored.

Knows the shape of a request, not what it does; ranges that the panel knows (how many slots there are) are checked there.
"""

from typing import Annotated, Any, Literal

import msgspec

from jackfield.core.ids import MAX_SLOTS
from jackfield.core.requests import Generation
from jackfield.slots.slot import SlotRole

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
InvokeMode = Literal["auto", "embed", "generate"]


class PlugBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to plug in. `config` is the provider's own settings, left out: those saved for this provider.

    A secret in `config` is a reference such as `env:GROQ_API_KEY`; a literal one is put away and replaced by its reference.
    `consent` allows a provider that sends prompts off this machine. `require_ready` false plugs a source that does not
    answer now, and shows the problem.
    """

    provider: Name
    config: dict[str, Any] | None = None
    model: str | None = None
    name: str | None = None
    generation: Generation | None = None
    role: SlotRole | None = None
    consent: bool = False
    require_ready: bool = True


class CloneBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_SLOTS)] = 1


class MutateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seeded noise (`rate`: share of settings touched, `scale`: how far, both above 0, at most 1), named `settings`, or both.

    An empty body is a little noise.
    """

    rate: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    scale: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    seed: int | None = None
    settings: dict[str, Any] | None = None


class SwapBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    a: int
    b: int


class RenameBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name


class RestoreBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key` as `grab` gave it; `slot` left out means the first free one."""

    key: Name
    slot: int | None = None


class PlugModelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`model` is a model file or name on this machine, or the http(s) address of an OpenAI-compatible server."""

    model: Name
    name: str | None = None
    consent: bool = False


class InvokeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`messages` (OpenAI's shape) takes the place of `text`. `max_tokens` 0 means the model's own limit."""

    text: str = ""
    mode: InvokeMode = "auto"
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    messages: list[dict[str, Any]] | None = None
