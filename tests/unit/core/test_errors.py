import inspect
import re

import pytest

from jackfield.core import errors
from jackfield.core.errors import (
    MESSAGE_MAX_CHARS,
    PARAM_MAX_CHARS,
    AuthFailed,
    BadRequest,
    JackfieldError,
    NotAllowed,
    NotFound,
    RateLimited,
    RequestRejected,
    Upstream,
)

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, JackfieldError) and kind.__module__ == errors.__name__
]


def drawn_tree() -> dict[str, str | None]:
    """Child to parent, as the module's docstring draws it; the depth of a name is its column."""
    tree: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ((?:[| ]  )*)(?:[|`]- )?([A-Z]\w+)(?:\s{2,}|$)", line)
        if match is None:
            continue
        column = match.start(2)
        above = [(place, name) for place, name in above if place < column]
        tree[match[2]] = above[-1][1] if above else None
        above.append((column, match[2]))
    return tree


def test_the_tree_is_the_one_that_the_docstring_draws() -> None:
    real = {kind.__name__: kind.__base__.__name__ if kind is not JackfieldError else None for kind in ALL if kind.__base__}
    assert drawn_tree() == real


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_a_code_and_a_behaviour(kind: type[JackfieldError]) -> None:
    error = kind("what happened; what to do")
    assert 400 <= error.status <= 599
    assert re.fullmatch(r"[a-z_]+", error.code)
    assert kind.was_billed in ("no", "maybe", "yes")
    assert not kind.may_retry or kind.may_fall_back, "what may be tried again here may be tried elsewhere"
    assert str(error) == error.message


def test_codes_name_one_kind_each() -> None:
    leaves = [kind for kind in ALL if not any(issubclass(other, kind) and other is not kind for other in ALL)]
    codes = [kind.default_code for kind in leaves if kind is not BadRequest]
    assert len(codes) == len(set(codes))


def test_only_what_the_source_did_hurts_its_health() -> None:
    assert Upstream.hurts_health
    assert not any(kind.hurts_health for kind in ALL if issubclass(kind, RequestRejected | NotAllowed | NotFound))


@pytest.mark.behaviour("ADPT-33")
def test_a_message_begins_with_the_provider() -> None:
    assert str(AuthFailed("the key was refused: check GROQ_API_KEY", provider="groq")).startswith("groq: ")


def test_what_is_given_replaces_the_kind_s_defaults() -> None:
    error = RateLimited("slow down", slot=3, status=529, code="too_many", param="model", retry_after_s=1.5, request_id="r")
    assert (error.slot, error.status, error.code, error.param, error.retry_after_s, error.request_id) == (
        3,
        529,
        "too_many",
        "model",
        1.5,
        "r",
    )


def test_the_provider_is_named_once() -> None:
    assert str(JackfieldError("refused the key", provider="acme")) == "acme: refused the key"
    assert str(JackfieldError("acme sends prompts to api.example.com", provider="acme")).count("acme") == 1
    assert str(JackfieldError("acmeister is somebody else", provider="acme")).startswith("acme: ")


def test_a_message_does_not_grow_with_the_words_of_a_client() -> None:
    error = BadRequest(f"provider.{'x' * 1_000_000} is not known here", param="x" * 1_000_000)
    assert len(str(error)) <= MESSAGE_MAX_CHARS + 4
    assert error.args == (error.message,)
    assert error.param is not None
    assert len(error.param) <= PARAM_MAX_CHARS + 4
    assert BadRequest("as it is", param="model").param == "model"
