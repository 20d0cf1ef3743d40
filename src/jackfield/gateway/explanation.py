"""How a name would be resolved at this moment, as plain JSON for people and programs. Pure; changes no turn and asks nobody."""

from collections.abc import Sequence
from typing import Any

from jackfield.core.errors import JackfieldError
from jackfield.gateway.route import Target
from jackfield.routing.explain import Exclusion, Selection
from jackfield.routing.stages import why
from jackfield.slots.slot import Slot


def explanation(
    text: str,
    policy: str,
    targets: Sequence[Target],
    exclusions: Sequence[dict[str, Any]] = (),
    refusal: JackfieldError | None = None,
    selection: Selection[Any] | None = None,
) -> dict[str, Any]:
    """{model, policy, targets, exclusions, refusal}: targets best first; `refusal` is null or {code, status, message}."""
    return {
        "model": text,
        "policy": policy,
        "targets": [_target(place, target, policy, selection) for place, target in enumerate(targets)],
        "exclusions": list(exclusions),
        "refusal": None if refusal is None else {"code": refusal.code, "status": refusal.status, "message": refusal.message},
    }


def excluded(out: Exclusion) -> dict[str, Any]:
    return {"backend": out.id or None, "slot": out.slot, "provider": out.provider, "stage": out.stage, "reason": out.reason}


def excluded_slot(slot: Slot) -> dict[str, Any]:
    """A slot that is meant to have the model, with nothing live in it."""
    return {
        "backend": None,
        "slot": int(slot.number),
        "provider": "" if slot.spec is None else slot.spec.provider,
        "stage": "policy",
        "reason": slot.problem or "nothing is plugged into it",
    }


def _target(place: int, target: Target, policy: str, selection: Selection[Any] | None) -> dict[str, Any]:
    backend = target.backend
    return {
        "place": place,
        "backend": backend.id,
        "slot": target.slot,
        "provider": target.binding.info.id,
        "model": target.model or backend.model,
        "status": str(backend.status),
        "is_fallback": target.is_fallback,
        "reason": _reason(place, target, policy, selection),
    }


def _reason(place: int, target: Target, policy: str, selection: Selection[Any] | None) -> str:
    if selection is None:
        said = "nobody else has that name"
    elif target.is_fallback:
        said = "a fallback of the settings, when those before it fail"
    else:
        said = why(target.backend, selection.wish) or ("next if the one before fails" if place else f"first by {policy}")
    problem = target.backend.problem
    return said if problem is None else f"{said}; not usable now: {problem}"
