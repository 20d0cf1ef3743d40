import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.profiles import BackendCapabilities, Capabilities, CapabilityRequirement, ModelProfile

NAMES = st.lists(st.text(min_size=1, max_size=8).filter(lambda name: bool(name.strip())), max_size=3).map(tuple)
KNOWN = st.none() | st.booleans()
COUNT = st.none() | st.integers(1, 10**7)
RECORDS = st.builds(
    Capabilities,
    streaming=st.booleans(),
    embeddings=st.booleans(),
    images=st.booleans(),
    max_context=COUNT,
    tools=KNOWN,
    vision=KNOWN,
    json_mode=KNOWN,
    system_messages=KNOWN,
    max_output_tokens=COUNT,
    default_model=st.none() | st.text(max_size=8),
    supported_models=NAMES,
    supported_tasks=NAMES,
    supports_batching=st.booleans(),
    max_batch_size=st.integers(1, 512),
    hardware_types=NAMES,
    protocols=NAMES,
)


@pytest.mark.behaviour("ADPT-07", "ADPT-08")
@given(RECORDS)
@settings(max_examples=100)
def test_the_record_round_trips_through_json_with_every_field(record: Capabilities) -> None:
    text = msgspec.json.encode(record)
    assert msgspec.json.decode(text, type=Capabilities) == record
    assert msgspec.json.decode(text).keys() == set(Capabilities.__struct_fields__)


@pytest.mark.behaviour("ADPT-07", "ADPT-08")
def test_one_record_carries_both_families_of_facts() -> None:
    assert BackendCapabilities is Capabilities
    flags = {"streaming", "embeddings", "images", "max_context"}
    extended = {"tools", "vision", "json_mode", "system_messages", "max_output_tokens", "supported_models", "default_model"}
    backend = {"supported_tasks", "supported_models", "max_batch_size", "supports_batching", "hardware_types", "protocols"}
    assert flags | extended | backend | {"prefill"} == set(Capabilities.__struct_fields__)


@pytest.mark.behaviour("ADPT-08")
@pytest.mark.parametrize("protocols", [("",), ("http", " ")])
def test_an_empty_protocol_is_refused(protocols: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="protocols"):
        Capabilities(protocols=protocols)
    with pytest.raises(msgspec.ValidationError, match="protocols"):
        msgspec.convert({"protocols": list(protocols)}, Capabilities)


@pytest.mark.behaviour("ADPT-08")
@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_of_less_than_one_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="max_batch_size"):
        Capabilities(max_batch_size=size)


@pytest.mark.behaviour("ADPT-07")
@pytest.mark.parametrize("flag", ["streaming", "embeddings", "images", "tools", "vision", "json_mode"])
def test_a_required_flag_excludes_who_lacks_it_and_who_does_not_know(flag: str) -> None:
    required = CapabilityRequirement(**{flag: True})  # type: ignore[arg-type]
    assert required.is_met_by(Capabilities(**{flag: True}))  # type: ignore[arg-type]
    assert required.unmet_by(Capabilities(**{flag: False})) == (flag,)  # type: ignore[arg-type]
    if flag in ("tools", "vision", "json_mode"):
        assert required.unmet_by(Capabilities()) == (flag,)


def test_context_task_and_model_are_needs_too() -> None:
    record = Capabilities(max_context=8192, supported_models=("a",), supported_tasks=("embedding",))
    assert CapabilityRequirement(min_context=8192, model="a", task="embedding").is_met_by(record)
    assert CapabilityRequirement(min_context=8193, model="b", task="ranking").unmet_by(record) == (
        "min_context",
        "task",
        "model",
    )
    assert CapabilityRequirement(model="any").is_met_by(Capabilities())
    assert CapabilityRequirement(min_context=1).unmet_by(Capabilities()) == ("min_context",)


def test_nothing_required_is_met_by_all() -> None:
    assert CapabilityRequirement().is_met_by(Capabilities(streaming=False, supported_tasks=()))


def test_a_model_profile_says_unknown_by_saying_nothing() -> None:
    assert msgspec.json.encode(ModelProfile("m")) == b'{"id":"m"}'
    assert ModelProfile("m").vision is None
