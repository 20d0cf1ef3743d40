"""The routes of slots: look at them, and every operation on them. Each answer shows the slots as they are afterwards.

Knows the order of arguments, not what an operation does: that is slots/registry.py.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from litestar import Request
from litestar.params import JSONBody

from jackfield.doors.control.bodies import (
    CloneBody,
    InvokeBody,
    MutateBody,
    PlugBody,
    PlugModelBody,
    RenameBody,
    RestoreBody,
    SwapBody,
)
from jackfield.doors.control.given import Held, SlotText, change, look
from jackfield.doors.control.panel import ControlPanel
from jackfield.doors.control.reading import slot_number
from jackfield.doors.control.refusals import OF_ASKING, OF_NAMED, OF_PLUGGING
from jackfield.doors.control.views import Panel, SlotView, slot_view
from jackfield.doors.control.waiting import while_client_stays

ACTOR = "control"


class Unplugged(msgspec.Struct, frozen=True):
    """`unplugged` is false when the slot was empty already."""

    unplugged: bool
    slot: SlotView


class Changed(msgspec.Struct, frozen=True):
    """The slots that an operation touched, as they are now."""

    slots: tuple[SlotView, ...]


class Mutated(msgspec.Struct, frozen=True):
    """`changed` maps each setting to its old and new value."""

    slot: SlotView
    changed: dict[str, list[Any]]


class Undone(msgspec.Struct, frozen=True):
    """`undone` names the operation that was taken back."""

    undone: str
    slots: tuple[SlotView, ...]


class PluggedModel(msgspec.Struct, frozen=True):
    """`limits` are in tokens; null is unknown."""

    slot: SlotView
    model: str
    limits: dict[str, int | None]


class Grabbed(msgspec.Struct, frozen=True):
    """Give `key` to `restore` to have this slot's content again, here or elsewhere."""

    key: str
    slot: SlotView


@look("/slots", summary="All slots, empty ones too")
async def list_slots(panel: Held) -> Panel:
    slots = panel.registry.slots()
    return Panel(len(slots), len(panel.registry.plugged()), _views(panel, (int(slot.number) for slot in slots)))


@look("/slots/{slot:str}", summary="One slot", responses=OF_NAMED)
async def show_slot(panel: Held, slot: SlotText) -> SlotView:
    return _view(panel, slot_number(slot))


@change("/slots/{slot:str}/plug", summary="Plug a provider in; what was there drains and goes", responses=OF_PLUGGING)
async def plug(panel: Held, slot: SlotText, data: JSONBody[PlugBody]) -> SlotView:
    number = slot_number(slot)
    await panel.registry.plug(
        number,
        data.provider,
        data.config,
        model=data.model,
        name=data.name,
        generation=data.generation,
        role=data.role,
        consent=data.consent,
        require_ready=data.require_ready,
        actor=ACTOR,
    )
    return _view(panel, number)


@change("/slots/{slot:str}/unplug", summary="Empty a slot; running requests finish")
async def unplug(panel: Held, slot: SlotText) -> Unplugged:
    number = slot_number(slot)
    return Unplugged(await panel.registry.unplug(number, actor=ACTOR), _view(panel, number))


@change("/slots/{slot:str}/clone", summary="Copy a slot into the next free ones", responses=OF_PLUGGING)
async def clone(panel: Held, slot: SlotText, data: JSONBody[CloneBody | None] = None) -> Changed:
    clones = await panel.registry.clone_slot(slot_number(slot), (data or CloneBody()).count, actor=ACTOR)
    return Changed(_views(panel, clones))


@change("/slots/{slot:str}/mutate", summary="Change generation settings: noise, or by name")
async def mutate(panel: Held, slot: SlotText, data: JSONBody[MutateBody | None] = None) -> Mutated:
    number = slot_number(slot)
    wish = data or MutateBody()
    changed = await panel.registry.mutate_slot(number, wish.rate, wish.scale, wish.seed, settings=wish.settings, actor=ACTOR)
    return Mutated(_view(panel, number), changed)


@change("/slots/{slot:str}/rename", summary="Name a slot; clients may use the name as a model")
async def rename(panel: Held, slot: SlotText, data: JSONBody[RenameBody]) -> SlotView:
    number = slot_number(slot)
    await panel.registry.rename_slot(number, data.name, actor=ACTOR)
    return _view(panel, number)


@change("/slots/{slot:str}/grab", summary="Keep a slot's content under a key")
async def grab(panel: Held, slot: SlotText) -> Grabbed:
    number = slot_number(slot)
    return Grabbed(await panel.registry.grab_slot(number), _view(panel, number))


@change("/slots/{slot:str}/invoke", summary="Ask one slot, without a client", responses=OF_ASKING)
async def invoke(request: Request[Any, Any, Any], panel: Held, slot: SlotText, data: JSONBody[InvokeBody]) -> dict[str, Any]:
    work = panel.registry.invoke_slot(
        slot_number(slot), data.text, mode=data.mode, max_tokens=data.max_tokens, messages=data.messages
    )
    return await while_client_stays(request.receive, work)


@change("/slots/swap", summary="Exchange two slots")
async def swap(panel: Held, data: JSONBody[SwapBody]) -> Changed:
    await panel.registry.swap_slots(data.a, data.b, actor=ACTOR)
    return Changed(_views(panel, (data.a, data.b)))


@change("/slots/undo", summary="Take the last operation back", responses=OF_PLUGGING)
async def undo(panel: Held) -> Undone:
    event = await panel.registry.undo(actor=ACTOR)
    return Undone(event.detail["undone"], _views(panel, event.slots))


@change("/slots/restore", summary="Put back what was grabbed", responses=OF_PLUGGING)
async def restore(panel: Held, data: JSONBody[RestoreBody]) -> SlotView:
    return _view(panel, await panel.registry.restore_slot(data.key, data.slot, actor=ACTOR))


@change("/slots/plug-model", summary="Plug a local model into the first free slot", responses=OF_PLUGGING)
async def plug_model(panel: Held, data: JSONBody[PlugModelBody]) -> PluggedModel:
    done = await panel.registry.plug_model(data.model, data.name, consent=data.consent, actor=ACTOR)
    return PluggedModel(_view(panel, done["slot"]), done["model"], done["limits"])


def _view(panel: ControlPanel, number: int) -> SlotView:
    return slot_view(panel.registry.slot(number), panel.secrets.known_values())


def _views(panel: ControlPanel, numbers: Iterable[int]) -> tuple[SlotView, ...]:
    known = panel.secrets.known_values()
    return tuple(slot_view(panel.registry.slot(number), known) for number in numbers)


SLOT_ROUTES = [
    list_slots,
    show_slot,
    plug,
    unplug,
    clone,
    mutate,
    rename,
    grab,
    invoke,
    swap,
    undo,
    restore,
    plug_model,
]
