"""The sum over a batch's answers, in each of the dialects that a batch can ask."""

import json
from typing import Any

import pytest

from jackfield.core.usage import Usage
from jackfield.dialects.batch_tally import Tally, tally


def line(body: Any) -> bytes:
    response = {"status_code": 200, "request_id": "r", "body": body}
    return json.dumps({"id": "batch_req_1", "custom_id": "a", "response": response, "error": None}).encode() + b"\n"


CHAT = {
    "model": "small",
    "usage": {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}
RESPONSE = {
    "model": "small",
    "usage": {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 10,
    },
}
VECTORS = {"model": "small", "usage": {"prompt_tokens": 8, "total_tokens": 8}}


def test_tokens_of_every_kind_of_answer_are_summed() -> None:
    assert tally([line(CHAT)]) == Tally(Usage(10, 5, 4, 2), "small")
    assert tally([line(RESPONSE)]) == Tally(Usage(7, 3, 1, 1), "small")
    assert tally([line(CHAT), line(RESPONSE), line(VECTORS)]) == Tally(Usage(25, 8, 5, 3), "small")


def test_several_models_have_no_one_name() -> None:
    assert tally([line(CHAT), line({**CHAT, "model": "large"})]).model is None
    assert tally([]) == Tally(Usage(), None)


@pytest.mark.parametrize(
    "body", [None, [], "x", {}, {"usage": None}, {"usage": 5, "model": 5}, {"usage": {"prompt_tokens": -1}}]
)
def test_what_tells_nothing_counts_as_none(body: Any) -> None:
    assert tally([line(body), line(CHAT)]).usage == Usage(10, 5, 4, 2)
