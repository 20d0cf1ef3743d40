"""Asks a person once before prompts leave this machine, where the gateway says that they would.

Knows the refusal and the question; what a consent means is decided by the gateway.
"""

from collections.abc import Callable
from typing import TypeVar

from jackfield.app.cli import output
from jackfield.core.errors import EgressDenied, ModeForbids

Done = TypeVar("Done")
ANSWERABLE = "--yes"


def with_consent(attempt: Callable[[bool], Done], *, yes: bool) -> Done:
    """`attempt(consent)`, asked for consent where it is refused for lack of it. Raises what `attempt` raises."""
    if yes:
        return attempt(True)
    try:
        return attempt(False)
    except (ModeForbids, EgressDenied) as refusal:
        if ANSWERABLE not in refusal.message:
            raise
        if not output.confirm(f"{question(refusal.message)}; allow", ANSWERABLE):
            raise
    return attempt(True)


def question(message: str) -> str:
    """ "openai sends prompts to api.openai.com" of the refusal's longer message."""
    return message.partition(";")[0].strip()
