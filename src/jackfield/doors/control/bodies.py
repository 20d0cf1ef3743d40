"""What the control routes take: one strict type per body. An unknown field is an error, never ignored.

Knows the shape of a request, not what it does; ranges that the panel knows (how many slots there are) are checked there.
"""

from typing import Annotated, Any, Literal

import msgspec

from jackfield.core.ids import MAX_SLOTS

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
InvokeMode = Literal["auto", "embed", "generate"]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Strict and frozen: what every body here is."""


class PlugBody(Body):
    """What to plug in. `config` is the provider's own settings, a secret in it a reference such as `env:GROQ_API_KEY`.

    `config` left out means the configuration saved for this provider. `consent` allows a provider that sends prompts off
    this machine. `require_ready` refuses a source that does not answer now.
    """

    provider: Name
    config: dict[str, Any] | None = None
    model: str | None = None
    name: str | None = None
    consent: bool = False
    require_ready: bool = False


class CloneBody(Body):
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_SLOTS)] = 1


class MutateBody(Body):
    """Either seeded noise (`rate`: share of settings touched, `scale`: how far), or named `settings`, or both."""

    rate: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    scale: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    seed: int | None = None
    settings: dict[str, Any] | None = None


class SwapBody(Body):
    a: int
    b: int


class RenameBody(Body):
    name: Name


class RestoreBody(Body):
    """`key` as `grab` gave it; `slot` left out means the first free one."""

    key: Name
    slot: int | None = None


class PlugModelBody(Body):
    model: Name
    name: str | None = None


class InvokeBody(Body):
    """`messages` (OpenAI's shape) takes the place of `text`. `max_tokens` 0 means the model's own limit."""

    text: str = ""
    mode: InvokeMode = "auto"
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    messages: list[dict[str, Any]] | None = None
