"""How many lines are asked at once, and who is next."""

import asyncio

import pytest

from jackfield.gateway.batches.line_gate import LineGate


class Line:
    """One line in its own task: in its place until it is let go."""

    def __init__(self, gate: LineGate) -> None:
        self.is_in = False
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._go(gate))

    async def _go(self, gate: LineGate) -> None:
        async with gate.place():
            self.is_in = True
            await self.leave.wait()
        self.is_in = False


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def places(lines: list[Line]) -> list[bool]:
    return [line.is_in for line in lines]


async def test_lines_take_turns_in_the_order_in_which_they_came() -> None:
    gate = LineGate(2, lambda: 0)
    lines = [Line(gate) for _ in range(4)]
    await settled()
    assert places(lines) == [True, True, False, False]
    lines[1].leave.set()
    await settled()
    assert places(lines) == [True, False, True, False]
    for line in lines:
        line.leave.set()
    await asyncio.wait_for(asyncio.gather(*(line.task for line in lines)), 5)
    assert gate.running == 0


async def test_while_others_wait_for_answers_there_is_one_line_and_always_one() -> None:
    others = 1
    gate = LineGate(4, lambda: gate.begun + others)
    lines = [Line(gate) for _ in range(5)]
    await settled()
    assert places(lines) == [True, False, False, False, False]
    lines[0].leave.set()
    await settled()
    assert places(lines) == [False, True, False, False, False]
    others = 0
    lines[1].leave.set()
    await settled()
    assert places(lines) == [False, False, True, True, True]
    for line in lines:
        line.task.cancel()
    await asyncio.gather(*(line.task for line in lines), return_exceptions=True)
    assert gate.running == 0


@pytest.mark.parametrize("is_turn", [False, True], ids=["while it waits", "as its turn comes"])
async def test_a_line_that_is_given_up_leaves_no_place_taken(is_turn: bool) -> None:
    gate = LineGate(1, lambda: 0)
    first, second, third = (Line(gate) for _ in range(3))
    await settled()
    if is_turn:
        first.leave.set()
        await asyncio.sleep(0)
    second.task.cancel()
    await settled()
    first.leave.set()
    await settled()
    assert third.is_in
    third.leave.set()
    await asyncio.gather(first.task, third.task)
    assert gate.running == 0


async def test_all_given_up_at_once_leaves_nothing() -> None:
    gate = LineGate(2, lambda: 0)
    lines = [Line(gate) for _ in range(6)]
    await settled()
    for line in lines:
        line.task.cancel()
    said = await asyncio.gather(*(line.task for line in lines), return_exceptions=True)
    assert {type(each) for each in said} == {asyncio.CancelledError}
    assert gate.running == 0
