"""Models loaded, unloaded, fetched and removed by name, at real sources; who is able to, and what is said where nobody is."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from jackfield.core.errors import BadRequest, JackfieldError, ModelNotFound, NotSupported, SlotEmpty
from jackfield.gateway import stock as module
from jackfield.gateway.stock import Stock
from jackfield.slots.graphics import FoundDevice
from jackfield.testing.fake_ollama import FakeOllama
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from running_gateway import Gateway, running_gateway

MODEL = "fake-model:latest"
CPU = FoundDevice("cpu", "x86_64")
CUDA = FoundDevice("cuda", "NVIDIA H200")


@pytest.fixture
async def llama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, llama: FakeOllama) -> AsyncIterator[Gateway]:
    """Slot 0 loads no models, slot 1 does; both have one of the same name."""
    async with FakeOpenAI([MODEL]) as fake, running_gateway(tmp_path) as running:
        await running.plug(0, "openai-compat", base_url=fake.base_url, model=MODEL)
        await running.plug(1, "ollama", base_url=llama.base_url)
        await running.house.catalogue.models(5.0)
        yield running


def stock(gateway: Gateway, devices: Sequence[FoundDevice] | None = (CPU,), secrets: frozenset[str] = frozenset()) -> Stock:
    house = gateway.house
    return Stock(house.pipeline.resolve.standings, house.registry, house.catalogue, lambda: devices, lambda: secrets)


async def test_a_name_is_known_with_the_tag_that_clients_add_and_without(gateway: Gateway) -> None:
    held = stock(gateway)
    for written, known in (
        ("fake-model", MODEL),
        (MODEL, MODEL),
        ("slot-1", "slot-1"),
        ("slot-1:latest", "slot-1"),
        ("ollama/fake-model", "ollama/fake-model"),
    ):
        assert held.known_as(written) == known
    for nobody in ("nobody", "nobody:latest", "fake-model:7b", ":latest"):
        with pytest.raises(JackfieldError) as error:
            held.known_as(nobody)
        assert error.value.status in (400, 404)
    with pytest.raises(SlotEmpty):
        held.targets("slot-7")
    assert [target.slot for target in held.targets("fake-model")] == [0, 1]


async def test_whoever_of_a_models_sources_is_able_loads_it(gateway: Gateway, llama: FakeOllama) -> None:
    held = await stock(gateway).load("fake-model")
    assert (held.slot, held.provider, held.model, held.hardware) == (1, "ollama", MODEL, None)
    assert MODEL in llama.loaded
    (loaded,) = await stock(gateway).loaded()
    assert (loaded.slot, loaded.provider, loaded.model.model) == (1, "ollama", MODEL)
    assert (await stock(gateway).unload("fake-model")).model == MODEL
    assert llama.loaded == {}


async def test_who_cannot_is_named(gateway: Gateway) -> None:
    with pytest.raises(NotSupported, match="cannot be loaded") as refused:
        await stock(gateway).load("slot-0")
    assert (refused.value.status, refused.value.slot, refused.value.provider) == (422, 0, "openai-compat")
    with pytest.raises(ModelNotFound):
        await stock(gateway).load("nobody")
    with pytest.raises(ModelNotFound):
        await stock(gateway).unload("nobody")
    with pytest.raises(ModelNotFound, match="nope"):
        await stock(gateway).load("ollama/nope")


@pytest.mark.parametrize(
    ("wanted", "devices", "said"),
    [
        ("cuda", (CPU,), "choose cpu"),
        ("gpu", (CPU,), "choose cpu"),
        ("abacus", (CUDA, CPU), "choose cuda, cpu"),
        ("abacus", None, "choose cpu, cuda, rocm, mps"),
    ],
)
async def test_hardware_that_is_not_here_is_refused_before_anybody_is_asked(
    gateway: Gateway, llama: FakeOllama, wanted: str, devices: Sequence[FoundDevice] | None, said: str
) -> None:
    asked = len(llama.requests)
    with pytest.raises(BadRequest, match=said) as refused:
        await stock(gateway, devices).load("fake-model", wanted)
    assert (refused.value.status, refused.value.param) == (422, "hardware")
    assert len(llama.requests) == asked


@pytest.mark.parametrize(("wanted", "devices"), [(" CPU", (CPU,)), ("GPU", (CUDA, CPU)), ("cuda", None), ("metal", None)])
async def test_a_source_that_chooses_by_itself_says_so(
    gateway: Gateway, wanted: str, devices: Sequence[FoundDevice] | None
) -> None:
    with pytest.raises(NotSupported, match="chooses the hardware") as refused:
        await stock(gateway, devices).load("fake-model", wanted)
    assert (refused.value.status, refused.value.param) == (422, "hardware")


@pytest.mark.parametrize("wanted", [None, "", "auto"])
async def test_no_wish_for_hardware_is_none(gateway: Gateway, llama: FakeOllama, wanted: str | None) -> None:
    assert (await stock(gateway, ()).load("fake-model", wanted)).hardware is None
    assert MODEL in llama.loaded


async def test_who_does_not_tell_what_it_has_loaded_hides_nobody_else(
    gateway: Gateway, llama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TELL_WITHIN_S", 0.1)
    async with FakeOllama() as hanging, FakeOllama() as broken:
        await gateway.plug(2, "ollama", base_url=hanging.base_url)
        await gateway.plug(3, "ollama", base_url=broken.base_url)
        hanging.behaviour = Behaviour(hang="before", everywhere=True)
        broken.behaviour = Behaviour(status=500, everywhere=True)
        llama.loaded[MODEL] = "5m"
        assert [each.slot for each in await stock(gateway).loaded()] == [1]


async def test_slots_that_share_a_source_have_its_models_once(gateway: Gateway, llama: FakeOllama) -> None:
    await gateway.house.registry.mutate_slot(1, settings={"temperature": 0.5})
    llama.loaded[MODEL] = "5m"
    assert len(await stock(gateway).loaded()) == 1


async def test_what_was_fetched_is_known_at_once_and_what_was_removed_is_not(gateway: Gateway, llama: FakeOllama) -> None:
    held = stock(gateway)
    async with aclosing(held.pull("llama3.2")) as steps:
        assert [step.status async for step in steps][-1] == "success"
    await gateway.house.catalogue.models(5.0)
    assert held.known_as("llama3.2") == "llama3.2:latest"
    gone = await held.delete("llama3.2")
    assert (gone.slot, gone.model) == (1, "llama3.2:latest")
    assert "llama3.2:latest" not in llama.models
    await gateway.house.catalogue.models(5.0)
    with pytest.raises(ModelNotFound):
        held.known_as("llama3.2")


async def test_fetching_and_removing_need_somebody_who_does(gateway: Gateway, llama: FakeOllama) -> None:
    held = stock(gateway)
    with pytest.raises(NotSupported, match="cannot be deleted"):
        await held.delete("slot-0")
    with pytest.raises(BadRequest, match="names a slot"):
        await held.delete("slot-1")
    await gateway.house.registry.unplug(1)
    with pytest.raises(NotSupported, match="no slot fetches models"):
        await anext(held.pull("llama3.2"))
    assert MODEL in llama.models


async def test_an_error_on_the_way_holds_no_secret(gateway: Gateway, llama: FakeOllama) -> None:
    llama.behaviour = Behaviour(status=500, message="bad key sesame-0123456789")
    with pytest.raises(JackfieldError) as error:
        await stock(gateway, secrets=frozenset({"sesame-0123456789"})).load("fake-model")
    assert "sesame" not in str(error.value)


async def test_nobody_is_asked_who_was_unplugged_meanwhile(gateway: Gateway) -> None:
    (target,) = stock(gateway).targets("slot-1")
    with stock(gateway).asking(target.binding):
        assert target.binding.live.in_flight == 1
    assert target.binding.live.in_flight == 0
    await gateway.house.registry.unplug(1)
    with pytest.raises(SlotEmpty), stock(gateway).asking(target.binding):
        pytest.fail("it was asked")
