"""Every operation can be taken back, in order, also after a restart."""

from pathlib import Path
from typing import Any

import pytest

from jackfield.core.errors import Conflict
from jackfield.core.requests import Generation
from jackfield.slots.registry import ProviderRegistry


def shape(panel: ProviderRegistry) -> list[Any]:
    return [(slot.name, slot.spec) for slot in panel.slots()]


@pytest.mark.behaviour("SLOT-15")
async def test_a_whole_history_is_walked_back_step_by_step(panel: ProviderRegistry) -> None:
    shapes = [shape(panel)]
    for operation in (
        lambda: panel.plug(0, "scripted", {"text": "one", "temperature": 0.5}, name="first"),
        lambda: panel.plug(1, "scripted", {"text": "two"}),
        lambda: panel.rename_slot(1, "second"),
        lambda: panel.mutate_slot(0, seed=3),
        lambda: panel.clone_slot(0, 2),
        lambda: panel.swap_slots(0, 5),
        lambda: panel.unplug(1),
        lambda: panel.plug(5, "scripted", {"text": "other"}),
    ):
        await operation()
        shapes.append(shape(panel))
    while len(shapes) > 1:
        assert shape(panel) == shapes.pop()
        await panel.undo()
    assert shape(panel) == shapes[0]
    with pytest.raises(Conflict, match="nothing to undo"):
        await panel.undo()


async def test_after_an_undo_of_unplug_the_slot_answers_again(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted", {"text": "back again"}, name="poet")
    await panel.unplug(0)
    event = await panel.undo()
    assert (event.kind, event.slots, event.detail["undone"]) == ("undo", (0,), "unplug")
    assert panel.slot(0).name == "poet"
    assert (await panel.invoke_slot(0, "x"))["output"] == "back again"


async def test_what_only_moved_keeps_its_live_provider(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted", {"text": "a", "temperature": 1.0})
    live = panel.slot(0).binding.live  # type: ignore[union-attr]
    await panel.mutate_slot(0, temperature=0.2)
    await panel.rename_slot(0, "x")
    await panel.swap_slots(0, 3)
    for _ in range(3):
        await panel.undo()
    binding = panel.slot(0).binding
    assert binding is not None
    assert binding.live is live
    assert not live.is_retired
    assert binding.spec.generation == Generation(temperature=1.0)


async def test_undo_works_after_a_restart(tmp_path: Path, restart: Any) -> None:
    async with restart(tmp_path) as bench:
        panel = bench.panel()
        await panel.plug(0, "scripted", {"text": "one"}, name="kept")
        await panel.plug(0, "scripted", {"text": "two"})
        await panel.aclose()
    async with restart(tmp_path) as bench:
        panel = bench.panel()
        await panel.restore()
        assert (await panel.undo()).detail["undone"] == "plug"
        assert (await panel.invoke_slot(0, "x"))["output"] == "one"
        assert panel.slot(0).name == "kept"
        await panel.undo()
        assert panel.slot(0).is_empty
        await panel.aclose()


async def test_undo_on_a_smaller_panel_says_so(tmp_path: Path, restart: Any) -> None:
    async with restart(tmp_path) as bench:
        panel = bench.panel()
        await panel.plug(5, "scripted")
        await panel.aclose()
        small = bench.panel(size=2)
        await small.restore()
        with pytest.raises(Conflict, match="no longer has"):
            await small.undo()
        await small.aclose()


async def test_undoing_a_replacement_of_a_source_that_is_gone_shows_the_problem(panel: ProviderRegistry, fake: Any) -> None:
    await panel.plug(0, "openai-compat", {"base_url": fake.base_url})
    await panel.plug(0, "scripted")
    await fake.stop()
    await panel.undo()
    slot = panel.slot(0)
    assert slot.spec is not None
    assert slot.spec.provider == "openai-compat"
    assert slot.problem
