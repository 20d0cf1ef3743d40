"""The last words of an error: what only the provider's card knows, said once."""

import pytest

from jackfield.core import errors
from jackfield.core.contracts import ProviderCard
from jackfield.core.errors import JackfieldError
from jackfield.providers.remedies import explain

CARD = ProviderCard("acme", "api", "Acme", key_env=("ACME_KEY",), docs="https://acme.example", hint="start acme")
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, JackfieldError) and kind not in (JackfieldError, errors.Conflict)
]


@pytest.mark.behaviour("ADPT-33")
@pytest.mark.parametrize("kind", KINDS)
def test_every_error_names_the_provider_and_says_what_to_do(kind: type[JackfieldError]) -> None:
    error = explain(kind("it broke"), CARD)
    assert str(error).startswith("acme: it broke; ")
    once = error.message
    assert explain(error, CARD).message == once, "said twice"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.AuthFailed("no"), "its key is read from ACME_KEY or the slot's api_key"),
        (errors.Unavailable("refused"), "start acme"),
        (errors.BadRequest("bad field"), "https://acme.example"),
        (errors.RateLimited("slow down (wait, or use another slot)"), "slow down (wait, or use another slot)"),
        (errors.TimedOut("no answer: raise first_byte_timeout"), "no answer: raise first_byte_timeout"),
    ],
)
def test_what_is_said_already_is_not_said_again(error: JackfieldError, said: str) -> None:
    assert explain(error, CARD).message.endswith(said)


def test_known_secrets_are_taken_out_whatever_their_shape() -> None:
    error = explain(errors.AuthFailed("no key like plainword is known"), CARD, ("plainword",))
    assert "plainword" not in error.message
    assert "plainword" not in str(error.args)
