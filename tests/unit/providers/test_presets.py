"""Rows: what ships is whole, and a row that is not is refused with its line."""

import pytest

from jackfield.core.errors import BadRequest
from jackfield.providers.presets import load_presets, parse_presets

PRESETS = load_presets()
REQUIRED = [
    "openai", "groq", "together", "openrouter", "mistral", "deepseek", "fireworks", "perplexity", "xai", "cerebras",
    "deepinfra", "anyscale", "sambanova", "nvidia-nim", "moonshot", "zai", "huggingface-router", "github-models",
    "akash-ml", "chutes", "venice", "nebius", "hyperbolic", "novita", "litellm-proxy", "ollama-openai", "vllm",
    "llama-server", "lm_studio", "localai", "fastchat", "gpt4all", "shimmy", "bitnet", "koboldcpp", "lemonade",
    "sglang", "tgi", "jan", "exo", "text-generation-webui", "openai-compat",
]  # fmt: skip
PORTS = {
    "ollama-openai": 11434, "vllm": 8000, "lm_studio": 1234, "localai": 8080, "fastchat": 8000, "gpt4all": 4891,
    "shimmy": 11435,
    "bitnet": 8080, "koboldcpp": 5001, "lemonade": 13305, "sglang": 30000, "tgi": 3000, "jan": 1337, "exo": 52415,
    "text-generation-webui": 5000, "llama-server": 8080,
}  # fmt: skip


def test_every_promised_row_ships() -> None:
    assert set(REQUIRED) <= set(PRESETS)


@pytest.mark.parametrize("row", sorted(PRESETS))
def test_a_row_says_where_it_is_what_it_is_called_and_where_it_is_documented(row: str) -> None:
    preset = PRESETS[row]
    assert preset.display_name
    assert preset.docs
    assert preset.docs.startswith("https://")
    assert preset.url or row in ("openai-compat", "azure-openai")
    if preset.type == "local":
        assert preset.hint, "a server of one's own that is down needs a word on how to start it"
        assert preset.url
        assert preset.url.startswith("http://127.0.0.1:")
        assert not preset.wants_key
    elif preset.base_url:
        assert preset.key_env
        assert preset.base_url.startswith("https://")


@pytest.mark.behaviour("PROV-06", "PROV-07", "PROV-08", "LOCL-17", "LOCL-18", "LOCL-20", "LOCL-22", "LOCL-24", "LOCL-25")
@pytest.mark.parametrize(("row", "port"), PORTS.items())
def test_local_rows_have_their_documented_ports(row: str, port: int) -> None:
    assert PRESETS[row].port == port
    assert PRESETS[row].url == f"http://127.0.0.1:{port}{'/api/v1' if row == 'lemonade' else '/v1'}"


def test_hugging_face_has_one_canonical_token_and_its_old_names() -> None:
    assert PRESETS["huggingface-router"].key_env == ("HF_TOKEN", "HF_API_TOKEN", "HF_API_KEY", "HUGGINGFACE_API_KEY")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[acme]\nbase_url = "https://x"\nkey_enw = ["A"]\n', 3, "unknown key 'key_enw' (did you mean 'key_env'?)"),
        ('\n[acme]\nport = 1\nquirks = { stream_usag = true }\n', 4, "did you mean 'stream_usage'?"),
        ('[acme]\nport = 1\n[acme.quirks]\nmax_tokens_field = "tokens"\n', 3, "quirks.max_tokens_field"),
        ('[acme]\nport = "eighty"\n', 2, "port: Expected `int | null`"),
        ('[acme]\nport = 1\ncapabilities = { vison = true }\n', 3, "did you mean 'vision'?"),
        ('[acme]\nport = 1\nmodels = [{ match = "a", contxt = 3 }]\n', 3, "unknown key 'models.contxt'"),
        ('[acme]\nport = 1\ncapabilities = { max_batch_size = 0 }\n', 3, "max_batch_size"),
        ('["not an id"]\nport = 1\n', 1, "is not a provider id"),
        ("top = 1\n", 1, "outside a table"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_with_its_line_and_the_nearest_name(text: str, line: int, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_presets(text, "mine.toml")
    assert f"mine.toml, line {line}" in caught.value.message
    assert said in caught.value.message


def test_text_that_is_no_toml_is_refused_with_its_line() -> None:
    with pytest.raises(BadRequest, match=r"mine\.toml is not valid TOML.*line 2"):
        parse_presets("[a]\nx = = 1\n", "mine.toml")


def test_documented_facts_are_found_by_pattern() -> None:
    facts = PRESETS["openai"].facts("gpt-3.5-turbo-0125")
    assert facts is not None
    assert (facts.id, facts.context_length, facts.vision) == ("gpt-3.5-turbo-0125", 16385, False)
    assert PRESETS["openai"].facts("something-else") is None
