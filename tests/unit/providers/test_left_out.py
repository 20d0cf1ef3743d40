"""What a source could not be given is told: in the log, in the answer's first event, or as an error."""

import pytest

from jackfield.core.errors import NotSupported
from jackfield.core.events import Started, TextDelta
from jackfield.providers.left_out import told, with_warnings
from jackfield.testing.conformance import captured_log


def test_warnings_are_logged_or_refused() -> None:
    with captured_log() as lines:
        assert told(["seed: left out"], provider="acme", model="m", strict=False) == ["seed: left out"]
    assert any("acme: seed: left out" in line for line in lines)
    assert told([], provider="acme", model="m", strict=True) == []
    with pytest.raises(NotSupported, match=r"strict is set.*seed") as caught:
        told(["seed: left out"], provider="acme", model="m", strict=True)
    assert caught.value.provider == "acme"


def test_the_first_event_carries_them() -> None:
    began = Started("m", extra={"kept": 1})
    assert with_warnings(began, ["a"]) == Started("m", extra={"kept": 1, "warnings": ["a"]})
    assert with_warnings(began, []) is began
    text = TextDelta(0, "x")
    assert with_warnings(text, ["a"]) is text
