"""Warnings as a header's value: whatever is in them, it is one line of ASCII, bounded, and without a credential."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.gateway.steps.relay import CUT, WARNINGS_MAX, on_one_line


@pytest.mark.behaviour("WARN-01")
@settings(max_examples=200, deadline=None)
@given(st.text(max_size=3 * WARNINGS_MAX))
def test_any_text_is_one_bounded_line_of_ascii(text: str) -> None:
    line = on_one_line(text)
    assert len(line) <= WARNINGS_MAX
    assert all(0x20 <= byte < 0x7F for byte in line)


def test_what_fits_is_left_as_it_is() -> None:
    assert on_one_line("top_k: left out; n: left out") == b"top_k: left out; n: left out"


def test_what_does_not_fit_says_so() -> None:
    line = on_one_line("x" * (WARNINGS_MAX + 1))
    assert len(line) == WARNINGS_MAX
    assert line.endswith(CUT.encode())


@pytest.mark.behaviour("WARN-01")
@pytest.mark.parametrize("secret", ["sk-0123456789abcdef", "hf_ABCDEFGHIJKLMNOPQRST", "AIzaSyA0123456789abcdef"])
def test_what_looks_like_a_credential_is_masked(secret: str) -> None:
    line = on_one_line(f"{secret}: left out, this dialect has no place for it")
    assert secret.encode() not in line
    assert b"left out" in line
