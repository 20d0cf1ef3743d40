"""What a person can do about an error that came from a source: the last words of every provider's error message.

Dialect and transport say what happened, and often what to do; here comes what only the provider's card knows (its key's
variable, how to start it), and a remedy where there is none yet. Whether to retry is not decided here.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jackfield.core import errors
from jackfield.core.contracts import ProviderCard
from jackfield.core.errors import JackfieldError
from jackfield.core.redaction import redact

_log = logging.getLogger("jackfield.providers")


class _Remedy(NamedTuple):
    """`text`, unless the message already says `marker`."""

    marker: str
    text: str


_REMEDIES: Mapping[type[JackfieldError], _Remedy] = {
    errors.ContextOverflow: _Remedy("shorten", "shorten the prompt or max_tokens, or plug a model with a longer context"),
    errors.ContentRefused: _Remedy("another slot", "rephrase the request, or use another slot"),
    errors.BodyTooLarge: _Remedy("send less", "send less at once: smaller images or a shorter prompt"),
    errors.NotSupported: _Remedy(": ", "leave that out of the request, or use another slot"),
    errors.RequestRejected: _Remedy(": give ", "correct the request; what it accepts is documented at {docs}"),
    errors.AuthFailed: _Remedy("{key}", "its key is read from {key}"),
    errors.BudgetSpent: _Remedy("another slot", "top up the account behind its key, or use another slot"),
    errors.NotAllowed: _Remedy(": ", "somebody must permit it first, or use another slot"),
    errors.ModelNotFound: _Remedy("models list", "`jackfield models list` shows what is there"),
    errors.NotFound: _Remedy(": ", "check base_url and the model's name"),
    errors.RateLimited: _Remedy("another slot", "wait, or use another slot"),
    errors.Overloaded: _Remedy("another slot", "try again shortly, or use another slot"),
    errors.TimedOut: _Remedy("raise ", "raise first_byte_timeout or timeout in the slot's config if the model is slow"),
    errors.Malformed: _Remedy("base_url", "check that base_url is the root of an OpenAI-compatible API"),
    errors.StreamBroken: _Remedy("ask again", "ask again: what came is not a whole answer"),
    errors.MissingExtra: _Remedy("install", "{hint}"),
    errors.ServiceFailed: _Remedy(": ", "{hint}"),
    errors.Upstream: _Remedy("{hint}", "{hint}"),
}


def failed(
    error: JackfieldError, card: ProviderCard, operation: str, model: str | None, known_secrets: Iterable[str] = ()
) -> JackfieldError:
    """`explain`, and a line in the log."""
    explain(error, card, known_secrets)
    extra = {"provider": card.id, "model": model, "operation": operation}
    _log.warning("%s: %s failed: %s", card.id, operation, error.message, extra=extra)
    return error


def explain(error: JackfieldError, card: ProviderCard, known_secrets: Iterable[str] = ()) -> JackfieldError:
    """The same error with the provider's id, a remedy at its end, and no credential in it. Idempotent."""
    error.provider = error.provider or card.id
    said = redact(error.message, known_secrets).rstrip(". ")
    remedy = next((_REMEDIES[kind] for kind in type(error).__mro__ if kind in _REMEDIES), _Remedy("", ""))
    words = {
        "docs": card.docs or "its maker's pages",
        "key": f"{card.key_env[0]} or the slot's api_key" if card.key_env else "the slot's api_key",
        "hint": card.hint or f"try again, or see {card.docs or 'its status page'}",
    }
    text = remedy.text.format(**words)
    if text and text not in said and remedy.marker.format(**words) not in said:
        said = f"{said}; {text}"
    error.message = said
    error.args = (said,)
    return error
