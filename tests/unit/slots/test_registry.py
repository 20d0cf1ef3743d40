"""The registry: what is plugged where, every operation on it, and what must never happen to the panel."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jackfield.core.errors import (
    BadRequest,
    Conflict,
    JackfieldError,
    ModelNotFound,
    NoCapableProvider,
    NotFound,
    NotSupported,
    ProviderNotFound,
    ServiceFailed,
    SlotEmpty,
    SlotOutOfRange,
    Unavailable,
)
from jackfield.core.messages import text_message
from jackfield.core.profiles import CapabilityRequirement
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.registry import load_registrar
from jackfield.routing.manager import BackendManager
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.registry import ProviderRegistry
from jackfield.testing.fakes import Behaviour, FakeOpenAI

PING = ChatRequest((text_message("user", "ping"),))


def script(text: str, **more: Any) -> dict[str, Any]:
    return {"text": text, **more}


async def said(panel: ProviderRegistry, slot: int, text: str = "hello") -> str:
    output: str = (await panel.invoke_slot(slot, text))["output"]
    return output


async def wait_until(condition: Any, within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.behaviour("SLOT-01")
async def test_any_provider_may_be_plugged_while_it_runs(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    assert await panel.plug(0, "scripted", script("from a script"))
    assert await said(panel, 0) == "from a script"
    assert await panel.plug(0, "openai-compat", {"base_url": fake.base_url})
    assert await said(panel, 0, "ping") == "pong"
    assert fake.completions == 1


@pytest.mark.behaviour("MISC-04")
async def test_two_sources_of_one_provider_are_two(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    """What tells them apart is the slot, not another id: each has its connection, its counts and its backend."""
    async with FakeOpenAI(["other-model"]) as other, BackendManager().follow(panel) as manager:
        await panel.plug(2, "openai-compatible", {"base_url": fake.base_url}, name="east")
        await panel.plug(5, "openai-compatible", {"base_url": other.base_url}, name="west")
        assert [await said(panel, slot, "ping") for slot in (2, 5, 5)] == ["pong"] * 3
        assert (fake.completions, other.completions) == (1, 2)
        assert panel.active == {2: "openai-compat", 5: "openai-compat"}
        first, second = panel.slot(2).binding, panel.slot(5).binding
        assert first is not None
        assert second is not None
        assert (first.metrics.requests, second.metrics.requests) == (1, 2)
        await manager.check()
        east, west = manager.backend_of(first), manager.backend_of(second)
        assert (east.provider, west.provider) == ("openai-compat", "openai-compat")
        assert {f"@127.0.0.1:{fake.port}", f"@127.0.0.1:{other.port}"} == {
            backend.id[backend.id.index("@") :] for backend in (east, west)
        }
        await panel.unplug(2)
        assert await said(panel, 5, "ping") == "pong"


@pytest.mark.behaviour("SLOT-02")
async def test_empty_slots_are_there_to_be_seen(panel: ProviderRegistry) -> None:
    await panel.plug(1, "scripted", name="talker")
    listed = panel.list_slots()
    assert (listed["total"], listed["plugged"]) == (6, 1)
    assert [slot["provider"] for slot in listed["slots"]] == [None, "scripted", None, None, None, None]
    assert listed["slots"][0]["name"] == "slot_0"
    assert panel.slot(1).spec is not None
    assert panel.slot(0).is_empty


@pytest.mark.behaviour("SLOT-03")
def test_the_view_of_providers_cannot_be_changed_from_outside(panel: ProviderRegistry) -> None:
    assert set(panel.providers) == set(load_registrar(plugins=False).ids())
    with pytest.raises(TypeError):
        panel.providers["mine"] = int  # type: ignore[index]
    assert "mine" not in panel.providers


@pytest.mark.behaviour("SLOT-04")
async def test_a_literal_key_is_nowhere_in_configs_or_files(bench: Any, panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    key = "sk-canary-0123456789abcdef"
    fake.require_key = key
    await panel.plug(3, "openai-compat", {"base_url": fake.base_url, "api_key": key})
    assert await said(panel, 3, "ping") == "pong"
    assert panel.configs["openai-compat"]["api_key"] == "file:slot-3/api_key"
    assert panel.slot_info(3)["config"]["api_key"] == "file:slot-3/api_key"
    assert key.encode() not in bench.stored_bytes()
    await panel.plug(
        3, "openai-compat", {"base_url": fake.base_url, "api_key": "sk-other-0123456789abcdef"}, require_ready=False
    )
    assert panel.configs["openai-compat"]["api_key"] == "file:slot-3/api_key-2", "an older plug may still need the first"
    panel.configs["openai-compat"]["api_key"] = key
    assert panel.configs["openai-compat"]["api_key"] != key


@pytest.mark.behaviour("SLOT-05")
async def test_active_follows_plug_swap_and_unplug(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    await panel.plug(0, "scripted")
    await panel.plug(2, "openai-compat", {"base_url": fake.base_url})
    assert panel.active == {0: "scripted", 2: "openai-compat"}
    await panel.swap_slots(0, 2)
    assert panel.active == {0: "openai-compat", 2: "scripted"}
    await panel.unplug(0)
    assert panel.active == {2: "scripted"}


@pytest.mark.behaviour("SLOT-06")
def test_a_second_provider_of_one_id_is_refused(panel: ProviderRegistry) -> None:
    class Mine(InferenceProviderAdapter):
        provider_id, provider_type, display_name = "mine", "local", "Mine"

        async def forward(self, prompt: str, **kwargs: Any) -> str:
            return "mine"

    panel.register("mine", Mine)
    with pytest.raises(Conflict, match="already registered"):
        panel.register("mine", Mine)
    panel.register("mine", Mine, replace=True)
    assert panel.providers["mine"] is Mine
    with pytest.raises(BadRequest, match="no provider"):
        panel.register("number", int)


@pytest.mark.behaviour("SLOT-07")
async def test_every_provider_is_listed_once(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted")
    listed = {entry["id"]: entry for entry in panel.list_providers()}
    assert len(listed) == len(panel.list_providers()) == len(panel.providers)
    assert (listed["scripted"]["configured"], listed["scripted"]["available"]) == (True, True)
    assert (listed["openai"]["configured"], listed["openai"]["available"]) == (False, False)
    assert listed["openai"]["display_name"] == "OpenAI"
    assert listed["openai"]["capabilities"]["tools"] is True


@pytest.mark.behaviour("SLOT-08")
async def test_a_failing_plug_leaves_the_old_one(bench: Any, panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    await panel.plug(0, "scripted", script("still here"), name="keeper")
    before = panel.slot(0)
    await fake.stop()
    with pytest.raises(Unavailable, match="slot-0 is as it was before") as caught:
        await panel.plug(0, "openai-compat", {"base_url": fake.base_url, "api_key": "sk-never-0123456789"})
    assert (caught.value.slot, caught.value.provider) == (0, "openai-compat")
    assert panel.slot(0) is before
    assert await said(panel, 0) == "still here"
    assert bench.secrets.names() == [], "a key that was put away for it is taken out again"
    assert "openai-compat" not in panel.configs
    with pytest.raises(ProviderNotFound, match="did you mean 'scripted'"):
        await panel.plug(0, "scriptd")
    with pytest.raises(BadRequest, match="unknown setting 'texxt'"):
        await panel.plug(0, "scripted", {"texxt": "x"})
    assert panel.slot(0) is before


@pytest.mark.behaviour("SLOT-08")
async def test_the_saved_config_is_used_also_after_a_restart(tmp_path: Path, restart: Any) -> None:
    async with restart(tmp_path) as bench:
        panel = bench.panel()
        await panel.plug(0, "scripted", script("saved", temperature=0.5))
        await panel.plug(1, "scripted")
        assert await said(panel, 1) == "saved"
        await panel.unplug(0)
        await panel.unplug(1)
        await panel.aclose()
    async with restart(tmp_path) as bench:
        panel = bench.panel()
        await panel.restore()
        await panel.plug(4, "scripted")
        assert await said(panel, 4) == "saved"
        assert panel.slot(4).spec.generation == Generation(temperature=0.5), "settings are part of what was saved"
        await panel.plug(4, "scripted", {})
        assert await said(panel, 4) != "saved", "an empty config is a config"
        await panel.aclose()


async def test_the_whole_panel_is_there_after_a_restart(tmp_path: Path, restart: Any, fake: FakeOpenAI) -> None:
    async with restart(tmp_path) as bench:
        panel = bench.panel()
        await panel.plug(2, "openai-compat", {"base_url": fake.base_url, "temperature": 0.5}, model="fake-model", name="coder")
        await panel.aclose()
    async with restart(tmp_path) as bench:
        panel = bench.panel()
        await panel.restore()
        slot = panel.by_name("CODER")
        assert slot is panel.slot(2)
        assert slot.spec is not None
        assert (slot.spec.model, slot.spec.generation) == ("fake-model", Generation(temperature=0.5))
        assert await said(panel, 2, "ping") == "pong"
        await panel.aclose()


@pytest.mark.behaviour("SLOT-09")
async def test_unplugging_twice_is_true_then_false(panel: ProviderRegistry) -> None:
    closed = []

    class Leaver(InferenceProviderAdapter):
        provider_id, provider_type, display_name = "leaver", "local", "Leaver"

        async def forward(self, prompt: str, **kwargs: Any) -> str:
            return "here"

        async def disconnect(self) -> None:
            closed.append(1)

    panel.register("leaver", Leaver)
    await panel.plug(0, "leaver", name="someone")
    assert await said(panel, 0) == "here"
    assert await panel.unplug(0) is True
    await wait_until(lambda: closed)
    assert await panel.unplug(0) is False
    assert (panel.slot(0).name, panel.slot(0).spec, panel.slot(0).binding) == ("slot_0", None, None)
    assert closed == [1]


@pytest.mark.behaviour("SLOT-10")
@pytest.mark.parametrize("number", [-1, 6, 10**20])
async def test_no_operation_wraps_around(panel: ProviderRegistry, number: int) -> None:
    await panel.plug(5, "scripted", script("the last one"))
    before = panel.slots()
    for operation in (
        lambda: panel.plug(number, "scripted"),
        lambda: panel.unplug(number),
        lambda: panel.clone_slot(number),
        lambda: panel.mutate_slot(number),
        lambda: panel.swap_slots(0, number),
        lambda: panel.rename_slot(number, "x"),
        lambda: panel.grab_slot(number),
        lambda: panel.invoke_slot(number, "x"),
        lambda: panel.check_slot(number),
    ):
        with pytest.raises(SlotOutOfRange):
            await operation()
    with pytest.raises(SlotOutOfRange):
        panel.get_adapter(number)
    assert panel.get_adapter(0) is None
    assert panel.slots() is before


@pytest.mark.behaviour("SLOT-11")
async def test_running_requests_finish_on_the_old_plug(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(piece_delay_s=0.03)
    await panel.plug(1, "openai-compat", {"base_url": fake.base_url})
    adapter = panel.get_adapter(1)
    assert adapter is not None
    old = panel.slot(1).binding
    assert old is not None
    words = adapter.stream("Count to 9")
    first = await anext(words)
    await panel.plug(1, "scripted", script("the new one"))
    assert await said(panel, 1) == "the new one"
    assert old.live.is_retired
    assert old.live.in_flight == 1
    rest = [word async for word in words]
    assert first + "".join(rest) == "1, 2, 3, 4, 5, 6, 7, 8, 9"
    await wait_until(lambda: old.live._is_closed)
    with pytest.raises(SlotEmpty, match="unplugged"):
        await adapter.forward("again")


async def test_a_request_that_never_ends_holds_its_provider_open_no_longer_than_allowed(bench: Any, fake: FakeOpenAI) -> None:
    panel = bench.panel(drain_s=0.05)
    fake.behaviour = Behaviour(hang="inside", pieces_before=3)
    await panel.plug(1, "openai-compat", {"base_url": fake.base_url})
    live = panel.slot(1).binding.live
    stream = panel.get_adapter(1).stream("Count to 9")
    await anext(stream)
    await panel.unplug(1)
    await wait_until(lambda: live._is_closed)
    await stream.aclose()
    await panel.aclose()


@pytest.mark.parametrize("is_closing", [False, True])
async def test_a_provider_that_was_unplugged_as_all_stopped_is_closed_whole(
    panel: ProviderRegistry, monkeypatch: pytest.MonkeyPatch, is_closing: bool
) -> None:
    await panel.plug(1, "scripted")
    binding = panel.slot(1).binding
    assert binding is not None
    begun, said = asyncio.Event(), []

    async def slow_aclose() -> None:
        begun.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        said.append("closed")

    monkeypatch.setattr(binding.provider, "aclose", slow_aclose)
    await panel.unplug(1)
    if is_closing:
        await asyncio.wait_for(begun.wait(), 5)
    await panel.aclose()
    assert said == ["closed"]


@pytest.mark.behaviour("SLOT-12")
async def test_plug_model_takes_the_first_free_slot_and_the_engine_in_this_process(
    panel: ProviderRegistry, repository: Path
) -> None:
    await panel.plug(0, "scripted")
    model = repository / "src/jackfield/app/demo/tiny-llm.gguf"
    answer = await panel.plug_model(str(model), "tiny")
    assert (answer["status"], answer["slot"], answer["type"]) == ("ok", 1, "local")
    assert answer["limits"]["context_length"] > 0
    assert panel.active[1] == "local"
    assert panel.slot(1).name == "tiny"
    assert await said(panel, 1, "ping") == "pong"


@pytest.mark.behaviour("SLOT-12")
async def test_a_full_panel_says_so_before_anything_is_loaded(bench: Any) -> None:
    panel = bench.panel(size=1)
    await panel.plug(0, "scripted")
    with pytest.raises(Conflict, match="no empty slots"):
        await panel.plug_model("/no/such/model.gguf")
    await panel.aclose()


@pytest.mark.parametrize("provider_id", ["local", "llama-cli"])
async def test_a_model_without_a_file_is_not_found_and_no_failure_of_a_source(bench: Any, provider_id: str) -> None:
    panel = bench.panel(size=1)
    with pytest.raises(ModelNotFound, match="slot-0 is as it was before") as caught:
        await panel.plug(0, provider_id, model="/no/such/model.gguf")
    assert (caught.value.status, caught.value.slot) == (404, 0)
    await panel.aclose()


async def test_plug_model_with_an_address_sends_that_address_only_its_own_key(
    tmp_path: Path, restart: Any, fake: FakeOpenAI
) -> None:
    async with restart(tmp_path / "keys", {"OPENAI_API_KEY": "sk-not-for-you-0123456789"}) as bench:
        panel = bench.panel()
        answer = await panel.plug_model(f"{fake.base_url}?model=fake-model")
        assert (answer["model"], panel.active[answer["slot"]]) == ("fake-model", "openai-compat")
        assert all("authorization" not in request.headers for request in fake.requests)
        keyed = await panel.plug_model(f"{fake.base_url}?key=sk-its-own-0123456789")
        assert fake.last.headers["authorization"] == "Bearer sk-its-own-0123456789"
        assert panel.slot_info(keyed["slot"])["config"]["api_key"].startswith("file:")
        await panel.aclose()


@pytest.mark.behaviour("SLOT-13")
async def test_unplug_slot_tells_what_was_there_and_leaves_nothing_stale(panel: ProviderRegistry) -> None:
    await panel.plug(2, "scripted", model="poet", name="poet")
    assert await panel.unplug_slot(2) == {"status": "ok", "unplugged": 2, "was": "poet"}
    info = panel.slot_info(2)
    assert (info["name"], info["source"], info["model_type"], info["class"], info["parameters"]) == (
        "slot_2",
        None,
        None,
        None,
        {},
    )
    with pytest.raises(SlotEmpty):
        await panel.unplug_slot(2)


@pytest.mark.behaviour("SLOT-14")
async def test_clones_are_independent(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted", {"text": "the same", "temperature": 0.5}, name="poet")
    assert await panel.clone_slot(0, 2) == [1, 2]
    lives = {panel.slot(number).binding.live for number in (0, 1, 2)}  # type: ignore[union-attr]
    assert len(lives) == 3
    assert [panel.slot(number).name for number in (1, 2)] == ["poet_clone_1", "poet_clone_2"]
    await panel.mutate_slot(1, temperature=1.5)
    await panel.plug(2, "scripted", script("another"))
    assert panel.slot(0).spec.generation == Generation(temperature=0.5)  # type: ignore[union-attr]
    assert await said(panel, 0) == "the same"
    assert await said(panel, 1) == "the same"
    await panel.unplug(0)
    assert await said(panel, 1) == "the same", "a clone outlives its source"


@pytest.mark.behaviour("SLOT-14")
async def test_too_few_free_slots_do_nothing_at_all(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted")
    before = panel.slots()
    with pytest.raises(Conflict, match="5 are free"):
        await panel.clone_slot(0, 6)
    assert panel.slots() is before
    with pytest.raises(SlotEmpty):
        await panel.clone_slot(3)


async def test_a_clone_that_cannot_be_made_takes_the_others_back(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    await panel.plug(0, "openai-compat", {"base_url": fake.base_url})
    await fake.stop()
    before = panel.slots()
    with pytest.raises(Unavailable):
        await panel.clone_slot(0, 2)
    assert panel.slots() is before
    assert panel.first_free() == 1, "nothing stays reserved"


@pytest.mark.behaviour("SLOT-15")
async def test_mutation_is_seeded_bounded_and_recorded(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    await panel.plug(0, "openai-compat", {"base_url": fake.base_url, "temperature": 1.0, "top_p": 0.9})
    async with panel.subscribe() as events:
        changed = await panel.mutate_slot(0, rate=1, scale=0.1, seed=42)
        event = await asyncio.wait_for(anext(events), 1)
    assert set(changed) == {"temperature", "top_p"}
    assert (event.kind, event.slots, event.detail["changed"], event.detail["seed"]) == ("mutate", (0,), changed, 42)
    await said(panel, 0, "ping")
    assert fake.last.json["temperature"] == changed["temperature"][1]
    await panel.undo()
    assert await panel.mutate_slot(0, rate=1, scale=0.1, seed=42) == changed
    assert await panel.mutate_slot(0, settings={"max_tokens": 7}, temp=0.25) == {
        "temperature": [changed["temperature"][1], 0.25],
        "max_tokens": [None, 7],
    }
    await said(panel, 0, "ping")
    assert (fake.last.json["temperature"], fake.last.json["max_tokens"]) == (0.25, 7)


@pytest.mark.behaviour("SLOT-15")
async def test_what_has_no_settings_cannot_be_mutated(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted", role="embed")
    with pytest.raises(NotSupported, match="no generation settings"):
        await panel.mutate_slot(0)
    with pytest.raises(SlotEmpty):
        await panel.mutate_slot(1)


async def test_a_mutation_keeps_the_live_provider_and_its_counts(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted")
    await said(panel, 0)
    before = panel.slot(0).binding
    await panel.mutate_slot(0, temperature=0.1)
    after = panel.slot(0).binding
    assert before is not None
    assert after is not None
    assert after is not before
    assert after.live is before.live
    assert (after.metrics.requests, after.live.is_retired) == (1, False)


@pytest.mark.behaviour("SLOT-16")
async def test_answers_during_swaps_come_from_who_is_named(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted", script("from a", model="a"), name="anna")
    await panel.plug(1, "scripted", script("from b", model="b"))
    stop = asyncio.Event()
    answers: list[dict[str, Any]] = []

    async def ask(slot: int) -> None:
        while not stop.is_set():
            answers.append(await panel.invoke_slot(slot, "who?"))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask(0))
        group.create_task(ask(1))
        for _ in range(9):
            await panel.swap_slots(0, 1)
            await asyncio.sleep(0.005)
        stop.set()
    assert len(answers) > 20
    assert all(answer["output"] == f"from {answer['model']}" for answer in answers)
    assert (panel.slot(0).name, panel.slot(1).name) == ("slot_0", "anna"), "a given name travels, a default one does not"
    counted = {slot.spec.model: slot.binding.metrics.requests for slot in panel.plugged() if slot.spec and slot.binding}
    assert counted == {model: sum(answer["model"] == model for answer in answers) for model in ("a", "b")}


async def test_swapping_clones_of_one_spec_moves_their_counts_too(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted")
    await panel.clone_slot(0)
    await said(panel, 0)
    first = panel.slot(0).binding
    await panel.swap_slots(0, 1)
    assert panel.slot(1).binding is first
    await panel.undo()
    assert panel.slot(0).binding is first


async def test_swapping_with_an_empty_slot_moves(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted", name="mover")
    binding = panel.slot(0).binding
    await panel.swap_slots(0, 4)
    assert panel.slot(0).is_empty
    assert (panel.slot(4).binding, panel.slot(4).name) == (binding, "mover")
    with pytest.raises(SlotEmpty):
        await panel.swap_slots(1, 2)
    with pytest.raises(BadRequest, match="with itself"):
        await panel.swap_slots(4, 4)


@pytest.mark.behaviour("SLOT-17")
async def test_the_helpers_of_the_council(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted", script("hi", temperature=0.5), model="poet")
    await panel.rename_slot(0, "Poet")
    assert panel.by_name("poet") is panel.slot(0)
    info = panel.slot_info(0)
    assert (info["name"], info["plugged"], info["source"], info["model_type"], info["class"], info["parameters"]) == (
        "Poet",
        True,
        "poet",
        "chat",
        "Scripted",
        {"temperature": 0.5},
    )
    answer = await panel.invoke_slot(0, "", messages=[{"role": "user", "content": "x"}], max_tokens=1)
    assert (answer["slot"], answer["name"], answer["mode"], answer["output"]) == (0, "Poet", "generate", "hi")
    vector = await panel.invoke_slot(0, "x", mode="embed")
    assert vector["dim"] == len(vector["embedding"]) == 8
    key = await panel.grab_slot(0)
    await panel.unplug(0)
    assert await panel.restore_slot(key) == 0
    assert (panel.slot(0).name, panel.slot(0).spec.generation) == ("Poet", Generation(temperature=0.5))  # type: ignore[union-attr]
    assert await panel.restore_slot(key, 3) == 3
    assert panel.slot(3).name == "slot_3", "a name that is taken is not taken twice"
    with pytest.raises(NotFound, match="did you mean"):
        await panel.restore_slot(key[:-1])
    assert await panel.grab_slot(0) != key
    for text, options in (("x", {"mode": "sing"}), ("x", {"max_tokens": -1}), ("", {})):
        with pytest.raises(BadRequest):
            await panel.invoke_slot(0, text, **options)
    with pytest.raises(SlotEmpty, match="plug something into it"):
        await panel.invoke_slot(1, "x")


async def test_renaming_refuses_what_means_another_slot(panel: ProviderRegistry) -> None:
    await panel.plug(0, "scripted", name="one")
    await panel.plug(1, "scripted", name="two")
    with pytest.raises(Conflict):
        await panel.rename_slot(0, "TWO")
    with pytest.raises(Conflict):
        await panel.rename_slot(0, "slot-5")
    with pytest.raises(Conflict):
        await panel.plug(2, "scripted", name="one")
    assert panel.slot(2).is_empty
    await panel.rename_slot(0, "slot_0")
    assert panel.by_name("one") is None


@pytest.mark.behaviour("SLOT-19")
async def test_a_set_with_unavailable_providers_starts_and_says_why(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    wanted = {
        "0": {"provider": "local", "config": {"model_id": "BAAI/bge-small-en"}},
        "1": {"provider": "openai-compat", "config": {"model": "gpt-4o"}},
        "2": {"provider": "bittensor", "config": {"subnet": 1}},
        "3": {"provider": "akash-ml", "config": {"model": "meta-llama/Llama-3.1-70B"}},
    }
    slots = await panel.plug_set(wanted)
    assert [slot.spec.provider for slot in slots if slot.spec] == ["local", "openai-compat", "bittensor", "akash-ml"]
    problems = [slot.problem for slot in slots]
    assert all(problems), problems
    assert "bittensor" in str(problems[2])
    assert [entry["problem"] for entry in panel.list_slots()["slots"][:4]] == problems
    assert panel.slot(3).spec.model == "meta-llama/Llama-3.1-70B"  # type: ignore[union-attr]
    await panel.plug(4, "scripted", {"temperature": 9}, require_ready=False)
    assert "must be 0 to 2" in str(panel.slot(4).problem)
    with pytest.raises(SlotEmpty, match="slot 2 is not plugged: no provider is called 'bittensor'"):
        await panel.invoke_slot(2, "x")
    with pytest.raises(BadRequest, match="did you mean 'provider'"):
        await panel.plug_set({"5": {"provder": "local"}})


async def test_a_problem_goes_when_the_source_comes(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    await fake.stop()
    await panel.plug(0, "openai-compat", {"base_url": fake.base_url}, require_ready=False)
    assert panel.slot(0).problem
    async with fake:
        assert (await panel.check_slot(0)).problem is None
        assert await said(panel, 0, "ping") == "pong"
    assert (await panel.check_slot(0)).problem
    assert (await panel.check_slot(1)).is_empty


async def test_a_missing_key_is_a_problem_until_it_is_there(tmp_path: Path, restart: Any) -> None:
    environ: dict[str, str] = {}
    async with restart(tmp_path / "e", environ) as bench:
        panel = bench.panel()
        await panel.plug(0, "groq", {}, require_ready=False)
        assert "GROQ_API_KEY" in str(panel.slot(0).problem)
        environ["GROQ_API_KEY"] = "gsk_0123456789abcdefghij"
        slot = await panel.check_slot(0)
        assert "allow with --yes" in str(slot.problem), "the next reason: nobody has consented"
        await panel.aclose()


@pytest.mark.behaviour("SLOT-21")
def test_an_unknown_provider_lists_the_known_ones(panel: ProviderRegistry) -> None:
    with pytest.raises(ProviderNotFound, match=r"known are .*openai.*scripted"):
        panel.get_provider("nobody")


@pytest.mark.behaviour("SLOT-22")
async def test_the_default_provider(bench: Any, panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    with pytest.raises(NoCapableProvider, match=r"providers\.active"):
        panel.get_default_provider()
    await panel.plug(1, "scripted", role="embed")
    await panel.plug(2, "scripted")
    assert panel.get_default_provider() is panel.get_adapter(2), "documented: the first plugged chat slot"
    await panel.plug(3, "vllm", {"base_url": fake.base_url})
    panel.set_default_provider("vLLM")
    assert panel.get_default_provider().provider_id == "vllm"
    with pytest.raises(ProviderNotFound):
        panel.set_default_provider("nobody")
    named = bench.panel(default_provider="scripted")
    assert named.get_default_provider().provider_id == "scripted"
    await named.aclose()


@pytest.mark.behaviour("SLOT-23")
async def test_the_provider_for_a_requirement(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    await panel.plug(0, "openai-compat", {"base_url": fake.base_url})
    with pytest.raises(NoCapableProvider, match=r"slot 0 \(openai-compat\) is not known to have .*min_context"):
        panel.get_provider_for(CapabilityRequirement(min_context=10**9))
    await panel.plug(4, "scripted", script("x", max_context=10**9))
    found = panel.get_provider_for(CapabilityRequirement(streaming=True, tools=True, min_context=10**9))
    assert found is panel.get_adapter(4)


@pytest.mark.behaviour("SLOT-24")
async def test_handles_are_the_same_until_the_config_changes(panel: ProviderRegistry) -> None:
    idle = panel.get_provider("scripted")
    assert panel.get_provider("simulated") is idle
    assert await idle.forward("hello")
    await panel.plug(0, "scripted", script("one"))
    plugged = panel.get_provider("scripted")
    assert plugged is panel.get_adapter(0)
    assert plugged is not idle
    await panel.plug(0, "scripted", script("two"))
    assert panel.get_provider("scripted") is not plugged
    await panel.unplug(0)
    fresh = panel.get_provider("scripted")
    assert fresh is not idle
    assert await fresh.forward("hello") == "two"


async def test_a_cancelled_plug_leaves_nothing_behind(bench: Any, panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(everywhere=True, hang="before")
    plugging = asyncio.create_task(
        panel.plug(0, "openai-compat", {"base_url": fake.base_url, "api_key": "sk-cancelled-0123456789"})
    )
    await wait_until(lambda: fake.requests)
    plugging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await plugging
    assert panel.slot(0).is_empty
    assert bench.secrets.names() == []
    await wait_until(lambda: bench.tools.http.open_count == 0)


async def test_a_slow_plug_holds_up_no_other_slot(panel: ProviderRegistry, fake: FakeOpenAI) -> None:
    fake.behaviour = Behaviour(everywhere=True, hang="before")
    slow = asyncio.create_task(panel.plug(0, "openai-compat", {"base_url": fake.base_url}))
    await wait_until(lambda: fake.requests)
    async with asyncio.timeout(2):
        await panel.plug(1, "scripted")
        await panel.rename_slot(1, "quick")
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


async def test_operations_at_the_same_time_leave_one_true_panel(bench: Any) -> None:
    panel = bench.panel(size=8)
    for number in range(4):
        await panel.plug(number, "scripted", model=f"m{number}")
    jobs = [panel.swap_slots(a, b) for a in range(4) for b in range(4, 8)]
    jobs += [panel.mutate_slot(number, seed=number) for number in range(4)]
    jobs += [panel.rename_slot(number, "same") for number in range(8)]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert all(result is None or isinstance(result, JackfieldError | dict) for result in results)
    assert sum(slot.name == "same" for slot in panel.slots()) == 1
    models = sorted(slot.spec.model for slot in panel.slots() if slot.spec)
    assert models == ["m0", "m1", "m2", "m3"]
    assert len({slot.binding.live for slot in panel.plugged()}) == 4
    stored = {row.number: row.model for row in panel._board.store.load()}
    assert stored == {int(slot.number): slot.spec.model if slot.spec else None for slot in panel.slots()}
    await panel.aclose()


async def test_every_operation_is_an_event(panel: ProviderRegistry) -> None:
    async with panel.subscribe() as events:
        await panel.plug(0, "scripted", name="a", actor="alice")
        await panel.rename_slot(0, "b")
        await panel.clone_slot(0)
        await panel.swap_slots(0, 1)
        await panel.mutate_slot(0, temperature=1)
        await panel.unplug(1)
        await panel.undo()
        heard = [await asyncio.wait_for(anext(events), 1) for _ in range(7)]
    assert [(event.kind, event.slots) for event in heard] == [
        ("plug", (0,)),
        ("rename", (0,)),
        ("clone", (1,)),
        ("swap", (0, 1)),
        ("mutate", (0,)),
        ("unplug", (1,)),
        ("undo", (1,)),
    ]
    assert heard[0].actor == "alice"
    assert [event.seq for event in heard] == sorted({event.seq for event in heard})
    assert heard[-1].detail["undone"] == "unplug"


async def test_a_closed_panel_takes_no_more_operations(bench: Any) -> None:
    panel = bench.panel()
    await panel.plug(0, "scripted")
    await panel.aclose()
    await panel.aclose()
    with pytest.raises(ServiceFailed, match="closed"):
        await panel.plug(1, "scripted")
