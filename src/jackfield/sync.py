"""jackfield for code without async: the same calls, waited for on one private loop thread.

Works in plain scripts and inside a running event loop alike (which it blocks meanwhile). Nothing made here is shared with
another loop: connections belong to the private one. Knows how to wait, not how to ask.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from jackfield.slots import loop_thread
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.loop_thread import close

__all__ = ["Provider", "ProviderManager", "close", "create_provider", "execute", "stream_execute"]

Parameters = Mapping[str, Any]


def execute(
    provider: "InferenceProviderAdapter | str",
    model: str | None,
    prompt: str,
    system_prompt: str | None = None,
    parameters: Parameters | None = None,
    *,
    config: Mapping[str, Any] | None = None,
) -> str:
    """The answer's text. `provider` is a handle, or a name for `create_provider` with `config`. Raises as `forward` does."""
    if isinstance(provider, str):
        with closing(create_provider(provider, config)) as made:
            return made.execute(model, prompt, system_prompt, parameters)
    return provider.execute(model, prompt, system_prompt, parameters)


def stream_execute(
    provider: "InferenceProviderAdapter | str",
    model: str | None,
    prompt: str,
    system_prompt: str | None = None,
    parameters: Parameters | None = None,
    *,
    config: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """The answer's text as it comes. Closing the generator cancels the request."""
    if isinstance(provider, str):
        with closing(create_provider(provider, config)) as made:
            yield from made.stream_execute(model, prompt, system_prompt, parameters)
    else:
        yield from provider.stream_execute(model, prompt, system_prompt, parameters)


def create_provider(name: str, config: Mapping[str, Any] | None = None, *, consent: bool = False) -> "Provider":
    """`jackfield.create_provider`, for use without await."""
    return Provider(_created(name, config, consent=consent))


class Provider:
    """A handle whose every call waits. `adapter` is the handle itself, on the private loop."""

    def __init__(self, adapter: InferenceProviderAdapter) -> None:
        self.adapter = adapter

    def __repr__(self) -> str:
        return f"<sync {self.adapter!r}>"

    def execute(
        self, model: str | None, prompt: str, system_prompt: str | None = None, parameters: Parameters | None = None
    ) -> str:
        """The answer's text."""
        return loop_thread.run(self.adapter.forward(prompt, **_options(model, system_prompt, parameters)))

    def stream_execute(
        self, model: str | None, prompt: str, system_prompt: str | None = None, parameters: Parameters | None = None
    ) -> Iterator[str]:
        """The answer's text as it comes. Closing the generator cancels the request."""
        options = _options(model, system_prompt, parameters)
        return loop_thread.run_stream(lambda: self.adapter.stream(prompt, **options))

    def embed(self, text: str) -> list[float]:
        return loop_thread.run(self.adapter.embed(text))

    def list_models(self) -> list[dict[str, Any]]:
        """Dicts with at least `id`. Raises Upstream errors."""
        return loop_thread.run(self.adapter.list_models())

    def validate_config(self) -> bool:
        """Is the key accepted and the source reachable? Spends no money."""
        return loop_thread.run(self.adapter.validate_config())

    def get_info(self) -> dict[str, Any]:
        return self.adapter.get_info()

    def get_metrics(self) -> dict[str, Any]:
        return self.adapter.get_metrics()

    def close(self) -> None:
        """Frees its sockets and memory. Idempotent."""
        loop_thread.forget(self.adapter.disconnect)
        loop_thread.run(self.adapter.disconnect())


class ProviderManager:
    """Providers by name, without await: see `jackfield.ProviderManager`."""

    def __init__(self) -> None:
        self._manager = _new_manager()

    def add_provider(self, name: str, config: Mapping[str, Any] | None = None, *, consent: bool = False) -> bool:
        """True; raises where the provider cannot be made, a ValueError for an unknown one."""
        self._manager.add_provider(name, config, consent=consent)
        return True

    def remove_provider(self, name: str) -> bool:
        removed: bool = loop_thread.run(self._manager.remove_provider(name))
        return removed

    def get_provider(self, name: str) -> Provider:
        """Raises ProviderNotFound."""
        return Provider(self._manager.get_provider(name))

    def list_providers(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self._manager.list_providers()
        return listed

    def execute(
        self,
        provider: str,
        model: str | None,
        prompt: str,
        system_prompt: str | None = None,
        parameters: Parameters | None = None,
    ) -> str:
        answer: str = loop_thread.run(self._manager.execute(provider, model, prompt, system_prompt, parameters))
        return answer

    def auto_execute(
        self, model: str, prompt: str, system_prompt: str | None = None, parameters: Parameters | None = None
    ) -> str:
        """Asks the provider that the model's name leads to."""
        answer: str = loop_thread.run(self._manager.auto_execute(model, prompt, system_prompt, parameters))
        return answer

    def list_all_models(self) -> dict[str, list[dict[str, Any]]]:
        models: dict[str, list[dict[str, Any]]] = loop_thread.run(self._manager.list_all_models())
        return models

    def get_all_info(self) -> dict[str, dict[str, Any]]:
        infos: dict[str, dict[str, Any]] = loop_thread.run(self._manager.get_all_info())
        return infos

    def close(self) -> None:
        """Removes all. Idempotent."""
        loop_thread.forget(self._manager.aclose)
        loop_thread.run(self._manager.aclose())


def _created(name: str, config: Mapping[str, Any] | None, *, consent: bool = False) -> InferenceProviderAdapter:
    """The composition root is loaded here, when it is first needed: it brings everything else."""
    from jackfield.app import library

    adapter = library.create_provider(name, config, consent=consent)
    loop_thread.at_close(adapter.disconnect)
    return adapter


def _new_manager() -> Any:
    from jackfield.app import library

    manager = library.ProviderManager()
    loop_thread.at_close(manager.aclose)
    return manager


def _options(model: str | None, system_prompt: str | None, parameters: Parameters | None) -> dict[str, Any]:
    given = {**(parameters or {}), "model": model, "system_prompt": system_prompt}
    return {name: value for name, value in given.items() if value}
