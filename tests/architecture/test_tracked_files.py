"""What must never be committed: credentials, settings with credentials, paths of one machine."""

import re
import subprocess
from pathlib import Path

import pytest

from source_tree import short, text_of, tracked_files

# Written in halves, so that this file does not find itself.
HALVES = [
    ("/wo", "rk/"),
    ("../sha", "red"),
    ("/opt/ve", "nv"),
    ("/opt/eng", "ines"),
    ("deb.debian", ".org"),
    ("house", ".md"),
    ("habits", ".md"),
]
FOREIGN_WORDS = ["".join(halves) for halves in HALVES]

CREDENTIALS = re.compile(
    r"""(?x)
    \b(?:
        sk-(?:ant-|proj-|or-v1-)?[A-Za-z0-9_-]{20,} | gsk_[A-Za-z0-9]{20,} | xai-[A-Za-z0-9]{20,} | hf_[A-Za-z0-9]{20,}
      | nvapi-[A-Za-z0-9_-]{20,} | pplx-[A-Za-z0-9]{20,} | r8_[A-Za-z0-9]{20,} | gh[pousr]_[A-Za-z0-9]{30,}
      | github_pat_[A-Za-z0-9_]{30,} | AKIA[0-9A-Z]{16} | AIza[A-Za-z0-9_-]{30,} | xox[abp]-[A-Za-z0-9-]{20,}
    )
    | -----BEGIN\ (?:[A-Z]+\ )?PRIVATE\ KEY-----\n[A-Za-z0-9+/=\n]{60,}
    """
)
FULL_OF_MADE_UP_KEYS = {"tests/unit/core/test_redaction.py"}  # what redaction must find has to look real
PLAINLY_FAKE = re.compile(r"(?i)fake|example|test|dummy|secret|canary|abc|123|xxx|(.)\1{5}")


def found_in(text: str) -> list[str]:
    """Literals that look like a credential and do not plainly say that they are none."""
    return [match[0] for match in CREDENTIALS.finditer(text) if not PLAINLY_FAKE.search(match[0])]


@pytest.mark.behaviour("SEC-05")
def test_no_credential_is_committed() -> None:
    searched = [path for path in tracked_files() if short(path) not in FULL_OF_MADE_UP_KEYS]
    hits = [f"{short(path)}: {hit[:12]}..." for path in searched for hit in found_in(text_of(path) or "")]
    assert hits == [], "take it out and revoke it; a made-up key says so: put 'fake' or 'example' in it"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("key = 'sk-" + "Vb7QmZr4TyUp9LkJ2wXs8NdG" + "'", 1),
        ("AKIA" + "Q3RSTUVWX7YZ9KLM", 1),
        ("sk-fake-but-long-enough-to-match", 0),
        ("task-oriented-dialogue-systems-are", 0),
        ("sk-short", 0),
    ],
)
def test_the_search_for_credentials_finds_them(text: str, count: int) -> None:
    assert len(found_in(text)) == count


@pytest.mark.behaviour("SEC-05")
@pytest.mark.parametrize("name", [".env", "jackfield.yaml", "server.key", ".cache/engines/llama-server", ".venv/bin/python"])
def test_git_ignores_what_may_hold_a_credential_or_belongs_to_one_machine(repository: Path, name: str) -> None:
    assert subprocess.run(["git", "check-ignore", "--quiet", name], cwd=repository, timeout=10).returncode == 0


def test_no_file_speaks_of_one_machine() -> None:
    hits = [f"{short(path)}: {word}" for path in tracked_files() for word in FOREIGN_WORDS if word in (text_of(path) or "")]
    assert hits == []


@pytest.mark.parametrize("name", ["up", "test", "check", "engines", "venv"])
def test_every_script_can_be_run_and_parsed(repository: Path, name: str) -> None:
    script = repository / "scripts" / name
    assert script.stat().st_mode & 0o111
    shell = "sh" if script.read_text(encoding="utf-8").startswith("#!/bin/sh") else "bash"
    parsed = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, timeout=10)
    assert parsed.returncode == 0, parsed.stderr
