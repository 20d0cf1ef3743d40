"""jackfield: every source of inference you can reach, plugged into numbered slots.

The public face. Importing it does no I/O and loads few modules; what is heavy is loaded when first used.
"""

from typing import Any

__version__ = "0.1.0"

# name -> (module, attribute there; "" is the module itself). What type checkers read is __init__.pyi.
_FACE = {
    "Capabilities": ("jackfield.core.profiles", "Capabilities"),
    "CapabilityRequirement": ("jackfield.core.profiles", "CapabilityRequirement"),
    "ChatRequest": ("jackfield.core.requests", "ChatRequest"),
    "Completion": ("jackfield.slots.completion", "Completion"),
    "EmbedRequest": ("jackfield.core.requests", "EmbedRequest"),
    "Generation": ("jackfield.core.requests", "Generation"),
    "InferenceProviderAdapter": ("jackfield.slots.adapter", "InferenceProviderAdapter"),
    "InferenceServiceConfig": ("jackfield.app.service_config", "InferenceServiceConfig"),
    "JackfieldError": ("jackfield.core.errors", "JackfieldError"),
    "Message": ("jackfield.core.messages", "Message"),
    "OperatingMode": ("jackfield.core.modes", "OperatingMode"),
    "ProviderManager": ("jackfield.app.library", "ProviderManager"),
    "ProviderRegistry": ("jackfield.slots.registry", "ProviderRegistry"),
    "UnifiedInferenceService": ("jackfield.app.service", "UnifiedInferenceService"),
    "create_provider": ("jackfield.app.library", "create_provider"),
    "errors": ("jackfield.core.errors", ""),
    "format_messages": ("jackfield.core.messages", "format_messages"),
    "start_unified_service": ("jackfield.app.service", "start_unified_service"),
    "sync": ("jackfield.sync", ""),
}
__all__ = [
    *_FACE,
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first asked for."""
    if name not in _FACE:
        raise AttributeError(f"module 'jackfield' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _FACE[name]
    loaded = import_module(module)
    found = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
