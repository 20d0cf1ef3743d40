"""Settings from four layers: what wins, where it came from, what is refused and how that is said."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.app.settings import (
    Loaded,
    ProviderBlock,
    Settings,
    SettingsInvalid,
    as_plain,
    find_file,
    load_settings,
    user_file,
)
from jackfield.app.settings_layers import leaf_types
from jackfield.app.settings_providers import installed_cards
from jackfield.core.contracts import ProviderCard
from jackfield.core.modes import OperatingMode

THREE_BLOCKS = """\
localai:   {enabled: false, base_url: "http://localhost:8080", model: "gpt-3.5-turbo", api_key: null}
lm_studio: {enabled: false, base_url: "http://localhost:1234", model: null, api_key: null}
fastchat:  {enabled: false, base_url: "http://localhost:8000", model: null, api_key: null}
"""
CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jackfield.yaml"


def load(
    file: Path | None, text: str, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Loaded:
    if file is not None:
        file.write_text(text)
    return load_settings(file, environ or {}, flags)


def problems(
    file: Path, text: str, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        load(file, text, environ, flags)
    return [str(problem).replace(f"{file.parent}/", "") for problem in caught.value.problems]


def test_defaults_need_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert loaded.file is None
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    assert set(loaded.origins) == set(loaded.values())
    assert (loaded.settings.server.host, loaded.settings.server.port) == ("127.0.0.1", 7311)
    assert loaded.settings.mode is OperatingMode.LOCAL_ONLY


def test_flags_go_over_environment_over_file_over_default(file: Path) -> None:
    text = "server:\n  port: 1111\n  host: 127.0.0.2\n  max_body_bytes: 4096\n"
    environ = {"JACKFIELD_SERVER_PORT": "2222", "JACKFIELD_SERVER_HOST": "127.0.0.3"}
    loaded = load(file, text, environ, {"server.port": 3333, "server.expose": None, "log.level": "debug"})
    server = loaded.settings.server
    assert (server.port, server.host, server.max_body_bytes, server.expose) == (3333, "127.0.0.3", 4096, False)
    assert loaded.origins["server.port"] == "flag --port"
    assert loaded.origins["server.host"] == "env JACKFIELD_SERVER_HOST"
    assert loaded.origins["server.max_body_bytes"] == f"{file}:4"
    assert loaded.origins["server.expose"] == "default"
    assert loaded.origins["log.level"] == "flag --log-level"


def sample_text(type_: Any) -> tuple[str, Any]:
    """Text for a variable, and the value that it means."""
    samples = ("burst", "json", "error", "true", "900", "0.25", "2", "http://127.0.0.1:4318")
    for text, plain in [*((text, text) for text in samples), ("{}", {})]:
        try:
            return text, msgspec.convert(plain, type_, strict=False)
        except msgspec.ValidationError:
            continue
    return "1234,1235", msgspec.convert(["1234", "1235"], type_, strict=False)


SPECIAL = {
    ("proxy",): ("http://127.0.0.1:3128", "http://127.0.0.1:3128"),
    ("server", "api_key"): ("env:MY_KEY", "env:MY_KEY"),
    ("server", "cors_origins"): ("http://a:1,https://b.example", ("http://a:1", "https://b.example")),
    ("server", "max_body_bytes"): ("2048", 2048),
    ("providers", "active"): ("ollama", "ollama"),
    ("presets",): ("", ()),
    ("routing", "retries"): ("3", 3),
    ("discovery", "peers"): ("http://127.0.0.1:7312", ("http://127.0.0.1:7312",)),
    ("discovery", "websockets"): ("ws://127.0.0.1:9/ws", ("ws://127.0.0.1:9/ws",)),
    ("cache", "semantic_threshold"): ("0.97", 0.97),
    ("routing", "use_cases"): ('{"coding": ["local/*"]}', {"coding": ("local/*",)}),
    ("routing", "fallbacks"): ('{"big": ["small"]}', {"big": ("small",)}),
}


@pytest.mark.parametrize("path", sorted(leaf_types()), ids=".".join)
def test_every_leaf_can_be_set_by_its_variable(path: tuple[str, ...], tmp_path: Path) -> None:
    name = "JACKFIELD_" + "_".join(path).upper()
    text, value = SPECIAL.get(path) or sample_text(leaf_types()[path])
    loaded = load_settings(None, {name: text, "XDG_CONFIG_HOME": str(tmp_path)})
    found: Any = loaded.settings
    for step in path:
        found = getattr(found, step)
    assert found == value
    assert loaded.origins[".".join(path)] == (f"env {name}" if text else "default")


def test_slots_and_providers_can_be_set_by_variables(file: Path) -> None:
    environ = {
        "JACKFIELD_SLOTS_3_PROVIDER": "openai-compat",
        "JACKFIELD_SLOTS_3_CONFIG": '{"base_url": "http://127.0.0.1:9"}',
        "JACKFIELD_PROVIDERS_LM_STUDIO_BASE_URL": "http://127.0.0.1:4321",
        "JACKFIELD_PROVIDERS_OLLAMA_CLOUD_TIMEOUT": "7",
    }
    loaded = load(file, "lm_studio: {base_url: 'http://127.0.0.1:1'}", environ)
    assert loaded.settings.slots[3].config == {"base_url": "http://127.0.0.1:9"}
    assert loaded.settings.providers.block("lm_studio").base_url == "http://127.0.0.1:4321"
    assert loaded.settings.providers.block("ollama-cloud").timeout == 7.0
    assert loaded.origins["providers.lm_studio.base_url"] == "env JACKFIELD_PROVIDERS_LM_STUDIO_BASE_URL"


def test_a_foreign_variable_is_a_warning_with_the_nearest_name(file: Path) -> None:
    loaded = load(file, "", {"JACKFIELD_SERVR_PORT": "1", "JACKFIELD_HOME": str(file.parent), "JACKFIELD_URL": "http://x"})
    assert len(loaded.warnings) == 1
    assert "JACKFIELD_SERVER_PORT" in loaded.warnings[0]


@pytest.mark.behaviour("CONF-08")
@pytest.mark.parametrize(
    ("variable", "provider"), [("OPENAI_API_KEY", "openai"), ("OPENROUTER_API_KEY", "openrouter"), ("GROQ_API_KEY", "groq")]
)
def test_keys_of_the_environment_are_picked_up_as_references(file: Path, variable: str, provider: str) -> None:
    loaded = load(file, "", {variable: CANARY})
    assert loaded.settings.providers.block(provider).api_key == f"env:{variable}"
    assert loaded.origins[f"providers.{provider}.api_key"] == f"env {variable}"
    assert CANARY not in repr(loaded)
    assert CANARY not in msgspec.json.encode(as_plain(loaded.settings)).decode()


@pytest.mark.behaviour("CONF-08")
def test_any_card_brings_its_key_variable(file: Path) -> None:
    card = ProviderCard("anthropic", "api", "A", default_url="https://api.example/v1", key_env=("ANTHROPIC_API_KEY",))
    loaded = load_settings(file_with(file, ""), {"ANTHROPIC_API_KEY": CANARY}, cards=lambda presets, plugins: [card])
    assert loaded.settings.providers.block("anthropic").api_key == "env:ANTHROPIC_API_KEY"


def file_with(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def test_a_key_of_the_environment_does_not_follow_a_changed_address(file: Path) -> None:
    loaded = load(file, "providers: {openai: {base_url: 'https://elsewhere.example/v1'}}", {"OPENAI_API_KEY": CANARY})
    assert loaded.settings.providers.block("openai").api_key is None


def test_a_named_reference_goes_over_the_picked_up_one(file: Path) -> None:
    loaded = load(file, "openai: {api_key: 'keyring:work'}", {"OPENAI_API_KEY": CANARY})
    assert loaded.settings.providers.block("openai").api_key == "keyring:work"


def test_a_gateway_key_in_its_variable_becomes_a_reference_to_that_variable(file: Path) -> None:
    loaded = load(file, "", {"JACKFIELD_SERVER_API_KEY": CANARY})
    assert loaded.settings.server.api_key == "env:JACKFIELD_SERVER_API_KEY"


@pytest.mark.behaviour("CONF-18")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server:\n  prt: 1\n", "jackfield.yaml:2: server.prt: server has no key 'prt' (did you mean 'port'?)"),
        ("sever: {}\n", "jackfield.yaml:1: sever: settings has no key 'sever' (did you mean 'server'?)"),
        ("lm_studoi: {}\n", "jackfield.yaml:1: lm_studoi: settings has no key 'lm_studoi' (did you mean 'lm_studio'?)"),
        (
            "slots:\n  0:\n    provder: local\n",
            "jackfield.yaml:3: slots.0.provder: slots.0 has no key 'provder' (did you mean 'provider'?)",
        ),
        (
            "providers:\n  openai:\n    base_ulr: http://127.0.0.1\n",
            "jackfield.yaml:3: providers.openai.base_ulr: openai has no key 'base_ulr' (did you mean 'base_url'?)",
        ),
        (
            "providers:\n  opnai: {}\n",
            "jackfield.yaml:2: providers.opnai: no provider is called 'opnai' (did you mean 'openai'?)",
        ),
        (
            "providers:\n  active: opnai\n",
            "jackfield.yaml:2: providers.active: no provider is called 'opnai' (did you mean 'openai'?)",
        ),
        (
            "mode: brust\n",
            "jackfield.yaml:1: mode: must be one of local_only, burst, airgapped, got 'brust' (did you mean 'burst'?)",
        ),
        ("server: {port: 70000}\n", "jackfield.yaml:1: server.port: must be int <= 65535, got 70000"),
        ("server: {port: soon}\n", "jackfield.yaml:1: server.port: must be int, got str"),
        ("server: 7311\n", "jackfield.yaml:1: server: must be a mapping of keys, got int"),
        ("openai: {timeout: 0}\n", "jackfield.yaml:1: providers.openai.timeout: must be float > 0.0, got 0"),
        ("openai: {temperature: 3}\n", "jackfield.yaml:1: providers.openai.temperature: temperature must be 0 to 2, got 3"),
        (
            "lm_studio: {base_url: localhost}\n",
            "jackfield.yaml:1: providers.lm_studio.base_url: must start with http://, https:// or unix://, got 'localhost'",
        ),
        (
            "slots: {0: {model: x}}\n",
            "jackfield.yaml:1: slots.0: needs provider: the id of what to plug, as jackfield providers list shows it",
        ),
        (
            "slots: {32: {provider: local}}\n",
            "jackfield.yaml:1: slots.32: the panel has slots 0 to 31: set panel_size to 33 or more",
        ),
        (
            "slots: {first: {provider: local}}\n",
            "jackfield.yaml:1: slots.first: 'first' is not a slot number: slots are numbered from 0",
        ),
        ("slots: {'01': {provider: local}}\n", "jackfield.yaml:1: slots.01: write slot 1 without leading zeros"),
        (
            "slots:\n  0:\n    provider: local\n    config:\n      modle: x\n",
            "jackfield.yaml:5: slots.0.config.modle: local has no key 'modle' (did you mean 'model'?)",
        ),
        (
            "openai: {verify_ssl: false, verify_tls: true}\n",
            "jackfield.yaml:1: openai.verify_tls: says again what jackfield.yaml:1 says: keep one",
        ),
        ("a: [1\n", "jackfield.yaml:2: is not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("mode: burst\nmode: burst\n", "jackfield.yaml:2: mode: stands twice, first on line 1: keep one"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_was_meant(file: Path, text: str, expected: str) -> None:
    assert [said.replace(f"{file.parent}/", "") for said in problems(file, text)] == [expected]


@pytest.mark.behaviour("CONF-18")
def test_all_mistakes_are_told_at_once_each_at_its_place(file: Path) -> None:
    said = problems(file, "mode: x\nserver:\n  prt: 1\n", {"JACKFIELD_PANEL_SIZE": "none"}, {"log.level": "loud"})
    assert [line.split(": ")[0] for line in said] == [
        "jackfield.yaml:3",
        "jackfield.yaml:1",
        "env JACKFIELD_PANEL_SIZE",
        "flag --log-level",
    ]


@pytest.mark.behaviour("SEC-04")
@pytest.mark.parametrize(
    ("text", "key", "name"),
    [
        (f"providers:\n  openai:\n    api_key: {CANARY}\n", "providers.openai.api_key", "openai"),
        ("openai: {api_key: just-any-words}\n", "providers.openai.api_key", "openai"),
        (f"server:\n  api_key: {CANARY}\n", "server.api_key", "gateway"),
        (f"slots:\n  2:\n    provider: openai\n    config: {{api_key: {CANARY}}}\n", "slots.2.config.api_key", "slot-2"),
        (f"openai:\n  headers: {{Authorization: Bearer {CANARY}}}\n", "providers.openai.headers.Authorization", "openai"),
        (f"openai:\n  headers: {{X-Anything: {CANARY}}}\n", "providers.openai.headers.X-Anything", "openai"),
        (f"openai:\n  base_url: https://me:{CANARY}@api.example/v1\n", "providers.openai.base_url", "openai"),
    ],
)
def test_a_literal_key_is_refused_with_the_command_that_moves_it(file: Path, text: str, key: str, name: str) -> None:
    (said,) = problems(file, text)
    assert f"{key}: holds a literal key" in said
    assert f"jackfield secrets set {name}" in said
    assert CANARY not in said
    assert "just-any-words" not in said


@pytest.mark.parametrize("reference", ["env:OPENAI_API_KEY", "keyring:openai", "file:slot-1/api_key"])
def test_references_are_what_settings_hold(file: Path, reference: str) -> None:
    loaded = load(file, f"openai: {{api_key: '{reference}'}}")
    assert loaded.settings.providers.block("openai").config == {"api_key": reference}


def test_an_interpolated_key_is_a_reference_in_another_spelling(file: Path) -> None:
    loaded = load(file, "openai: {api_key: '${MY_KEY}'}\nslots: {0: {provider: openai, config: {api_key: '${OTHER}'}}}")
    assert loaded.settings.providers.block("openai").api_key == "env:MY_KEY"
    assert loaded.settings.slots[0].config == {"api_key": "env:OTHER"}


@pytest.mark.behaviour("LOCL-26")
@pytest.mark.parametrize("text", [THREE_BLOCKS, "providers:\n" + "".join(f"  {line}\n" for line in THREE_BLOCKS.splitlines())])
def test_the_three_blocks_load_as_they_are_and_are_not_contacted(file: Path, text: str) -> None:
    providers = load(file, text).settings.providers
    assert {name: block.base_url for name, block in providers.blocks.items()} == {
        "localai": "http://localhost:8080",
        "lm_studio": "http://localhost:1234",
        "fastchat": "http://localhost:8000",
    }
    assert providers.block("localai").model == "gpt-3.5-turbo"
    assert providers.forbidden == {"localai", "lm_studio", "fastchat"}
    assert providers.wanted == ()


@pytest.mark.behaviour("LOCL-26")
def test_a_block_takes_openai_parameters_and_says_nothing_by_itself(file: Path) -> None:
    block = load(file, "lm_studio: {temperature: 0.2, max_tokens: 50, api_key: null}").settings.providers.block("lm_studio")
    assert block.parameters == {"temperature": 0.2, "max_tokens": 50}
    assert block.config == {"temperature": 0.2, "max_tokens": 50}
    assert block.enabled is None


def test_enabled_and_active_providers_are_wanted_at_start(file: Path) -> None:
    providers = load(file, "providers: {active: vllm, lm-studio: {enabled: true}, vllm: {port: 8001}}").settings.providers
    assert providers.wanted == ("vllm", "lm_studio")
    assert providers.block("nothing was said") == ProviderBlock()


@pytest.mark.behaviour("LOCL-28")
@pytest.mark.parametrize("card", [card for card in installed_cards((), False) if card.default_port], ids=lambda card: card.id)
def test_port_and_address_of_every_local_engine_can_be_set(file: Path, card: ProviderCard) -> None:
    text = f"providers:\n  {card.id}:\n    port: 4567\n    base_url: http://127.0.0.1:4568/v1\n"
    config = load(file, text).settings.providers.block(card.id).config
    assert config == {"port": 4567, "base_url": "http://127.0.0.1:4568/v1"}


def test_a_providers_own_keys_in_any_spelling_are_kept(file: Path) -> None:
    loaded = load(
        file, "local: {n_threads: 2, gpu_layers: 0}\nslots: {0: {provider: gguf, config: {path: /m.gguf, ctx_size: 512}}}"
    )
    assert loaded.settings.providers.block("local").config == {"threads": 2, "gpu_layers": 0}
    assert loaded.settings.slots[0].config == {"path": "/m.gguf", "ctx_size": 512}


def test_a_slot_of_an_unknown_provider_stops_nothing(file: Path) -> None:
    text = "slots:\n  2: {provider: bittensor, config: {subnet: 1}}\n"
    assert load(file, text).settings.slots[2].config == {"subnet": 1}


def test_paths_in_a_file_are_relative_to_the_file(file: Path) -> None:
    (file.parent / "mine.toml").write_text('[my-server]\nport = 9\ntype = "local"\n')
    loaded = load(file, "store: data\npresets: [mine.toml]\nmodels_dir: ~/models\nmy-server: {model: m}\n")
    assert loaded.settings.store_path == file.parent / "data"
    assert loaded.settings.presets == (str(file.parent / "mine.toml"),)
    assert loaded.settings.models_path == Path("~/models").expanduser()
    assert loaded.settings.providers.block("my-server").model == "m"


def test_a_bad_preset_file_is_a_problem_of_the_line_that_names_it(file: Path) -> None:
    (file.parent / "mine.toml").write_text("[x]\nprot = 9\n")
    (said,) = problems(file, "mode: burst\npresets: [mine.toml]\n")
    assert said.startswith("jackfield.yaml:2: presets: ")
    assert "did you mean 'port'" in said
    (said,) = problems(file, "presets: [none.toml]\n")
    assert "cannot be read" in said


def test_the_store_follows_the_environment(file: Path) -> None:
    assert load(file, "", {"JACKFIELD_HOME": "/a"}).settings.store == "/a"
    loaded = load(file, "", {"XDG_DATA_HOME": "/b"})
    assert (loaded.settings.store, loaded.origins["store"]) == ("/b/jackfield", "env XDG_DATA_HOME")
    assert load(file, "", {"JACKFIELD_HOME": "/a", "JACKFIELD_STORE": "/c"}).settings.store == "/c"
    assert load(file, "").settings.models_path == Path("~/.local/share/jackfield/models").expanduser()


def test_files_are_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert find_file(None, environ) is None
    user = user_file(environ)
    user.parent.mkdir(parents=True)
    user.write_text("")
    assert find_file(None, environ) == user
    Path("jackfield.yaml").write_text("")
    assert find_file(None, environ) == Path("jackfield.yaml")
    named = tmp_path / "named.yaml"
    named.write_text("")
    assert find_file(None, {**environ, "JACKFIELD_CONFIG": str(named)}) == named
    with pytest.raises(SettingsInvalid, match=r"flag --config: no file at .*absent.yaml: make one with jackfield config init"):
        find_file(tmp_path / "absent.yaml", environ)
    with pytest.raises(SettingsInvalid, match="env JACKFIELD_CONFIG: no file"):
        find_file(None, {"JACKFIELD_CONFIG": str(tmp_path / "absent.yaml")})


def test_without_cards_everything_about_providers_is_left_unread(file: Path) -> None:
    file.write_text("server: {port: 5}\nproviders: {no-such: {x: 1}}\nnobody: {y: 2}\n")
    loaded = load_settings(file, {"JACKFIELD_PROVIDERS_NOBODY_PORT": "1"}, cards=None)
    assert loaded.settings.server.port == 5
    assert loaded.settings.providers.blocks == {}
    assert loaded.warnings == ()


def test_a_plugins_card_is_as_good_as_a_built_in_one(file: Path) -> None:
    def cards(presets: Sequence[str], plugins: bool) -> Sequence[ProviderCard]:
        return [ProviderCard("dummy", "api", "Dummy", config_keys=("colour",))] if plugins else []

    file.write_text("dummy: {colour: red}\n")
    assert load_settings(file, {}, cards=cards).settings.providers.block("dummy").config == {"colour": "red"}
    with pytest.raises(SettingsInvalid, match="settings has no key 'dummy'"):
        load_settings(file, {}, {"plugins": False}, cards=cards)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=12,
    )
)
def test_no_file_content_does_more_than_be_refused(content: Any) -> None:
    from jackfield.app.settings_file import FileValues
    from jackfield.app.settings_load import join

    values = content if isinstance(content, dict) else {"slots": content, "providers": content, "server": content}
    try:
        join(FileValues("f", values, {}), {}, {}, lambda presets, plugins: CARDS)
    except SettingsInvalid as invalid:
        found = invalid.problems
    else:
        found = ()
    assert all(problem.message for problem in found)


CARDS = [ProviderCard("openai", "api", "O", config_keys=("model",))]
