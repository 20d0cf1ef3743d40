"""What one request says about who may answer it: the `provider` object of a chat body, as OpenRouter's clients write it.

Values only, checked here once, with errors that name the field. What they exclude is decided in stages.py.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.parameters import did_you_mean

PARAM = "provider"
SORTS: Mapping[str, str] = {"price": "cheapest", "latency": "best_performance", "throughput": "throughput"}
MAX_NAMES = 64
MAX_NAME_CHARS = 128
_NOT_KNOWN_HERE: Mapping[str, str] = {
    "quantizations": "how a source quantises its weights is not known here",
    "preferred_min_throughput": 'sort by "throughput" instead',
    "preferred_max_latency": 'sort by "latency" instead',
    "enforce_distillable_text": "what may be done with answers is not known here",
}


class MaxPrice(msgspec.Struct, frozen=True, omit_defaults=True):
    """The most that may be paid, in US dollars per million tokens; None is no limit."""

    prompt: float | None = None
    completion: float | None = None


class Wishes(msgspec.Struct, frozen=True, omit_defaults=True):
    """Names are provider ids, "slot-N" or backend ids, in lower case.

    `order` come first, in that order; with `allow_fallbacks` False nobody else comes after, or, without an order, nobody but
    the first choice. `sort` is a policy's name. `require_parameters`: only who is known to support all that the request uses.
    `keeps_nothing`: only who is known to store no prompts. `falls_back_on_refusal`: fallbacks were allowed in so many words,
    so a content filter's refusal may be taken elsewhere too.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    sort: str | None = None
    max_price: MaxPrice | None = None
    require_parameters: bool = False
    allow_fallbacks: bool = True
    keeps_nothing: bool = False
    falls_back_on_refusal: bool = False

    @classmethod
    def parse(cls, raw: bytes | msgspec.Raw | Mapping[str, Any] | None) -> "Wishes":
        """From JSON or its plain value; null is no wish. Raises BadRequest whose `param` is the field ("provider.sort")."""
        fields = _object(raw, PARAM)
        for name, why in _NOT_KNOWN_HERE.items():
            if fields.get(name):
                raise BadRequest(f"{PARAM}.{name} cannot be honoured: {why}; leave it out", param=f"{PARAM}.{name}")
        known = (
            "order",
            "only",
            "ignore",
            "sort",
            "max_price",
            "require_parameters",
            "allow_fallbacks",
            "data_collection",
            "zdr",
        )
        _refuse_unknown(fields, (*known, *_NOT_KNOWN_HERE), PARAM)
        may_collect = _one_of(fields, "data_collection", ("allow", "deny"), "allow") == "allow"
        return cls(
            order=_names(fields, "order"),
            only=_names(fields, "only"),
            ignore=_names(fields, "ignore"),
            sort=SORTS.get(_one_of(fields, "sort", tuple(SORTS), "") or ""),
            max_price=_max_price(fields.get("max_price")),
            require_parameters=_flag(fields, "require_parameters", False),
            allow_fallbacks=_flag(fields, "allow_fallbacks", True),
            falls_back_on_refusal=fields.get("allow_fallbacks") is True,
            keeps_nothing=not may_collect or _flag(fields, "zdr", False),
        )


def _object(raw: bytes | msgspec.Raw | Mapping[str, Any] | None, where: str) -> Mapping[str, Any]:
    if isinstance(raw, bytes | msgspec.Raw):
        try:
            raw = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"{where} is not valid JSON: {error}", param=where) from None
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise BadRequest(f"{where} must be an object, got {_kind(raw)}", param=where)
    return raw


def _refuse_unknown(fields: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in fields:
        if name not in known:
            raise BadRequest(
                f"{where}.{name} is not known here{did_you_mean(name, known)}: known are {', '.join(known)}",
                param=f"{where}.{name}",
            )


def _names(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name)
    where = f"{PARAM}.{name}"
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > MAX_NAMES:
        raise BadRequest(f"{where} must be a list of at most {MAX_NAMES} names, got {_kind(value)}", param=where)
    for at, item in enumerate(value):
        if not isinstance(item, str) or not item.strip() or len(item) > MAX_NAME_CHARS:
            raise BadRequest(f"{where}[{at}] must be a provider's name or slot-N", param=f"{where}[{at}]")
    return tuple(dict.fromkeys(item.strip().lower() for item in value))


def _one_of(fields: Mapping[str, Any], name: str, known: tuple[str, ...], default: str) -> str:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or value not in known:
        near = did_you_mean(value, known) if isinstance(value, str) else ""
        raise BadRequest(f"{PARAM}.{name} must be one of {', '.join(known)}, got {value!r}{near}", param=f"{PARAM}.{name}")
    return value


def _flag(fields: Mapping[str, Any], name: str, default: bool) -> bool:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadRequest(f"{PARAM}.{name} must be true or false, got {_kind(value)}", param=f"{PARAM}.{name}")
    return value


def _max_price(value: Any) -> MaxPrice | None:
    where = f"{PARAM}.max_price"
    fields = _object(value, where)
    _refuse_unknown(fields, ("prompt", "completion"), where)
    limits = {name: _dollars(limit, f"{where}.{name}") for name, limit in fields.items() if limit is not None}
    return MaxPrice(**limits) if limits else None


def _dollars(value: Any, where: str) -> float:
    try:
        amount = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise BadRequest(f"{where} must be US dollars per million tokens, 0 or more, got {value!r}", param=where)
    return amount


def _kind(value: Any) -> str:
    return "a list that is too long" if isinstance(value, list) else type(value).__name__
