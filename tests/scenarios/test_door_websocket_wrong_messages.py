"""No message over the WebSocket is answered with a fault of ours, ends the connection, or goes without an answer.

`JACKFIELD_FUZZ=10000` sets how many messages there are, in place of 200; they are then other ones each time, and -s shows the
figures.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jackfield.doors.websocket.messages import Told
from running_gateway import Gateway
from talking import Talk, talking
from whole_house import PLAYED, whole_house
from wrong_bodies import OTHER_BYTES, damaged, dump, mutated

CASES = int(os.environ.get("JACKFIELD_FUZZ", "0"))
A_TIME = 20
TURNS = [{"role": "user", "content": "ping"}]
KINDS = {kind.__struct_config__.tag for kind in Told.__args__}
ENDS = ("inference_complete", "inference_result", "inference_error", "inference_cancelled")
ASKED: list[dict[str, Any]] = [
    {"type": "ping", "id": "a"},
    {"type": "status", "details": "summary"},
    {"type": "cancel", "request_id": "a"},
    {"type": "unsubscribe", "topics": ["queue"]},
    {"type": "subscribe", "topics": ["inference", "status", "backend", "queue"]},
    *(
        {"type": "inference", "request_id": "a", "model": model, "inputs": inputs, "stream": stream, "parameters": {"seed": 1}}
        for model in sorted({name for names in PLAYED.values() for name in names})
        for inputs in ("ping", TURNS)
        for stream in (False, True)
    ),
    {"type": "inference", "model": "slot-0", "task": "text-embedding", "inputs": ["ping"]},
]
MESSAGES = (
    st.tuples(
        st.sampled_from(ASKED).flatmap(mutated).map(lambda value: dump(value).encode("utf-8", "surrogatepass")),
        st.integers(0, 4),
    ).flatmap(lambda drawn: damaged(drawn[0]) if drawn[1] == 0 else st.just(drawn[0]))
    | OTHER_BYTES
)


@pytest.mark.behaviour("DOOR-21")
async def test_no_message_is_a_fault_of_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    messages = thought_of()
    heard: Counter[str] = Counter()
    async with whole_house(tmp_path) as gateway:
        for start in range(0, len(messages), A_TIME):
            heard.update(await answers_to(gateway, messages[start : start + A_TIME]))
        assert all(slot.binding is None or not slot.binding.live.in_flight for slot in gateway.house.registry.slots())
    print(f"\n{len(messages)} messages, heard {dict(heard)}")
    assert heard["error"] > len(messages) // 4, "hardly any of these messages is wrong"
    assert heard["inference_started"] > len(messages) // 50, "hardly any of these messages is right"
    assert [line for line in caplog.records if line.exc_info and line.name.startswith("jackfield")] == []


def thought_of() -> list[bytes]:
    found: list[bytes] = []

    @settings(
        max_examples=CASES or 200,
        derandomize=not CASES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @given(MESSAGES)
    def collect(message: bytes) -> None:
        found.append(message)

    collect()
    return found


async def answers_to(gateway: Gateway, messages: list[bytes]) -> Counter[str]:
    """What was heard on one connection that said all of these and stayed."""
    async with talking(gateway) as talk:
        for message in messages:
            try:
                await talk.socket.send(message.decode(), text=True)
            except UnicodeDecodeError:
                await talk.socket.send(message)
        await talk.ask("ping", "pong", id="the last one")
        await until_all_have_ended(talk)
    for told in talk.told:
        assert told["type"] in KINDS
        assert told.get("code") != "internal_error", (told, messages)
        assert told["type"] != "inference_error" or told["status"] != 500, (told, messages)
    return Counter(told["type"] for told in talk.told)


async def until_all_have_ended(talk: Talk) -> None:
    def open_ones() -> Counter[str]:
        told = [each for each in talk.told if "request_id" in each]
        begun = Counter(json.dumps(each["request_id"]) for each in told if each["type"] == "inference_started")
        ended = Counter(json.dumps(each["request_id"]) for each in told if each["type"] in ENDS and not is_refusal(each))
        return begun - ended

    while open_ones():
        await talk.hear()


def is_refusal(told: dict[str, Any]) -> bool:
    """An end of what never began."""
    return told.get("code") == "too_many_requests"
