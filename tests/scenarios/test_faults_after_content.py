"""Faults of a stream after its first content: told in the stream, or, where the caller asks for it, taken up by the sibling."""

import json

import pytest

from jackfield.testing.faults import AFTER_CONTENT
from two_sources import WHOLE, Heard, House

TOLD_AFTER = {
    "cut": {"stream_broken", "unavailable"},
    "stalled": {"timeout"},
    "malformed": {"malformed_answer"},
    "error in the stream": {"unavailable", "upstream_error"},
}


def assert_broken_off(heard: Heard, codes: set[str]) -> None:
    """A part of the right answer, once, then a typed error in the stream and no end mark."""
    assert heard.status == 200
    assert 0 < len(heard.text) < len(WHOLE)
    assert WHOLE.startswith(heard.text)
    assert heard.code in codes, heard
    assert json.loads(heard.lines[-1].removeprefix("data: "))["error"] == heard.error
    assert heard.finish_reasons == []
    assert not heard.is_done


@pytest.mark.parametrize("name", TOLD_AFTER)
async def test_after_content_the_stream_ends_in_a_typed_error(house: House, name: str) -> None:
    house.a.behaviour = AFTER_CONTENT[name]
    heard = await house.ask(stream=True)
    assert_broken_off(heard, TOLD_AFTER[name])
    assert (house.a.asked, house.b.asked) == (1, 0)
    assert [row.outcome for row in house.rows(heard)] == [heard.code]
    await house.settled()
