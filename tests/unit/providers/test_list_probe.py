from collections.abc import Awaitable, Callable

import pytest

from jackfield.core.errors import AuthFailed, JackfieldError, ModeForbids, TimedOut, Unavailable
from jackfield.core.profiles import ModelProfile
from jackfield.providers.list_probe import probe_by_list

MODELS = tuple(ModelProfile(f"m{number}") for number in range(7))


def _fails(error: JackfieldError) -> Callable[[], Awaitable[tuple[ModelProfile, ...]]]:
    async def list_models() -> tuple[ModelProfile, ...]:
        raise error

    return list_models


async def _lists() -> tuple[ModelProfile, ...]:
    return MODELS


async def test_a_source_that_lists_is_ready_and_a_model_it_lacks_is_told() -> None:
    found = await probe_by_list(_lists, "p", "m3")
    assert (found.is_ready, found.authorized, found.detail, len(found.models)) == (True, True, "", 7)
    assert found.latency_s is not None
    missing = await probe_by_list(_lists, "p", "x")
    assert missing.is_ready
    assert missing.detail == "model 'x' is not in its list; it lists m0, m1, m2, m3, m4, ..."


@pytest.mark.parametrize("error", [Unavailable("down"), TimedOut("slow")])
async def test_a_source_that_is_away_is_reported(error: JackfieldError) -> None:
    found = await probe_by_list(_fails(error), "p", None)
    assert (found.is_ready, found.authorized, found.detail) == (False, None, error.message)


async def test_a_refused_key_is_told_from_a_forbidden_host() -> None:
    refused = await probe_by_list(_fails(AuthFailed("no")), "p", None)
    assert (refused.authorized, refused.detail) == (False, "key refused: no")
    forbidden = await probe_by_list(_fails(ModeForbids("no")), "p", None)
    assert (forbidden.authorized, forbidden.detail) == (None, "no")
