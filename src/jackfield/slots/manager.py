"""ProviderManager: providers by name, without slots. Add, remove, ask one, or let the model's name choose.

Who answers `auto_execute` is looked up, in this order: the provider that lists the model (in the order they were added),
then the rules of model_names.toml. In local_only and airgapped mode nothing outside this machine is chosen.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from jackfield.core.errors import JackfieldError, ModelNotFound, ProviderNotFound
from jackfield.core.modes import OperatingMode
from jackfield.core.parameters import did_you_mean
from jackfield.slots.adapter import InferenceProviderAdapter
from jackfield.slots.model_names import suggested
from jackfield.slots.plugging import is_on_this_machine
from jackfield.slots.standalone import Maker

LOOK_WITHIN_S = 3.0


class ProviderManager:
    """`within_s`: how long one provider may take to tell its models or its state before it is shown with an error."""

    def __init__(self, maker: Maker, *, within_s: float = LOOK_WITHIN_S) -> None:
        self._maker = maker
        self._within_s = within_s
        self._adapters: dict[str, InferenceProviderAdapter] = {}

    def add_provider(
        self, name: str, config: Mapping[str, Any] | None = None, *, consent: bool = False
    ) -> InferenceProviderAdapter:
        """Adds a provider under `name`: its id or alias, or any name with the id under `provider` in the config.

        Replaces one of the same name. Raises UnknownProvider (a ValueError), BadRequest, AuthFailed, ModeForbids.
        """
        given = dict(config or {})
        provider = given.pop("provider", None) or name
        adapter = self._maker.create(str(provider), given, consent=consent)
        self._adapters[name] = adapter
        return adapter

    def add_adapter(self, name: str, adapter: InferenceProviderAdapter) -> None:
        """Adds a handle that exists already."""
        self._adapters[name] = adapter

    async def remove_provider(self, name: str) -> bool:
        """Closes and forgets it; False if there was none."""
        adapter = self._adapters.pop(name, None)
        if adapter is None:
            return False
        await adapter.disconnect()
        return True

    def get_provider(self, name: str) -> InferenceProviderAdapter:
        """Raises ProviderNotFound "Provider not found", listing the names."""
        adapter = self._adapters.get(name)
        if adapter is None:
            names = self.provider_ids()
            raise ProviderNotFound(
                f"Provider not found: {name!r}{did_you_mean(name, names)}; added are {', '.join(names) or 'none'}",
                param="provider",
            )
        return adapter

    def provider_ids(self) -> list[str]:
        """Names in the order in which they were added."""
        return list(self._adapters)

    def list_providers(self) -> list[dict[str, Any]]:
        """Name, id, type, display name and availability of each, from memory."""
        return [
            {
                "name": name,
                "id": adapter.provider_id,
                "type": adapter.provider_type,
                "display_name": adapter.display_name,
                "available": adapter.is_available(),
            }
            for name, adapter in self._adapters.items()
        ]

    async def execute(
        self,
        provider: str,
        model: str | None,
        prompt: str,
        system_prompt: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> str:
        """The answer's text from one provider. Raises ProviderNotFound, and what the provider raises."""
        return await self.get_provider(provider).forward(prompt, **_options(model, system_prompt, parameters))

    async def stream_execute(
        self,
        provider: str,
        model: str | None,
        prompt: str,
        system_prompt: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[str, None]:
        """The answer's text piece by piece."""
        async for text in self.get_provider(provider).stream(prompt, **_options(model, system_prompt, parameters)):
            yield text

    async def auto_execute(
        self,
        model: str,
        prompt: str,
        system_prompt: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> str:
        """`execute` with the provider chosen by the model's name. Raises ModelNotFound where none fits."""
        return await self.execute(await self.choose(model), model, prompt, system_prompt, parameters)

    async def choose(self, model: str) -> str:
        """The name of the provider that `auto_execute` would ask. The same question, the same answer."""
        allowed = [name for name in self._adapters if self._is_allowed(name)]
        listings = await asyncio.gather(*(self._listed(name) for name in allowed))
        for name, listing in zip(allowed, listings, strict=True):
            if any(item.get("id") == model for item in listing if "error" not in item):
                return name
        for provider_id in suggested(model):
            for name in allowed:
                if self._adapters[name].provider_id == provider_id:
                    return name
        kept_out = [name for name in self._adapters if name not in allowed]
        why = f" ({', '.join(kept_out)} would leave this machine, which the operating mode forbids)" if kept_out else ""
        raise ModelNotFound(
            f"no added provider is known to serve {model!r}{why}: add one that does, or name the provider with execute",
            param="model",
        )

    async def list_all_models(self) -> dict[str, list[dict[str, Any]]]:
        """Every provider's models by name. One that is down hides no other: its list holds one entry with `error`."""
        names = self.provider_ids()
        listings = await asyncio.gather(*(self._listed(name) for name in names))
        return dict(zip(names, listings, strict=True))

    async def get_all_info(self) -> dict[str, dict[str, Any]]:
        """What `get_info` says of each, after a look at all at the same time; `error` where the look failed."""
        names = self.provider_ids()
        infos = await asyncio.gather(*(self._info(self._adapters[name]) for name in names))
        return dict(zip(names, infos, strict=True))

    async def aclose(self) -> None:
        """Removes all. Idempotent."""
        for name in self.provider_ids():
            await self.remove_provider(name)

    def _is_allowed(self, name: str) -> bool:
        if self._maker.gate.mode is OperatingMode.BURST:
            return True
        return all(is_on_this_machine(host) for host in self._adapters[name].hosts)

    async def _listed(self, name: str) -> list[dict[str, Any]]:
        try:
            async with asyncio.timeout(self._within_s):
                return await self._adapters[name].list_models()
        except TimeoutError:
            return [{"id": name, "error": f"listed no models within {self._within_s:g} s: look whether it hangs"}]
        except JackfieldError as error:
            return [{"id": name, "error": str(error)}]

    async def _info(self, adapter: InferenceProviderAdapter) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._within_s):
                status = await adapter.health()
        except TimeoutError:
            late = f"did not answer within {self._within_s:g} s: look whether it hangs"
            return {**adapter.get_info(), "status": "unhealthy", "error": late}
        except JackfieldError as error:
            return {**adapter.get_info(), "status": "unhealthy", "error": str(error)}
        info = {**adapter.get_info(), "status": str(status.status), "latency_s": status.latency_s}
        if status.status not in ("healthy", "degraded"):
            info["error"] = status.detail
        return info


def _options(model: str | None, system_prompt: str | None, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    options = dict(parameters or {})
    if model:
        options["model"] = model
    if system_prompt:
        options["system_prompt"] = system_prompt
    return options
