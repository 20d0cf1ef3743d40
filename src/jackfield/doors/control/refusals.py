"""Which statuses a call may be refused with, for whoever reads the OpenAPI description: one row for each kind of call.

Knows what kinds of calls there are, none of the routes. What decides the status of a refusal is the error itself.
"""

import msgspec
from litestar.openapi.datastructures import ResponseSpec


class ErrorFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """`message` is for a person, `code` for a program; `param` names the field that is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None
    slot: int | None = None
    provider: str | None = None
    request_id: str | None = None


class ErrorAnswer(msgspec.Struct, frozen=True):
    """OpenAI's error object."""

    error: ErrorFacts


_REASONS = {
    400: "The request cannot be used as it is; `param` names what is wrong.",
    401: "A key is missing, the gateway's or the source's.",
    402: "The account at the source has no money left.",
    403: "Not allowed: a wrong key, a foreign page, the operating mode, or a consent that nobody gave.",
    404: "What was named is not here, or the slot is empty.",
    409: "The panel is in a state that forbids it.",
    413: "The body is too large.",
    429: "The source asks to wait; `retry-after` says for how long.",
    502: "The source cannot be reached, or answered badly.",
    503: "It cannot be done now: the source has too much to do, a package is missing, or the gateway stops.",
    504: "The source did not answer in time.",
}


def _may_be(*statuses: int) -> dict[int, ResponseSpec]:
    always = (400, 401, 403)
    return {
        status: ResponseSpec(ErrorAnswer, description=_REASONS[status], generate_examples=False)
        for status in (*always, *statuses)
    }


OF_ALL = _may_be()
"""Calls that name nothing."""
OF_NAMED = _may_be(404)
"""Calls that look at one thing by its name."""
OF_CHANGES = _may_be(404, 409, 413, 503)
OF_PLUGGING = _may_be(404, 409, 413, 502, 503, 504)
"""Changes that bring a source up."""
OF_ASKING = _may_be(402, 404, 409, 413, 429, 502, 503, 504)
"""Calls that put a question to a source."""
