"""The real command-line assistants that scripts/clis fetches: where they are, and what they need to run on loopback alone."""

import json
from pathlib import Path

import pytest

from engine_servers import engines_folder


def assistant(name: str) -> Path:
    """The folder of a program, for a PATH. Skips the test only where scripts/clis wrote why it is missing."""
    folder = engines_folder() / "clis"
    if (folder / "bin" / name).exists():
        return folder / "bin"
    reasons = (folder / "MISSING").read_text(encoding="utf-8") if (folder / "MISSING").exists() else ""
    if name in reasons:
        pytest.skip(f"no {name}: {reasons.strip()}")
    pytest.fail(f"no {name} in {folder}: run scripts/clis, or set JACKFIELD_ENGINES", pytrace=False)


def environ_for(home: Path, programs: Path) -> dict[str, str]:
    """A home of its own, in which nothing updates itself, reports home or asks a person to choose."""
    (home / ".gemini").mkdir(parents=True, exist_ok=True)
    (home / "codex").mkdir(exist_ok=True)
    chosen = {"security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False}}
    (home / ".gemini" / "settings.json").write_text(json.dumps(chosen), encoding="utf-8")
    return {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "CODEX_HOME": str(home / "codex"),
        "LLM_USER_PATH": str(home / "llm"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
