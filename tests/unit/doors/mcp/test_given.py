"""Settings given as text: what is one, what means those saved, and that a refusal shows nothing of what was given."""

import pytest

from jackfield.core.errors import BadRequest
from jackfield.doors.mcp.given import config_of


@pytest.mark.parametrize("text", ["", "{}", " {} "])
def test_nothing_means_what_was_saved(text: str) -> None:
    assert config_of(text) is None


@pytest.mark.parametrize("text", ["{canary", "[]", "3", '"canary"', "null", "[" * 9000, "{'canary': 1}", "\ud800"])
def test_what_is_no_object_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        config_of(text)
    assert caught.value.param == "config"
    assert "canary" not in caught.value.message
