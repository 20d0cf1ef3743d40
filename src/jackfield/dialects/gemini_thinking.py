"""How hard a model is asked to think: core's effort and Gemini's `thinkingConfig`.

Gemini 2.5 counts tokens, Gemini 3 and later have levels, older ones do not think: https://ai.google.dev/gemini-api/docs/thinking
and its OpenAI-compatible page's table (October 2026). A model whose name tells no version is taken for a new one.
"""

import re

from jackfield.dialects.json_value import Object, rest

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576}
_LEVELS = {"none": "minimal", "minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
_DYNAMIC = -1


def version_of(model: str) -> tuple[int, int] | None:
    """(2, 5) for gemini-2.5-flash; None for a name without one."""
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def signs_calls(model: str) -> bool:
    """Whether the model refuses calls of the current round whose signature is missing."""
    version = version_of(model)
    return version is not None and version >= (3, 0)


def encode_effort(effort: str, model: str, warnings: list[str]) -> Object:
    """The `thinkingConfig` for an effort; {} with a warning where there is none. Thoughts are asked for unless it is "none"."""
    version = version_of(model)
    if version is not None and version < (2, 5):
        warnings.append(f"reasoning_effort: left out, {model} does not think")
        return {}
    table: dict[str, int] | dict[str, str] = _BUDGETS if version == (2, 5) else _LEVELS
    if effort not in table:
        warnings.append(f"reasoning_effort: left out, {effort[:40]!r} is none of {', '.join(table)}")
        return {}
    name = "thinkingBudget" if version == (2, 5) else "thinkingLevel"
    return {"includeThoughts": effort != "none", name: table[effort]}


def decode_thinking(config: Object) -> tuple[str | None, Object]:
    """The effort that comes nearest, and what it does not say."""
    level, budget = config.get("thinkingLevel"), config.get("thinkingBudget")
    if isinstance(level, str) and level.lower() in _LEVELS:
        return level.lower(), rest(config, ("thinkingLevel", "includeThoughts"))
    if isinstance(budget, int) and not isinstance(budget, bool) and budget != _DYNAMIC:
        names = ("none", "low", "medium", "high")
        effort = next((name for name in names if budget <= _BUDGETS[name]), "high")
        left = () if _BUDGETS[effort] == budget else ("thinkingBudget",)
        return effort, {name: config[name] for name in left} | rest(config, ("thinkingBudget", "includeThoughts"))
    return None, config
