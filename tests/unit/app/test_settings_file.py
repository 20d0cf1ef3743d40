"""YAML to values with lines: what is read, and what is refused before it can do harm."""

from pathlib import Path

import pytest

from jackfield.app.settings_file import MAX_FILE_BYTES, read_file, read_text
from jackfield.app.settings_problem import SettingsInvalid


def test_values_remember_their_lines() -> None:
    file = read_text("server:\n  port: 1\nslots:\n  0: {provider: x}\npresets:\n  - a\n  - b\n", "f.yaml")
    assert file.values == {"server": {"port": 1}, "slots": {"0": {"provider": "x"}}, "presets": ["a", "b"]}
    assert file.origin(("server", "port")) == "f.yaml:2"
    assert file.origin(("slots", "0", "provider")) == "f.yaml:4"
    assert file.origin(("presets", "1")) == "f.yaml:7"
    assert file.origin(("slots", "0", "nothing", "there")) == "f.yaml:4"
    assert file.origin(("nowhere",)) == "f.yaml:1"


def test_json_is_read_too() -> None:
    assert read_text('{"server": {"port": 1}}', "f.json").values == {"server": {"port": 1}}


def test_an_empty_file_says_nothing() -> None:
    assert read_text("# nothing yet\n", "f").values == {}


def test_merged_keys_may_be_replaced_but_twins_may_not() -> None:
    text = "base: &base {x: 1, y: 2}\nuse: {<<: *base, x: 3}\n"
    assert read_text(text, "f").values["use"] == {"x": 3, "y": 2}
    with pytest.raises(SettingsInvalid, match=r"f:3: a\.b: stands twice, first on line 2"):
        read_text("a:\n  b: 1\n  b: 2\n", "f")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1\n", "f:1: must be a mapping of settings"),
        ("a: !!python/object/apply:os.system [x]\n", "f:1: a: has the tag"),
        ("a: !!python/name:os.system x\n", "f:1: is not valid YAML: could not determine a constructor"),
        ("a: &x [*x]\n", "nested too deeply, or an alias holds itself"),
        ("[" * 1200, "nested too deeply"),
        ("a: 1\n--- \nb: 2\n", "f:2: is not valid YAML: but found another document"),
        ("a: \x00\n", "is not valid YAML: unacceptable character"),
        ("a: 2024-13-45\n", "f:1: a: is not a valid value"),
        ("? [a]\n: 1\n", "f:1: a key must be plain text"),
        ("\ta: 1\n", "f:1: is not valid YAML"),
    ],
)
def test_what_is_no_settings_file_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read_text(text, "f")
    assert said in str(caught.value)


def test_aliases_of_aliases_do_not_grow_without_end() -> None:
    levels = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(SettingsInvalid, match="holds more than"):
        read_text("\n".join(levels), "f")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read: No such file"):
        read_file(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(SettingsInvalid, match=r"is not UTF-8 text \(byte 3\)"):
        read_file(tmp_path / "latin.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(SettingsInvalid, match="not a settings file"):
        read_file(tmp_path / "large.yaml")
    (tmp_path / "marked.yaml").write_bytes(b"\xef\xbb\xbfmode: burst\n")
    assert read_file(tmp_path / "marked.yaml").values == {"mode": "burst"}
