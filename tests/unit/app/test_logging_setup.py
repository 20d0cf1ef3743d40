"""Logging: one place, two formats, no credential in either."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from jackfield.app.logging_setup import set_up_logging
from jackfield.app.settings import LogSettings
from jackfield.core.redaction import MASK

CANARY = "sk-canary-0123456789abcdef"
PLAIN = "a phrase only this process knows"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.behaviour("SEC-02")
@pytest.mark.parametrize("style", ["text", "json"])
def test_no_credential_reaches_a_line(stream: io.StringIO, style: str) -> None:
    set_up_logging(LogSettings(level="debug", format=style), lambda: {PLAIN}, stream)  # type: ignore[arg-type]
    log = logging.getLogger("jackfield.test")
    log.debug("called with %s and {'api_key': '%s'}", PLAIN, CANARY)
    log.error("https://host/v1?key=%s Authorization: Bearer %s", CANARY, CANARY)
    try:
        raise ValueError(f"{CANARY} {PLAIN}")
    except ValueError:
        log.exception("failed")
    text = stream.getvalue()
    assert MASK in text
    assert CANARY not in text
    assert PLAIN not in text


def test_json_lines_are_whole_objects(stream: io.StringIO) -> None:
    set_up_logging(LogSettings(level="info", format="json"), stream=stream)
    log = logging.getLogger("jackfield.test")
    log.debug("not this")
    log.info("slot %d\nis here", 3)
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"], said["message"]) == ("info", "jackfield.test", "slot 3\nis here")


def test_setting_up_again_replaces_the_handler(stream: io.StringIO) -> None:
    set_up_logging(LogSettings(), stream=stream)
    set_up_logging(LogSettings(level="warning"), stream=stream)
    log = logging.getLogger("jackfield.test")
    log.info("too quiet")
    log.warning("heard")
    assert stream.getvalue().count("\n") == 1
