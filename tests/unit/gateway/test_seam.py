"""Two texts joined: nothing twice, nothing lost, however the second one is cut."""

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jackfield.gateway.seam import REPEATED_MIN_CHARS, Seam

TEXTS = st.text("ab \n", max_size=30)


def joined(sent: str, pieces: list[str], *, anew: bool = False) -> tuple[str, bool]:
    seam = Seam(sent, anew=anew)
    out = "".join(seam.feed(piece) for piece in pieces) + seam.finish()
    return out, seam.has_parted


def cut(text: str, places: list[int]) -> list[str]:
    at = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(at)]


CUTS = st.lists(st.integers(0, 60), max_size=6)


@settings(max_examples=200, deadline=None)
@given(whole=TEXTS, at=st.integers(0, 30), cuts=CUTS)
def test_what_goes_on_is_joined_exactly(whole: str, at: int, cuts: list[int]) -> None:
    sent = whole[:at]
    rest = whole[len(sent.rstrip()) :]
    assume(len(sent.rstrip()) < REPEATED_MIN_CHARS or not rest.startswith(sent.rstrip()))
    out, has_parted = joined(sent, cut(rest, cuts))
    assert sent + out == whole
    assert not has_parted


@settings(max_examples=200, deadline=None)
@given(whole=TEXTS, at=st.integers(0, 30), cuts=CUTS, anew=st.booleans())
def test_what_is_repeated_is_left_out(whole: str, at: int, cuts: list[int], anew: bool) -> None:
    sent = whole[:at]
    assume(anew or len(sent.rstrip()) >= REPEATED_MIN_CHARS)
    assume(sent.rstrip())
    out, has_parted = joined(sent, cut(whole, cuts), anew=anew)
    assert sent + out == whole
    assert not has_parted


@settings(max_examples=200, deadline=None)
@given(sent=TEXTS, new=TEXTS, cuts=CUTS)
def test_another_answer_is_given_whole_and_said_to_be_another(sent: str, new: str, cuts: list[int]) -> None:
    assume(sent.rstrip() and not new.startswith(sent.rstrip()))
    assert joined(sent, cut(new, cuts), anew=True) == (new, True)


@pytest.mark.parametrize(
    ("sent", "rest", "out"),
    [
        ("1, 2, ", " 3", "3"),
        ("1, 2, ", "3", "3"),
        ("1, 2,", " 3", " 3"),
        ("a\n\n", "\n\nb", "b"),
        ("a\n\n", "\nb", "b"),
        ("a ", "  b", " b"),
        ("ha ", "ha ha", "ha ha"),
        ("one two three", "one two three four", " four"),
        ("one two three", "one two", "one two"),
    ],
)
def test_white_space_is_joined_once(sent: str, rest: str, out: str) -> None:
    assert joined(sent, [rest])[0] == out


def test_nothing_is_held_back_of_what_goes_on() -> None:
    seam = Seam("The quick brown ", anew=False)
    assert seam.feed(" fox") == "fox"
    assert seam.feed(" jumps") == " jumps"
