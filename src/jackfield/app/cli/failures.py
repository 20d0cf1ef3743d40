"""How a command ends: which error becomes which exit code, and how it is said on stderr.

0 ok, 1 failed, 2 used wrongly, 3 gateway unreachable, 4 budget spent; 130 when interrupted.
"""

import sys

from jackfield.core.errors import BadRequest, BudgetSpent, JackfieldError, Unavailable

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
BUDGET_SPENT = 4
INTERRUPTED = 130


class GatewayUnreachable(Unavailable):
    """Nothing answers where the gateway should be."""

    default_code = "gateway_unreachable"


class UsedWrongly(BadRequest):
    """The command line cannot be served as written; says which flag or argument answers it."""

    default_code = "usage"


def exit_code(error: JackfieldError) -> int:
    if isinstance(error, GatewayUnreachable):
        return UNREACHABLE
    if isinstance(error, BudgetSpent):
        return BUDGET_SPENT
    return USAGE if isinstance(error, UsedWrongly) else FAILED


def say(error: JackfieldError, *, as_json: bool) -> None:
    """One error on stderr: for a person, or as an OpenAI error object."""
    from jackfield.core.redaction import redact

    text = redact(str(error))
    if as_json:
        import msgspec

        body = {"message": text, "type": type(error).__name__, "code": error.code, "param": error.param}
        sys.stderr.write(msgspec.json.encode({"error": body}).decode() + "\n")
    else:
        sys.stderr.write(f"jackfield: {text}\n")
