"""The loads that every contender carries, and the requests they are made of."""

import json
from dataclasses import dataclass

BODY_BYTES = 2000
SENTENCE = 'The quick brown fox jumps over the lazy dog; "quoted" text, café and a newline\n'


@dataclass(frozen=True)
class Workload:
    """`model` tells the upstream how to behave (upstream.c). Rate 0 is the closed loop; else requests a second, open loop.

    `is_light` marks one that measures latency at a low rate: it runs with real-time priority where that is allowed, so that
    other processes on the machine do not show.
    """

    name: str
    model: str
    is_stream: bool
    connections: int
    seconds: float
    warm_up_s: float
    rate: float = 0
    is_light: bool = False


WORKLOADS = (
    Workload("json", "up-0-0", False, connections=64, seconds=2.0, warm_up_s=0.5),
    # 90 streams of 0.7 s begin each second, so about 63 run at a time, out of step
    Workload("paced", "up-32-20", True, connections=128, seconds=3.0, warm_up_s=1.0, rate=90),
    Workload("saturated", "up-256-0", True, connections=64, seconds=2.0, warm_up_s=0.5),
    Workload("first_byte", "up-32-0", True, connections=32, seconds=6.0, warm_up_s=0.5, rate=20, is_light=True),
)
MODELS = tuple(workload.model for workload in WORKLOADS)
"""What the upstream is asked for; jackfield has one slot for each, in this order."""


def request_body(model: str, *, is_stream: bool) -> bytes:
    """A chat of about 2 KB, as an SDK would send it."""
    messages = [{"role": "system", "content": "You are a helpful assistant. Answer briefly and precisely."}]
    body: dict[str, object] = {"model": model, "messages": messages, "temperature": 0.7, "max_tokens": 256, "user": "user-1234"}
    if is_stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    while (left := BODY_BYTES - len(_encoded(body))) > 0:
        role = "assistant" if len(messages) % 2 == 0 else "user"
        messages.append({"role": role, "content": SENTENCE * max(1, min(12, left // 95))})
    return _encoded(body)


def _encoded(body: dict[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
