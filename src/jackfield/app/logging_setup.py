"""Sets up logging once, at the start of a gateway: level, text or JSON lines, stderr, and no credential in any of them.

Knows handlers and formats. What is logged is decided where it happens; prompts and answers never are.
"""

import logging
import sys
from collections.abc import Callable, Collection
from typing import IO

import msgspec

from jackfield.app.settings import LogSettings
from jackfield.core.redaction import redact

ROOT = "jackfield"
TEXT_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# Loggers of libraries that would tell of every connection; their warnings are still heard.
QUIET = ("asyncio", "uvicorn", "uvicorn.error", "httpx2", "litestar", "keyring")

Known = Callable[[], Collection[str]]


def _nothing() -> Collection[str]:
    return ()


class RedactingFormatter(logging.Formatter):
    """Formats as another formatter does and takes credentials out of the whole: message, arguments, traces.

    `known` gives the literal secrets of this process, asked for each time because they come to be known while it runs.
    """

    def __init__(self, inner: logging.Formatter, known: Known = _nothing) -> None:
        super().__init__()
        self._inner = inner
        self._known = known

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._inner.format(record), self._known())


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the trace where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def set_up_logging(settings: LogSettings, known: Known = _nothing, stream: IO[str] | None = None) -> logging.Handler:
    """Sends every logger's lines, redacted, to `stream` (stderr). Calling it again replaces what it set up before."""
    inner = JsonFormatter() if settings.format == "json" else logging.Formatter(TEXT_FORMAT)
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(RedactingFormatter(inner, known))
    root = logging.getLogger()
    for older in [older for older in root.handlers if isinstance(older, _Handler)]:
        root.removeHandler(older)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    level = settings.level.upper()
    logging.getLogger(ROOT).setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    return handler


class _Handler(logging.StreamHandler[IO[str]]):
    """Ours, so that setting up again finds it."""
