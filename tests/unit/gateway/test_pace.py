"""A stream falls behind by its content alone: beat by beat, without a clock."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import TimedOut
from jackfield.gateway.pace import Pacer, PaceSettings, Watch

IDLE = PaceSettings(idle_s=8, min_tokens_per_s=0)
"""Beats of a second: the ninth without content is one too many."""
MEASURED = PaceSettings(idle_s=0, min_tokens_per_s=2, window_s=8)
"""Sixteen pieces in eight beats."""


@dataclass
class Source:
    pieces: int = 0
    can_be_late: bool = True


class Held:
    """A block that waits for ever for `source`."""

    def __init__(self, settings: PaceSettings, source: Source) -> None:
        self.source = source
        self._pacer = Pacer(settings)
        self._entered: asyncio.Future[Watch] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        with self._pacer.watch(self.source) as watch:
            self._entered.set_result(watch)
            await asyncio.Event().wait()

    async def watch(self) -> Watch:
        return await self._entered

    async def ends(self) -> str | None:
        """The error's code, None where it waits on."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not self.task.done():
            self.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await self.task
            return None
        error = self.task.exception()
        assert isinstance(error, TimedOut)
        return error.code


async def played(settings: PaceSettings, source: Source, beats: list[int]) -> str | None:
    """What became of a stream that gave so many pieces before each beat."""
    held = Held(settings, source)
    watch = await held.watch()
    for pieces in beats:
        source.pieces += pieces
        watch.beat()
    return await held.ends()


@pytest.mark.parametrize(
    ("beats", "code"),
    [
        ([0] * 8, None),
        ([0] * 9, "stream_stalled"),
        ([1, *[0] * 8], None),
        ([1, *[0] * 9], "stream_stalled"),
        ([*[0] * 8, 1, *[0] * 8], None),
    ],
)
async def test_silence_is_counted_since_the_last_content(beats: list[int], code: str | None) -> None:
    assert await played(IDLE, Source(), beats) == code


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_too_slow_is_a_window_with_too_little(beats: list[int]) -> None:
    """The first piece starts the measuring; windows follow one another."""
    begun = next((at for at, pieces in enumerate(beats) if pieces), len(beats))
    measured = beats[begun:]
    windows = [measured[at : at + 8] for at in range(0, len(measured) - 7, 8)]
    expected = "too_slow" if any(sum(window) < 16 for window in windows) else None
    assert asyncio.run(played(MEASURED, Source(), beats)) == expected


async def test_time_in_which_the_client_reads_is_not_the_source_s() -> None:
    held = Held(IDLE, Source())
    watch = await held.watch()
    watch.waits = False
    for _ in range(100):
        watch.beat()
    assert await held.ends() is None


async def test_a_source_that_cannot_be_late_is_not() -> None:
    assert await played(IDLE, Source(can_be_late=False), [0] * 100) is None
    assert await played(PaceSettings(0, 0, 1), Source(pieces=1), [0] * 100) is None


async def test_a_cancellation_by_others_stays_one() -> None:
    held = Held(IDLE, Source())
    watch = await held.watch()
    for _ in range(9):
        watch.beat()
    held.task.cancel()  # both at once
    with pytest.raises(asyncio.CancelledError):
        await held.task


async def test_a_task_that_was_given_up_can_be_cancelled_again() -> None:
    again = asyncio.Event()

    async def too_late() -> None:
        with Pacer(IDLE).watch(Source()) as watch:
            for _ in range(9):
                watch.beat()
            await asyncio.Event().wait()

    async def twice() -> None:
        with pytest.raises(TimedOut):
            await too_late()
        again.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(twice())
    await again.wait()
    assert task.cancelling() == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_beat_comes_by_itself_and_ends_with_the_last_stream() -> None:
    pacer, source = Pacer(PaceSettings(idle_s=0.04, min_tokens_per_s=0)), Source()

    async def wait() -> None:
        with pacer.watch(source):
            await asyncio.Event().wait()

    with pytest.raises(TimedOut, match=r"routing\.idle_s") as caught:
        await asyncio.wait_for(wait(), 2)
    assert caught.value.code == "stream_stalled"
    with pacer.watch(source):
        pass
    async with asyncio.timeout(2):
        while pacer.is_beating:
            await asyncio.sleep(0.005)
