"""What a request leaves behind is gone at once: nothing of it waits for the collector of cycles, however it ended."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jackfield.app.http_protocol import DirectClient, GatewayProtocol
from jackfield.core.errors import JackfieldError
from jackfield.gateway.call import Call
from jackfield.testing.fakes import Behaviour
from jackfield.testing.faults import AFTER_CONTENT, BEFORE_CONTENT
from two_sources import CHAT, COUNT, MODEL, House, two_sources

FAULTS = {
    **{name: fault for name, fault in BEFORE_CONTENT.items() if not name.startswith("slow")},
    **{f"{name} after content": fault for name, fault in AFTER_CONTENT.items() if "heartbeats" not in name},
}
"""All but those that only the long limits end."""
OURS = (Call, DirectClient, GatewayProtocol, JackfieldError)


@contextmanager
def left_to_the_collector() -> Iterator[Counter[str]]:
    """What of ours is found in cycles after the block, by type."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.update(type(each).__name__ for each in gc.garbage if isinstance(each, OURS))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[House]:
    """One source, and little patience with it."""
    async with two_sources(tmp_path, alone=True, routing={"retries": 1, "patience_s": 0.2, "warm_up_s": 0}) as one:
        yield one


@pytest.mark.behaviour("FAULT-40")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_failure_that_is_told_makes_no_cycle(hasty: House, fault: Behaviour) -> None:
    hasty.a.behaviour = fault
    with left_to_the_collector() as found:
        await hasty.ask(stream=False)
        await hasty.ask(stream=True)
        await hasty.settled()
    assert found == {}


@pytest.mark.behaviour("FAULT-40")
@pytest.mark.parametrize("name", ["500", "429 with retry-after", "cut", "no answer", "error in the stream after content"])
async def test_a_failure_that_another_source_makes_good_makes_no_cycle(house: House, name: str) -> None:
    house.a.behaviour = FAULTS[name]
    with left_to_the_collector() as found:
        await house.ask(stream=False)
        await house.ask(stream=True, headers={"x-jackfield-continue": "1"})
        await house.settled()
    assert found == {}


@pytest.mark.behaviour("FAULT-40")
@pytest.mark.parametrize("path", ["/v1/messages", CHAT])
async def test_an_answer_and_a_client_that_leaves_make_no_cycle(lonely: House, path: str) -> None:
    body = {"model": MODEL, "messages": COUNT, "max_tokens": 9}
    with left_to_the_collector() as found:
        for stream in (False, True):
            answer = await lonely.gateway.http.post(path, json={**body, "stream": stream}, headers={"connection": "close"})
            assert answer.status_code == 200
        lonely.a.behaviour = Behaviour(hang="before")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await lonely.gateway.http.post(path, json=body)
        await lonely.settled()
        await asyncio.sleep(0.05)  # the ends of the connections are told in the turns of the loop that follow
    assert found == {}
