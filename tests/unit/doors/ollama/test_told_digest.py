"""Digests in Ollama's lists: two models never share one, and one model keeps its own."""

import msgspec

from jackfield.core.profiles import ModelProfile
from jackfield.doors.ollama.told import digest, listed

PROFILE = ModelProfile("m", tools=True, source="the list, just now")


def test_each_name_has_a_digest_of_its_own() -> None:
    digests = {listed(name, profile)["digest"] for name in ("slot-0", "slot-1", "m") for profile in (None, PROFILE)}
    assert len(digests) == 6
    assert all(len(each) == 64 for each in digests)


def test_a_digest_changes_with_what_the_model_can_do_and_not_with_who_told_it() -> None:
    again, less = (msgspec.structs.replace(PROFILE, source="the list, later"), msgspec.structs.replace(PROFILE, tools=False))
    assert digest("m", PROFILE) == digest("m", again) != digest("m", less)
