"""What a tool tells: text and structure say the same, errors are objects, and no secret is in any of it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest, JackfieldError, RateLimited, Unavailable
from jackfield.doors.mcp.answering import failed, safe_json, told
from mcp_talk import text_of

SECRET = 'se"cret\\ of ☂ somebody'


@pytest.mark.parametrize(("facts", "structured"), [({"a": [1]}, {"a": [1]}), ([1, {"b": None}], {"result": [1, {"b": None}]})])
def test_text_and_structure_say_the_same(facts: Any, structured: dict[str, Any]) -> None:
    result = told(facts, ())
    assert json.loads(text_of(result)) == facts
    assert (result.structured_content, result.is_error) == (structured, False)


def test_an_error_is_an_object_with_facts_beside_it() -> None:
    error = BadRequest("nonsense", param="mode", slot=3, provider="openai")
    result = failed(error, (), {"valid": ["a"]})
    said = json.loads(text_of(result))
    assert result.is_error
    assert (said["status"], said["valid"]) == ("error", ["a"])
    assert said["error"]["message"].endswith("nonsense")
    assert {"param": "mode", "status": 400, "code": "invalid_request"}.items() <= said["error"].items()


@pytest.mark.parametrize("error", [RateLimited(f"{SECRET} too often", retry_after_s=3.0), Unavailable("x", code=SECRET)])
def test_no_error_carries_a_secret(error: JackfieldError) -> None:
    assert SECRET not in str(json.loads(text_of(failed(error, (SECRET,)))))


words = st.text(max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(words, st.lists(words, max_size=3), max_size=3), words, words)
def test_secrets_go_wherever_they_stand_and_json_stays_json(facts: Any, one: str, two: str) -> None:
    assert json.loads(safe_json(facts, ())) == facts
    first, second = f"☂☂☂☂{one}", f"☃☃☃☃{two}"
    told = {**facts, "a": first, "b": [f"x{second}y"], first: {"deep": first + second}}
    masked = str(json.loads(safe_json(told, (first, second))))
    assert "☂☂☂☂" not in masked
    assert "☃☃☃☃" not in masked


def test_a_secret_made_of_digits_does_not_break_numbers() -> None:
    facts = json.loads(safe_json({"at": 1795246749.5, "said": "it was 246749!"}, ("246749",)))
    assert facts == {"at": 1795246749.5, "said": "it was [redacted]!"}
