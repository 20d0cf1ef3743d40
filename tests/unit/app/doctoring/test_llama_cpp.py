"""llama.cpp's program and model as the doctor looks at them: real files, real programs, and systems told by name."""

import os
import stat
from pathlib import Path

import pytest

from jackfield.app.doctoring import llama_cpp
from jackfield.app.doctoring.check import Check
from jackfield.app.doctoring.llama_cpp import Place, System, look_at, system_here

MODEL = Path(__file__).parents[4] / "src/jackfield/app/demo/tiny-llm.gguf"
PROGRAM = "#!/bin/sh\necho '-m -t -c'\n"


def program(folder: Path, text: str = PROGRAM, name: str = "llama-cli", *, may_run: bool = True) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(stat.S_IRUSR | stat.S_IWUSR | (stat.S_IXUSR if may_run else 0))
    return str(path)


def looked(
    *programs: str,
    model: str | None = str(MODEL),
    system: System = "unix",
    path: str = os.defpath,
    models_dir: Path | None = None,
) -> dict[str, Check]:
    place = Place("here", programs, model, None if models_dir is None else str(models_dir))
    return {check.name: check for check in look_at(place, system, {"PATH": path}).checks}


@pytest.mark.behaviour("ERR-09")
def test_a_program_and_a_model_that_are_there_pass_every_look(tmp_path: Path) -> None:
    found = looked(program(tmp_path))
    assert list(found) == ["program format", "program exists", "program executable", "model format", "model exists"]
    assert {check.state for check in found.values()} == {"ok"}
    assert "MiB" in found["model exists"].detail


@pytest.mark.behaviour("ERR-09")
@pytest.mark.parametrize(
    ("model", "system", "state", "said"),
    [
        (r"D:\models\x.gguf", "wsl", "ok", "is read as /mnt/d/models/x.gguf"),
        (r"D:\models\x.gguf", "windows", "ok", r"D:\models\x.gguf"),
        (r"D:\models\x.gguf", "unix", "fail", "neither Windows nor WSL"),
        ("/mnt/d/models/x.gguf", "windows", "fail", r"write D:\models\x.gguf"),
        ("/mnt/d/models/x.gguf", "wsl", "ok", "/mnt/d/models/x.gguf"),
        ("some-name", "windows", "ok", "some-name"),
    ],
)
def test_a_path_must_be_one_of_this_system(tmp_path: Path, model: str, system: System, state: str, said: str) -> None:
    found = looked(program(tmp_path), model=model, system=system)
    check = found["model format"]
    assert check.state == state
    assert said in f"{check.detail} {check.fix}"
    assert ("model exists" in found) is (state == "ok"), "a path of another system is not looked for"


def test_a_windows_path_to_the_program_is_not_translated_and_so_refused_in_wsl() -> None:
    found = looked(r"C:\llama\llama-cli.exe", system="wsl")
    assert (found["program format"].state, found["program format"].fix) == ("fail", "write /mnt/c/llama/llama-cli.exe")
    assert "program exists" not in found


@pytest.mark.behaviour("ERR-09")
@pytest.mark.parametrize("name", ["/nowhere/llama-cli", "llama-nobody-has"])
def test_a_program_that_is_not_there_is_told_with_where_to_get_it(name: str) -> None:
    check = looked(name)["program exists"]
    assert check.state == "fail"
    assert name in check.detail
    assert "releases" in check.fix


@pytest.mark.behaviour("ERR-09")
def test_a_program_that_may_not_be_executed_is_told_with_the_command_that_mends_it(tmp_path: Path) -> None:
    path = program(tmp_path, may_run=False)
    check = looked(path)["program executable"]
    assert (check.state, check.fix) == ("fail", f"chmod +x {path}")


@pytest.mark.parametrize(
    ("text", "state", "said"),
    [
        ("\x7fELF but not really", "fail", "cannot be started"),
        ("#!/no/such/interpreter\n", "fail", "cannot be started"),
        (
            "#!/bin/sh\necho 'libllama.so: cannot open shared object file' >&2\nexit 127\n",
            "fail",
            "ended with 127: libllama.so",
        ),
        ("#!/bin/sh\nkill -ILL $$\n", "fail", "ended with -4"),
        ("#!/bin/sh\nexit 3\n", "warn", "ended with 3"),
    ],
)
def test_a_program_that_does_not_start_is_told_with_what_it_said(tmp_path: Path, text: str, state: str, said: str) -> None:
    check = looked(program(tmp_path, text))["program executable"]
    assert (check.state, said in check.detail) == (state, True), check
    assert check.fix


def test_a_program_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cpp, "HELP_WITHIN_S", 0.2)
    check = looked(program(tmp_path, "#!/bin/sh\nexec sleep 30\n"))["program executable"]
    assert (check.state, "took more than 0.2 s" in check.detail) == ("fail", True)


def test_the_first_program_on_the_path_that_can_run_is_taken(tmp_path: Path) -> None:
    program(tmp_path, name="llama-completion", may_run=False)
    second = program(tmp_path, name="llama-cli")
    found = looked("llama-completion", "llama-cli", path=f"{tmp_path}:{os.defpath}")
    assert found["program executable"].detail == f"{second} starts"


@pytest.mark.parametrize(("name", "state"), [("tiny-llm", "ok"), ("tiny-nobody", "fail"), ("../../up", "fail")])
def test_a_model_is_found_by_name_in_its_folder(tmp_path: Path, name: str, state: str) -> None:
    check = looked(program(tmp_path), model=name, models_dir=MODEL.parent)["model exists"]
    assert check.state == state
    assert bool(check.fix) is (state == "fail")


def test_a_model_that_is_no_gguf_and_one_that_is_not_set_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGML" + bytes(100))
    assert "not a GGUF file" in looked(program(tmp_path), model=str(tmp_path / "x.gguf"))["model exists"].detail
    assert looked(program(tmp_path), model=None)["model exists"].state == "warn"


@pytest.mark.parametrize(
    ("text", "system"),
    [("Linux version 5.15.90.1-microsoft-standard-WSL2", "wsl"), ("Linux version 6.1.0-18-amd64", "unix"), (None, "unix")],
)
def test_the_system_is_told_by_its_kernel(tmp_path: Path, text: str | None, system: System) -> None:
    path = tmp_path / "version"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert system_here(path) == system


def test_the_system_is_told_by_python_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert system_here() == "windows"
