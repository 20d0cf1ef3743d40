"""What a source says of the limits that it holds us to: how much of them is left, and when they begin anew. No I/O."""

import msgspec


class Allowance(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of one thing that is counted. `resets_in_s` counts from when it was told."""

    limit: int | None = None
    remaining: int | None = None
    resets_in_s: float | None = None


class Quota(msgspec.Struct, frozen=True, omit_defaults=True):
    """`allowances` by what is counted ("requests", "tokens"). `told_s_ago` is how old all of it is."""

    allowances: dict[str, Allowance] = {}
    retry_after_s: float | None = None
    told_s_ago: float = 0.0
