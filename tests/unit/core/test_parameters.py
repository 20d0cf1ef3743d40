from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.core.parameters import SYNONYMS, Parameters, did_you_mean, normalise
from jackfield.core.requests import Generation, ResponseFormat

SAMPLES: dict[str, tuple[Any, Any]] = {
    # canonical name: (a value as given, another one)
    "temperature": (0.2, 0.3),
    "top_p": (0.9, 0.8),
    "top_k": (40, 41),
    "max_tokens": (100, 101),
    "stop": (("END",), ("STOP",)),
    "seed": (7, 8),
    "frequency_penalty": (0.5, 0.6),
    "presence_penalty": (0.5, 0.6),
    "context_length": (4096, 8192),
    "reasoning_effort": ("low", "high"),
    "logprobs": (True, False),
    "top_logprobs": (5, 6),
    "parallel_tool_calls": (True, False),
    "system_prompt": ("be brief", "be long"),
    "format": ("json", "text"),
}
SPELLINGS = [(canonical, name) for canonical, names in SYNONYMS.items() for name in (canonical, *names)]


def value_of(parameters: Parameters, canonical: str) -> Any:
    return getattr(parameters if canonical in ("system_prompt", "format") else parameters.generation, canonical)


def test_the_samples_cover_the_table() -> None:
    assert SAMPLES.keys() == SYNONYMS.keys()


@pytest.mark.behaviour("PARM-01", "PARM-02", "PARM-03", "PARM-04", "PARM-05", "PARM-06", "PARM-07", "PARM-08")
@pytest.mark.parametrize(("canonical", "name"), SPELLINGS)
def test_every_spelling_reaches_the_canonical_name(canonical: str, name: str) -> None:
    given_value = SAMPLES[canonical][0]
    parameters = normalise({name: given_value})
    assert value_of(parameters, canonical) == given_value
    assert parameters.unknown == {}


@pytest.mark.behaviour("PARM-02")
@pytest.mark.parametrize(("canonical", "name"), [pair for pair in SPELLINGS if pair[0] != pair[1]])
def test_two_names_that_differ_are_refused_and_two_that_agree_are_one(canonical: str, name: str) -> None:
    one, other = SAMPLES[canonical]
    assert normalise({canonical: one, name: one}) == normalise({canonical: one})
    for pair in ({canonical: one, name: other}, {name: other, canonical: one}):
        with pytest.raises(BadRequest, match=f"give only {canonical}") as refused:
            normalise(pair)
        assert refused.value.param in pair


@pytest.mark.parametrize(("canonical", "name"), [pair for pair in SPELLINGS if pair[0] != pair[1]])
def test_none_is_not_said_whichever_name_carries_it(canonical: str, name: str) -> None:
    said = SAMPLES[canonical][0]
    assert normalise({canonical: said, name: None}) == normalise({name: None, canonical: said}) == normalise({canonical: said})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 2.1),
        ("temp", -0.1),
        ("temperature", float("nan")),
        ("temperature", "hot"),
        ("temperature", True),
        ("top_p", 1.01),
        ("nucleus_sampling", -1),
        ("max_tokens", 0),
        ("num_predict", -1),
        ("max_tokens", 1.5),
        ("max_tokens", "100"),
        ("top_k", -1),
        ("frequency_penalty", 2.5),
        ("presence_penalty", -2.5),
        ("num_ctx", 0),
        ("top_logprobs", 21),
        ("stop", 5),
        ("stop_sequences", ["a", 1]),
        ("seed", "x"),
        ("logprobs", "yes"),
        ("system", 5),
        ("system_prompt", ["a"]),
        ("format", "xml"),
        ("response_format", ["json"]),
        ("response_format", {"type": "xml"}),
        ("response_format", {}),
        ("response_format", {"type": "json_schema"}),
        ("response_format", {"type": "json_schema", "json_schema": "s"}),
        ("response_format", {"type": "json_schema", "json_schema": {"schema": "s"}}),
        ("response_format", {"type": "json_schema", "json_schema": {"strict": "very"}}),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_it_came_under(name: str, value: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        normalise({name: value})
    assert refused.value.param == name
    assert name in str(refused.value)


@pytest.mark.behaviour("PARM-01")
@pytest.mark.parametrize(("name", "values"), [("temperature", (0, 2, 1.5)), ("top_p", (0, 1)), ("top_logprobs", (0, 20))])
def test_the_ends_of_a_range_are_allowed(name: str, values: tuple[float, ...]) -> None:
    for value in values:
        assert value_of(normalise({name: value}), name) == value


@pytest.mark.behaviour("PARM-03")
def test_stop_may_be_one_text_or_several() -> None:
    assert normalise({"stop": "END"}).generation.stop == ("END",)
    assert normalise({"stop_sequences": ["a", "b"]}).generation.stop == ("a", "b")
    assert normalise({"stop": "END", "stop_sequences": ["END"]}).generation.stop == ("END",)


@pytest.mark.behaviour("PARM-05")
@pytest.mark.parametrize(
    ("given_format", "format_", "response_format"),
    [
        ("text", "text", None),
        ("json", "json", ResponseFormat("json")),
        ("embedding", "embedding", None),
        ({"type": "text"}, "text", None),
        ({"type": "json_object"}, "json", ResponseFormat("json")),
        (
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True, "description": "d"},
            },
            "json",
            ResponseFormat("json_schema", {"type": "object"}, "n", True, {"description": "d"}),
        ),
    ],
)
def test_the_forms_of_format(given_format: Any, format_: str, response_format: ResponseFormat | None) -> None:
    parameters = normalise({"response_format": given_format})
    assert (parameters.format, parameters.response_format) == (format_, response_format)


@pytest.mark.behaviour("PARM-09")
@given(
    st.dictionaries(
        st.text(max_size=12).filter(lambda name: name not in dict(SPELLINGS)), st.none() | st.integers(), max_size=4
    )
)
@settings(max_examples=100)
def test_an_unknown_parameter_is_never_dropped(strange: dict[str, Any]) -> None:
    unspelt = {name: value for name, value in strange.items() if all(name != spelling for _, spelling in SPELLINGS)}
    assert normalise({**unspelt, "temperature": 0.5}) == Parameters(Generation(temperature=0.5), unknown=unspelt)


def test_nothing_said_is_nothing_set() -> None:
    assert normalise({}) == Parameters(Generation())


def test_the_nearest_name_is_offered_or_none() -> None:
    assert did_you_mean("temprature", SYNONYMS) == " (did you mean 'temperature'?)"
    assert did_you_mean("temprature", ("temperature", "top_p")) == " (did you mean 'temperature'?)"
    assert did_you_mean("zzz", SYNONYMS) == ""
    assert did_you_mean("x", ()) == ""


def test_what_is_too_long_for_a_name_is_near_none() -> None:
    assert did_you_mean("modle", ("model",)) == " (did you mean 'model'?)"
    assert did_you_mean("model" * 10_000_000, ("model",)) == ""
