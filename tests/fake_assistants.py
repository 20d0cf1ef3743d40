"""Programs that play a command-line assistant, each in the way that the real one writes: for tests without the real ones."""

import stat
import sys
from pathlib import Path
from typing import Any

from jackfield.providers.command_line import OWN_COMMAND
from jackfield.providers.command_rows import command_rows

BRAIN = """
import json, os, re, sys, time
asked = sys.stdin.read().strip() if "--version" not in sys.argv else ""
if "--version" in sys.argv:
    print("1.2.3 (a fake)")
    sys.exit()
if "--help" not in sys.argv:
  with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "asked"), "a") as told:
    print(json.dumps(sys.argv), file=told)
last = asked.rpartition("User: ")[2].partition("\\n\\nAssistant:")[0]
count = re.search(r"[Cc]ount to (\\d+)", last)
text = ", ".join(map(str, range(1, int(count[1]) + 1))) if count else "pong"
words = re.findall(r"\\S+\\s*", text)
say = lambda value: print(json.dumps(value), flush=True)
"""
SPOKEN = {
    "claude-cli": """
for word in words:
    say({"type": "stream_event", "event": {"type": "content_block_delta", "delta": {"type": "text_delta", "text": word}}})
say({"type": "result", "is_error": False, "result": text, "usage": {"input_tokens": 3, "output_tokens": len(words)}})
""",
    "codex-cli": """
say({"type": "item.completed", "item": {"type": "agent_message", "text": text}})
say({"type": "turn.completed", "usage": {"input_tokens": 3, "cached_input_tokens": 0, "output_tokens": len(words)}})
""",
    "gemini-cli": """
for word in words:
    say({"type": "message", "role": "assistant", "content": word, "delta": True})
say({"type": "result", "status": "success", "stats": {"input_tokens": 3, "output_tokens": len(words)}})
""",
}
PLAIN = """
for word in words:
    print(word, end="", flush=True)
    time.sleep(0.002)
print()
"""


def fake_assistant(folder: Path, id_: str) -> tuple[str, dict[str, Any]]:
    """Writes the program for a provider id into `folder`. Gives its name and the config to plug it with."""
    name = command_rows()[id_].program if id_ != OWN_COMMAND else "my-assistant"
    path = _write(folder, name, BRAIN + SPOKEN.get(id_, PLAIN))
    if id_ == OWN_COMMAND:
        return name, {"command": [str(path)], "hosts": []}
    return name, {"base_url": "http://127.0.0.1:9"}


def fake_llama(folder: Path, name: str) -> None:
    """llama.cpp's program, which takes its prompt as an argument."""
    brain = BRAIN.replace("sys.stdin.read().strip()", 'sys.argv[sys.argv.index("-p") + 1] if "-p" in sys.argv else ""')
    help_ = """if "--help" in sys.argv:
    print("-m -t -c -n --temp --top-p --top-k --seed -sys -p -f -cnv -st --no-display-prompt")
    sys.exit()
"""
    cut = """limit = int(sys.argv[sys.argv.index("-n") + 1]) if "-n" in sys.argv else None
words = words[:limit]
"""
    _write(folder, name, brain + help_ + cut + PLAIN.replace("print()", 'print(" [end of text]")'))


def _write(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
