"""One rule from what people write to the API's root."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.core.errors import BadRequest
from jackfield.providers.address import api_root, is_loopback
from jackfield.providers.presets import Preset, load_presets

PRESETS = load_presets()
ANY = PRESETS["openai-compat"]


@pytest.mark.behaviour("PROV-01")
@pytest.mark.parametrize(
    ("written", "root"),
    [
        ("http://h:8000", "http://h:8000/v1"),
        ("http://h:8000/", "http://h:8000/v1"),
        ("http://h:8000/v1", "http://h:8000/v1"),
        ("http://h:8000/v1/", "http://h:8000/v1"),
        ("http://h:8000/v1//", "http://h:8000/v1"),
        ("http://h:8000/v1/chat/completions", "http://h:8000/v1"),
        ("http://h:8000/chat/completions", "http://h:8000/v1"),
        ("http://h/v1/models", "http://h/v1"),
        ("https://h/openai", "https://h/openai/v1"),
        ("https://h/openai/v1", "https://h/openai/v1"),
        ("https://h/v1/openai", "https://h/v1/openai"),
        ("https://h/api/paas/v4", "https://h/api/paas/v4"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai"),
        ("localhost:8000", "http://localhost:8000/v1"),
        ("127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        (" http://[::1]:8000 ", "http://[::1]:8000/v1"),
        ("unix:///run/x.sock", "unix:///run/x.sock:/v1"),
        ("unix:///run/x.sock:/api", "unix:///run/x.sock:/api"),
    ],
)
def test_any_spelling_leads_to_the_root(written: str, root: str) -> None:
    assert api_root(ANY, written) == root


@pytest.mark.behaviour("LOCL-22")
@pytest.mark.parametrize(
    ("row", "written", "root"),
    [
        ("lemonade", "http://h:13305", "http://h:13305/api/v1"),
        ("lemonade", "http://h:13305/api", "http://h:13305/api/v1"),
        ("lemonade", "http://h:13305/api/v1/", "http://h:13305/api/v1"),
        ("lemonade", "http://h:13305/v1", "http://h:13305/v1"),
        ("perplexity", "https://api.perplexity.ai", "https://api.perplexity.ai"),
        ("github-models", "https://h/inference/", "https://h/inference"),
        ("github-models", "https://h", "https://h/inference"),
        ("zai", "https://h", "https://h/api/paas/v4"),
    ],
)
def test_rows_with_a_path_of_their_own_keep_it(row: str, written: str, root: str) -> None:
    assert api_root(PRESETS[row], written) == root


@pytest.mark.parametrize("row", sorted(set(PRESETS) - {"openai-compat", "azure-openai"}))
def test_a_rows_own_address_is_used_as_it_stands(row: str) -> None:
    assert api_root(PRESETS[row]) == PRESETS[row].url


@pytest.mark.behaviour("LOCL-28")
@pytest.mark.parametrize("row", [row for row, preset in PRESETS.items() if preset.port])
def test_every_local_row_can_be_moved(row: str) -> None:
    path = PRESETS[row].path
    assert api_root(PRESETS[row], port=9999) == f"http://127.0.0.1:9999{path}"
    assert api_root(PRESETS[row], host="10.0.0.7") == f"http://10.0.0.7:{PRESETS[row].port}{path}"
    assert api_root(PRESETS[row], "http://elsewhere:1") == f"http://elsewhere:1{path}"
    assert api_root(PRESETS[row], path="/x/y") == f"http://127.0.0.1:{PRESETS[row].port}/x/y"


@pytest.mark.behaviour("LOCL-20")
def test_gpt4all_listens_on_ipv4_only_so_localhost_is_spelled_out() -> None:
    assert api_root(PRESETS["gpt4all"], "http://localhost:4891") == "http://127.0.0.1:4891/v1"
    assert api_root(PRESETS["vllm"], "http://localhost:8000") == "http://localhost:8000/v1"


@pytest.mark.parametrize("written", ["ftp://h/v1", "no-scheme.example/v1", "http://", "http://[::1", "://x"])
def test_what_is_no_url_is_refused(written: str) -> None:
    with pytest.raises(BadRequest) as caught:
        api_root(ANY, written)
    assert caught.value.param == "base_url"


def test_a_bad_url_is_not_quoted_with_its_secret() -> None:
    with pytest.raises(BadRequest) as caught:
        api_root(ANY, "ftp://me:hunter2hunter2@h/v1?key=alsosecret")
    assert "hunter2" not in caught.value.message
    assert "alsosecret" not in caught.value.message


def test_a_missing_address_is_told() -> None:
    with pytest.raises(BadRequest, match="needs a base_url"):
        api_root(ANY)
    with pytest.raises(BadRequest, match="give base_url instead of host and port"):
        api_root(PRESETS["groq"], port=80)


SEGMENTS = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=8), max_size=3)


@given(SEGMENTS, st.sampled_from(["", "/", "//"]), st.sampled_from(["", "/v1"]))
def test_the_rule_is_idempotent_and_never_doubles_v1(segments: list[str], slash: str, version: str) -> None:
    written = "http://h/" + "/".join(segments) + version + slash
    root = api_root(ANY, written)
    assert api_root(ANY, root) == root
    assert not root.endswith("/")
    assert "/v1/v1" not in root
    assert root.endswith("/v1")


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("localhost", True), ("a.localhost", True),
     ("127.9.9.9", True), ("[::1]", True), ("10.0.0.1", False), ("127.0.0.1.evil.com", False)],
)  # fmt: skip
def test_loopback_is_told_by_name(host: str, is_here: bool) -> None:
    assert is_loopback(host) is is_here


def test_a_row_with_a_bare_port_needs_no_more() -> None:
    assert api_root(Preset(id="mine", port=7)) == "http://127.0.0.1:7/v1"
