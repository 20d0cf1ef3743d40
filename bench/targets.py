"""What jackfield promises about its own weight: one row each. The numbers are compared in run.py, and nowhere else."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["times nginx", "at most"]


@dataclass(frozen=True)
class Target:
    """`measure` is a key of a contender's result; `limit` is a factor for "times nginx", else in the measure's own unit."""

    measure: str
    kind: Kind
    limit: float
    sentence: str


TARGETS = (
    Target("cpu_per_request_us", "times nginx", 3.5, "CPU per JSON request (2 KB, 64 connections)"),
    Target("cpu_per_paced_event_us", "times nginx", 2.0, "CPU per streamed event, paced (50 a second per stream)"),
    Target("added_first_byte_p50_us", "at most", 600, "first byte later than direct, p50, at 20 requests a second (us)"),
    Target("pss_mb", "at most", 60, "memory of the whole process tree after the load, PSS (MB)"),
    Target("import_ms", "at most", 150, "`import jackfield` in a fresh interpreter (ms)"),
    Target("help_ms", "at most", 400, "`jackfield --help` from start to end (ms)"),
)
