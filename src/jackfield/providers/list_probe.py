"""A look at a source by its model list: is it there, does it let our key in, does it have the model.

Knows how an error of the list reads as a probe's result; spends nothing.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

from jackfield.core.contracts import ProbeResult
from jackfield.core.errors import AuthFailed, NotAllowed, NotFound, RequestRejected, Upstream
from jackfield.core.profiles import ModelProfile

_log = logging.getLogger("jackfield.providers")
SHOWN = 5


async def probe_by_list(
    list_models: Callable[[], Awaitable[Sequence[ModelProfile]]], provider: str, model: str | None
) -> ProbeResult:
    """Never raises an Upstream error: it reports it. A model that is not listed is told, and is no reason to be not ready."""
    began = perf_counter()
    try:
        names = tuple(profile.id for profile in await list_models())
    except NotAllowed as error:
        is_refused = isinstance(error, AuthFailed)
        refused = "key refused: " if is_refused else ""
        _log.warning("%s: not ready: %s%s", provider, refused, error.message, extra={"provider": provider})
        return ProbeResult(False, None, f"{refused}{error.message}", authorized=False if is_refused else None)
    except (Upstream, NotFound, RequestRejected) as error:
        return ProbeResult(False, None, error.message)
    listed = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    detail = f"model {model!r} is not in its list; it lists {listed}" if model is not None and model not in names else ""
    return ProbeResult(True, perf_counter() - began, detail, models=names, authorized=True)
