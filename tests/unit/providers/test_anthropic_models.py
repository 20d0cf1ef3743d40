"""Facts about Claude models: rows by name, and what the vendor's list tells, which counts more."""

import msgspec
import pytest

from jackfield.core.errors import Malformed
from jackfield.providers.anthropic_models import manners_of, profile_of, quirks_of, read_page


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("claude-3-opus-20240229", 200_000),
        ("claude-3-7-sonnet-latest", 200_000),
        ("claude-opus-4-20250514", 200_000),
        ("claude-opus-4-1", 200_000),
        ("claude-haiku-4-5-20251001", 200_000),
        ("claude-sonnet-4-6", None),
        ("claude-opus-5", None),
        ("fake-model", None),
    ],
)
def test_windows_are_known_where_they_are_documented(model: str, window: int | None) -> None:
    assert profile_of(model).context_length == window


@pytest.mark.parametrize(
    ("model", "sampling", "thinking", "schemas"),
    [
        ("claude-3-haiku-20240307", True, "none", False),
        ("claude-3-7-sonnet-latest", True, "budget", False),
        ("claude-sonnet-4-20250514", True, "budget", False),
        ("claude-opus-4-5", True, "budget", True),
        ("claude-opus-4-6", True, "adaptive", True),
        ("claude-opus-4-7", False, "adaptive", True),
        ("claude-fable-5", False, "adaptive", True),
        ("some-other-model", True, "budget", True),
    ],
)
def test_what_may_be_sent_follows_from_the_name(model: str, sampling: bool, thinking: str, schemas: bool) -> None:
    quirks = quirks_of(model, {}, sampling=True, extra_fields=())
    assert (quirks.sampling, quirks.thinking, quirks.schemas) == (sampling, thinking, schemas)


def entry(**capabilities: object) -> bytes:
    model = {"id": "claude-new", "display_name": "New", "max_input_tokens": 1_000_000, "max_tokens": 128_000}
    return msgspec.json.encode({"data": [{**model, "capabilities": capabilities}], "has_more": False, "last_id": "claude-new"})


def test_the_list_counts_more_than_the_rows() -> None:
    types = {"adaptive": {"supported": False}, "enabled": {"supported": True}}
    page = read_page(
        entry(
            image_input={"supported": False},
            structured_outputs={"supported": True},
            thinking={"supported": True, "types": types},
        ),
        "anthropic",
    )
    (listed,) = page.models
    assert page.following is None
    profile = listed.profile
    assert (profile.context_length, profile.max_output_tokens) == (1_000_000, 128_000)
    assert (profile.vision, profile.reasoning, profile.json_mode, profile.tools) == (False, True, True, True)
    assert quirks_of("claude-new", listed.told, sampling=True, extra_fields=()).thinking == "budget"
    assert manners_of("claude-new").thinking == "adaptive"


def test_a_model_that_does_not_think_is_known_as_such() -> None:
    (listed,) = read_page(entry(thinking={"supported": False}), "anthropic").models
    assert listed.told == {"thinking": "none"}


def test_the_list_of_an_openai_like_server_is_read_too() -> None:
    page = read_page(b'{"object":"list","data":[{"id":"tiny","meta":{"n_ctx":2048}}]}', "x")
    assert [(model.profile.id, model.profile.context_length) for model in page.models] == [("tiny", 2048)]


def test_a_page_that_does_not_say_where_to_go_on_is_malformed() -> None:
    with pytest.raises(Malformed, match="more"):
        read_page(b'{"data":[{"id":"a"}],"has_more":true,"last_id":5}', "x")
