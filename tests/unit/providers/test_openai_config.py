"""Settings of an OpenAI-compatible provider: which key goes where, what is refused, and cards."""

from typing import Any

import pytest

from jackfield.core.errors import AuthFailed, BadRequest, MissingExtra, NotAllowed
from jackfield.providers.openai_config import OpenAISettings, card_of, read_settings
from jackfield.providers.presets import Preset, load_presets
from jackfield.testing.tools import DictSecrets

PRESETS = load_presets()


def _read(row: str, config: dict[str, Any], secrets: dict[str, str] | None = None) -> OpenAISettings:
    return read_settings(PRESETS[row], config, DictSecrets(secrets))


def test_a_rows_own_variable_is_read_for_the_rows_own_host() -> None:
    assert _read("groq", {}, {"env:GROQ_API_KEY": "k"}).key == "k"


def test_a_missing_key_says_which_variable_to_set() -> None:
    with pytest.raises(AuthFailed, match="set GROQ_API_KEY, or plug it with api_key") as caught:
        _read("groq", {})
    assert caught.value.provider == "groq"


@pytest.mark.parametrize("name", ["HF_TOKEN", "HF_API_TOKEN", "HF_API_KEY", "HUGGINGFACE_API_KEY"])
def test_the_old_names_of_the_hugging_face_token_count(name: str) -> None:
    assert _read("huggingface-router", {}, {f"env:{name}": name}).key == name


def test_the_canonical_name_of_a_token_wins() -> None:
    both = {"env:HF_TOKEN": "new", "env:HF_API_KEY": "old"}
    assert _read("huggingface-router", {}, both).key == "new"


def test_a_key_found_in_the_environment_is_never_sent_to_another_host() -> None:
    secrets = DictSecrets({"env:OPENAI_API_KEY": "k"})
    assert read_settings(PRESETS["openai"], {"base_url": "http://127.0.0.1:9"}, secrets).key is None
    assert read_settings(PRESETS["openai-compat"], {"base_url": "https://other.example"}, secrets).key is None
    assert secrets.asked == []
    assert _read("openai", {"base_url": "http://127.0.0.1:9", "api_key": "env:MINE"}, {"env:MINE": "mine"}).key == "mine"


@pytest.mark.behaviour("LOCL-17")
def test_a_local_servers_key_is_optional_and_sent_when_set() -> None:
    assert _read("localai", {}).key is None
    assert _read("localai", {"port": 9}, {"env:LOCALAI_API_KEY": "k"}).key == "k"
    assert _read("localai", {"base_url": "http://elsewhere.example"}, {"env:LOCALAI_API_KEY": "k"}).key is None


def test_secrets_are_not_in_the_repr() -> None:
    assert "hush" not in repr(_read("groq", {"api_key": "env:X"}, {"env:X": "hush-hush"}))


@pytest.mark.behaviour("LOCL-26")
@pytest.mark.parametrize(
    ("row", "block", "root"),
    [
        (
            "localai",
            {"base_url": "http://localhost:8080", "model": "gpt-3.5-turbo", "api_key": None},
            "http://localhost:8080/v1",
        ),
        ("lm_studio", {"base_url": "http://localhost:1234", "model": None, "api_key": None}, "http://localhost:1234/v1"),
        ("fastchat", {"base_url": "http://localhost:8000", "model": None, "api_key": None}, "http://localhost:8000/v1"),
    ],
)
def test_engine_blocks_are_read_and_a_switched_off_one_is_refused(row: str, block: dict[str, Any], root: str) -> None:
    read = _read(row, {"enabled": True, **block, "temperature": 0.2, "max_tokens": 7, "stop": ["x"]})
    assert read.root == root
    assert read.config.model == block["model"]
    assert (read.config.generation.temperature, read.config.generation.max_tokens, read.config.generation.stop) == (
        0.2,
        7,
        ("x",),
    )
    with pytest.raises(NotAllowed, match="enabled: true"):
        _read(row, {"enabled": False, **block})


@pytest.mark.behaviour("LOCL-25")
def test_bitnet_cannot_run_in_this_process_and_says_what_to_do() -> None:
    with pytest.raises(MissingExtra, match=r"run_inference_server\.py") as caught:
        _read("bitnet", {"mode": "direct"})
    assert caught.value.provider == "bitnet"
    assert _read("bitnet", {"mode": "api"}).root == "http://127.0.0.1:8080/v1"
    with pytest.raises(BadRequest, match="mode must be 'api'"):
        _read("vllm", {"mode": "direct"})


def test_timeouts_are_seconds_and_above_nothing() -> None:
    times = _read("vllm", {"timeout": 9, "connect_timeout": 1, "first_byte_timeout": 2, "idle_timeout": 3}).timeouts
    assert (times.total_s, times.connect_s, times.first_byte_s, times.idle_s) == (9, 1, 2, 3)
    assert _read("ollama-openai", {}).timeouts.first_byte_s == 180
    with pytest.raises(BadRequest, match="above 0"):
        _read("vllm", {"timeout": 0})


def test_quirks_can_be_set_and_bad_ones_are_named() -> None:
    assert _read("vllm", {"quirks": {"stream_usage": False}}).quirks.stream_usage is False
    with pytest.raises(BadRequest, match="did you mean 'stream_usage'"):
        _read("vllm", {"quirks": {"stream_usag": False}})
    with pytest.raises(BadRequest, match="quirks"):
        _read("vllm", {"quirks": {"stream_usage": "maybe"}})


def test_other_spellings_of_settings_are_known() -> None:
    read = _read("vllm", {"url": "http://127.0.0.1:1", "model_id": "m", "verify_ssl": False, "context_length": 5})
    assert (read.root, read.config.model, read.config.verify_tls, read.config.max_context) == (
        "http://127.0.0.1:1/v1",
        "m",
        False,
        5,
    )


@pytest.mark.behaviour("LOCL-22")
@pytest.mark.parametrize(("platform", "is_told"), [("win32", False), ("linux", True), ("darwin", True)])
def test_lemonades_platform_note_is_shown_where_it_applies(platform: str, is_told: bool) -> None:
    limits = card_of(PRESETS["lemonade"], platform).limits
    assert any("Windows" in limit for limit in limits) is is_told


def test_a_card_tells_what_leaves_the_machine() -> None:
    assert card_of(PRESETS["openai"]).is_external
    assert not card_of(PRESETS["litellm-proxy"]).is_external
    assert not card_of(PRESETS["openai-compat"]).is_external
    assert card_of(Preset(id="x", base_url="https://x.example", needs_key=False)).needs_key is False


def test_references_in_headers_become_the_secrets_and_are_known_as_such() -> None:
    given = {"Authorization": "Bearer env:TOKEN", "X-Api-Key": "file:slot-0/key", "X-Team": "blue"}
    read = _read(
        "openai-compat", {"base_url": "http://127.0.0.1:9", "headers": given}, {"env:TOKEN": "t", "file:slot-0/key": "k"}
    )
    assert read.config.headers == {"Authorization": "Bearer t", "X-Api-Key": "k", "X-Team": "blue"}
    assert set(read.config.secrets) == {"t", "k"}
    assert "Bearer" not in repr(read)


def test_a_reference_in_a_header_that_leads_nowhere_is_told() -> None:
    with pytest.raises(AuthFailed):
        _read("openai-compat", {"base_url": "http://127.0.0.1:9", "headers": {"Authorization": "Bearer env:NOT_SET"}})
