"""A model loaded or unloaded by a request that asks it nothing: what Ollama's clients do before and after their work."""

from jackfield.core.contracts import LoadsModels
from jackfield.dialects import ollama


async def brought(provider: object, wish: ollama.LoadWish, model: str | None) -> None:
    """Into memory or out of it; a source that does neither has its models ready. Raises ModelNotFound."""
    if isinstance(provider, LoadsModels) and model is not None:
        await (provider.load_model(model) if wish == "load" else provider.unload_model(model))
