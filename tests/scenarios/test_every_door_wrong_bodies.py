"""No body makes any call of any door answer with a fault of ours, and each error has its door's own shape.

`JACKFIELD_FUZZ=10000` sets how many bodies each door gets, in place of 200; they are then other ones each time, and -s shows
the figures. It takes some minutes: give pytest --timeout=0.
"""

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from doors_table import DOORS, ERRORS, Call, of_door
from running_gateway import Gateway
from whole_house import PLAYED, whole_house
from wrong_bodies import wrong_request

CASES = int(os.environ.get("JACKFIELD_FUZZ", "0"))
AT_ONCE = 8


def calls_with_bodies(door: str) -> list[Call]:
    """Each with every slot that this door's dialect is played by; where another has to do it, with that alone."""
    calls = [call for call in of_door(door) if call.body is not None]
    return [
        played
        for call in calls
        for played in (map(call.at, PLAYED[door]) if door in PLAYED and call.at("") != call else [call])
    ]


Asked = tuple[Call, bytes, str]


@pytest.mark.behaviour("DOOR-21")
async def test_no_body_is_a_fault_of_ours(tmp_path: Path) -> None:
    wrong = {door: thought_of(door) for door in DOORS}
    async with whole_house(tmp_path) as gateway:
        for door, asked in wrong.items():
            told: Counter[int] = Counter()
            for start in range(0, len(asked), AT_ONCE):
                told.update(await asyncio.gather(*(status_of(gateway, *each) for each in asked[start : start + AT_ONCE])))
            print(f"\n{door}: {len(asked)} bodies, statuses {dict(sorted(told.items()))}")
            assert told[400] > told[200] // 4, f"{door}: hardly any of these bodies is wrong: {told}"


def thought_of(door: str) -> list[Asked]:
    """Bodies for the calls of a door, made before anything runs that would share hypothesis' randomness."""
    found: list[Asked] = []

    @settings(
        max_examples=CASES or 200,
        derandomize=not CASES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @given(st.sampled_from(calls_with_bodies(door)).flatmap(lambda call: st.tuples(st.just(call), wrong_request(call))))
    def collect(asked: tuple[Call, tuple[bytes, str]]) -> None:
        call, (content, kind) = asked
        found.append((call, content, kind))

    collect()
    return found


async def status_of(gateway: Gateway, call: Call, content: bytes, kind: str) -> int:
    headers = {**call.headers, **({"content-type": kind} if kind else {})}
    said = await gateway.http.request(call.method, call.path, content=content, headers=headers)
    assert said.status_code < 500, f"{call} with {content[:2000]!r} as {kind}: {said.text}"
    if said.status_code >= 400:
        assert ERRORS[call.door](said.status_code, said.content)
    return said.status_code


QUERIES = (
    "%f0%a8%be%9b=1",
    "x=%F0%A8%BE%9B%60&alt=json",
    "alt=%00",
    "limit=%c3%a9",
    "pageSize=%ff",
    "a=1&" * 60,
    "=&=&%",
    "limit=" + "9" * 50,
)


async def test_no_query_is_a_fault_of_ours(tmp_path: Path) -> None:
    async with whole_house(tmp_path) as gateway:
        for call in (call for door in DOORS for call in of_door(door) if "?" not in call.path):
            for query in QUERIES:
                asked = Call(call.door, call.method, f"{call.path}?{query}", call.body, call.is_form, call.headers)
                await status_of(gateway, asked, call.content, call.content_type)
