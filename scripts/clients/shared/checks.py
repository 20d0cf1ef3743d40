"""What a client's script says of itself: a JSON line for each check. Needs Python alone: it runs in every environment."""

import asyncio
import inspect
import json
import os
import subprocess
import traceback
from collections.abc import Callable
from typing import Any

GATEWAY = os.environ["GATEWAY"]
"""The address of the gateway, without /v1."""
MODEL = os.environ["MODEL"]
EMBED_MODEL = os.environ["EMBED_MODEL"]
IS_REAL = os.environ["SOURCE"] != "scripted"
"""Whether a real model answers. It has learnt one tool, and nothing of schemas."""
KEY = "not-needed"
COUNT = "Count to 5"
COUNTED = "1, 2, 3, 4, 5"
WEATHER = "What is the weather in Paris?"
CITY = {"city": "Paris"}
CITY_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "get_weather", "description": "Weather of a city", "parameters": CITY_SCHEMA}
TOLD_CHARS = 400


def check(name: str, *, if_real: bool | None = None) -> Callable[[Callable[[], Any]], None]:
    """Runs the function at once: it is right unless it raises. `if_real`: only where a model answers, or only a script."""

    def run(function: Callable[[], Any]) -> None:
        if if_real not in (None, IS_REAL):
            return
        why = None
        try:
            outcome = function()
            if inspect.iscoroutine(outcome):
                asyncio.run(outcome)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1].lineno
            why = f"{type(error).__name__} (line {where}): {error}"[:TOLD_CHARS]
        print(json.dumps({"check": name, "why": why}), flush=True)

    return run


def expect(got: Any, wanted: Any) -> None:
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def expect_pieces(pieces: list[str], wanted: str = COUNTED) -> None:
    """A stream: more than one piece, and together the answer."""
    expect("".join(pieces), wanted)
    if len(pieces) < 2:
        raise AssertionError("came in one piece")


def program(*words: str, timeout_s: float = 100, **environ: str) -> str:
    """What a command line program says on stdout. Raises AssertionError with its stderr where it fails."""
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, env=os.environ | environ
    )
    if done.returncode:
        raise AssertionError(f"{words[0]} ended with {done.returncode}: {done.stdout[-150:]} {done.stderr[-250:]}")
    return done.stdout


def expect_said(said: str, wanted: str = "pong") -> None:
    if wanted not in said:
        raise AssertionError(f"no {wanted!r} in {said[-300:]!r}")


def expect_answered(said: str) -> None:
    """What a program says to `ping`. Behind its own long prompt the tiny model babbles: there only its end is judged."""
    if not IS_REAL:
        expect_said(said)
