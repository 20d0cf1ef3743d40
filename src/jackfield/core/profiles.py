"""Facts about models and providers: what they can take and give. Facts, not methods: methods are in core/contracts.py.

`None` always means "unknown", which is neither yes nor no: only a known "no" refuses a request.
"""

from typing import Any

import msgspec

DEFAULT_TASKS = ("text-generation",)


class ModelProfile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model. Token counts in tokens; `price_key` is looked up in money/prices.py; `source` says who told us and when.

    `size_bytes` is what it takes on a disk, `quantization` how its numbers are stored ("Q4_K_M").
    """

    id: str
    name: str | None = None
    description: str | None = None
    context_length: int | None = None
    max_output_tokens: int | None = None
    vision: bool | None = None
    audio: bool | None = None
    tools: bool | None = None
    json_mode: bool | None = None
    reasoning: bool | None = None
    embeddings: bool | None = None
    pricing: dict[str, Any] | None = None
    price_key: str | None = None
    source: str | None = None
    size_bytes: int | None = None
    quantization: str | None = None


class Capabilities(msgspec.Struct, frozen=True):
    """What a provider (with its configured model) can do, in one record; `streaming` to `max_context` are the adapter's flags.

    `prefill`: asked with a last message by the assistant, it goes on after it and does not repeat it.

    Raises ValueError on construction for an empty protocol name or a batch size below 1.
    """

    streaming: bool = True
    embeddings: bool = False
    images: bool = False
    max_context: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    json_mode: bool | None = None
    system_messages: bool | None = None
    max_output_tokens: int | None = None
    default_model: str | None = None
    supported_models: tuple[str, ...] = ()
    supported_tasks: tuple[str, ...] = DEFAULT_TASKS
    supports_batching: bool = False
    max_batch_size: int = 1
    hardware_types: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ("http",)
    prefill: bool | None = None

    def __post_init__(self) -> None:
        if self.max_batch_size < 1:
            raise ValueError(f"max_batch_size must be at least 1, got {self.max_batch_size}")
        if not all(name.strip() for name in self.protocols):
            raise ValueError("protocols must not hold an empty name")


BackendCapabilities = Capabilities


class CapabilityRequirement(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a request needs. `unmet_by` names every need that a record is known, or not known, to meet."""

    streaming: bool = False
    embeddings: bool = False
    images: bool = False
    tools: bool = False
    vision: bool = False
    json_mode: bool = False
    min_context: int | None = None
    task: str | None = None
    model: str | None = None

    def unmet_by(self, record: Capabilities) -> tuple[str, ...]:
        """Names of the needs that `record` does not state that it meets; empty when all are met."""
        flags = ("streaming", "embeddings", "images", "tools", "vision", "json_mode")
        unmet = [name for name in flags if getattr(self, name) and getattr(record, name) is not True]
        if self.min_context is not None and (record.max_context or 0) < self.min_context:
            unmet.append("min_context")
        if self.task is not None and self.task not in record.supported_tasks:
            unmet.append("task")
        if self.model is not None and record.supported_models and self.model not in record.supported_models:
            unmet.append("model")
        return tuple(unmet)

    def is_met_by(self, record: Capabilities) -> bool:
        return not self.unmet_by(record)
