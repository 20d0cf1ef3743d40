"""The gateway of a soak: `jackfield up` in every respect, plus one line a second about itself.

python soak_gateway.py FOLDER reads FOLDER/jackfield.yaml, keeps its store in FOLDER/home and appends to FOLDER/samples.jsonl.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from jackfield.app.compose import House
from jackfield.app.server import run
from jackfield.app.settings import load_settings

EVERY_S = 1.0


def sample(house: House) -> dict[str, float]:
    """What may leak, counted now. The sampler is no task, and the event loop's own two sockets are among the sockets."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    http = house.tools.http
    return {
        "at": time.monotonic(),
        "rss_mb": pages * resource.getpagesize() / 2**20,
        "tasks": len(asyncio.all_tasks()),
        "sockets": _sockets(),
        "in_flight": sum(slot.binding.live.in_flight for slot in house.registry.plugged() if slot.binding),
        "upstream_in_use": http.open_count - http.idle_count,
        "rows_not_written": house.journal.lost if house.journal else 0,
    }


def _sockets() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:  # it was the listing's own
            continue
    return found


def sampler(path: Path) -> Callable[[House], None]:
    def begin(house: House) -> None:
        loop = asyncio.get_running_loop()
        out = path.open("a", encoding="utf-8", buffering=1)
        out.write(json.dumps({"port": house.port}) + "\n")

        def again() -> None:
            out.write(json.dumps(sample(house)) + "\n")
            loop.call_later(EVERY_S, again)

        again()

    return begin


def main() -> None:
    folder = Path(sys.argv[1])
    loaded = load_settings(folder / "jackfield.yaml", {"JACKFIELD_HOME": str(folder / "home")})
    run(loaded, on_ready=sampler(folder / "samples.jsonl"))


if __name__ == "__main__":
    main()
