"""Small changes to generation settings: seeded noise within bounds, or settings by name. Pure."""

import math
import random
from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.parameters import SYNONYMS, did_you_mean, normalise
from jackfield.core.requests import Generation

# name -> (lowest, highest, where noise starts when the setting is unset)
BOUNDS: Mapping[str, tuple[float, float, float]] = {
    "temperature": (0.0, 2.0, 1.0),
    "top_p": (0.05, 1.0, 1.0),
    "top_k": (1, 200, 40),
    "frequency_penalty": (-2.0, 2.0, 0.0),
    "presence_penalty": (-2.0, 2.0, 0.0),
}
# Every source knows these two; the others get noise only where somebody set them.
_ALWAYS = ("temperature", "top_p")


def perturbed(generation: Generation, rate: float, scale: float, seed: int | None) -> Generation:
    """`generation` with noise on a share `rate` of its settings (at least one), of deviation `scale` x the setting's range.

    The same seed gives the same result. Results stay within BOUNDS. Raises BadRequest for a rate or scale outside 0 to 1.
    """
    for name, value in (("rate", rate), ("scale", scale)):
        if not 0 < value <= 1:
            raise BadRequest(f"{name} must be above 0 and at most 1, got {value:g}", param=name)
    noise = random.Random(seed)  # noqa: S311 - variation, not secrecy
    candidates = [name for name in BOUNDS if name in _ALWAYS or getattr(generation, name) is not None]
    chosen = noise.sample(candidates, max(1, math.ceil(rate * len(candidates))))
    changed: dict[str, Any] = {}
    for name in sorted(chosen):
        low, high, start = BOUNDS[name]
        value = getattr(generation, name)
        moved = _moved(start if value is None else value, noise.gauss(0, scale * (high - low)), low, high)
        changed[name] = _whole(moved, value, high) if name == "top_k" else round(moved, 4)
    return msgspec.structs.replace(generation, **changed)


def with_settings(generation: Generation, settings: Mapping[str, Any]) -> Generation:
    """`generation` with the named settings, synonyms understood. Raises BadRequest for an unknown one."""
    parameters = normalise(settings)
    not_generation = [
        name
        for name in settings
        if name in parameters.unknown or name in ("system_prompt", "system", "format", "response_format")
    ]
    if not_generation:
        name = not_generation[0]
        known = [name for name in SYNONYMS if name in Generation.__struct_fields__]
        raise BadRequest(
            f"{name} is no generation setting{did_you_mean(name, known)}; settings are {', '.join(known)}", param=name
        )
    given = {
        name: value for name in Generation.__struct_fields__ if (value := getattr(parameters.generation, name)) is not None
    }
    return msgspec.structs.replace(generation, **given)


def differences(before: Generation, after: Generation) -> dict[str, list[Any]]:
    """Changed settings as name -> [before, after]."""
    return {
        name: [getattr(before, name), getattr(after, name)]
        for name in Generation.__struct_fields__
        if getattr(before, name) != getattr(after, name)
    }


def _moved(value: float, step: float, low: float, high: float) -> float:
    """`value` after a step, thrown back at the ends of the range; at least a hundredth of the range away from where it was."""
    width = high - low
    beyond = (value + step - low) % (2 * width)
    moved = low + (beyond if beyond <= width else 2 * width - beyond)
    least = width / 100
    if abs(moved - value) < least:
        moved = value + least if value + least <= high else value - least
    return min(high, max(low, moved))


def _whole(moved: float, value: int | None, high: float) -> int:
    """A whole number other than `value`."""
    rounded = round(moved)
    if rounded != value:
        return rounded
    return rounded - 1 if rounded >= high else rounded + 1
