"""Asks one provider inside this process, without a gateway: a panel of one slot, under the same consent rules.

Knows how to put that panel together from the settings; the asking itself is the slot's handle.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jackfield.app.cli.answers import Answer
from jackfield.app.cli.call import Call
from jackfield.app.cli.consent import with_consent

if TYPE_CHECKING:
    from jackfield.app.settings import Loaded
    from jackfield.providers.registry import Registrar
    from jackfield.slots.registry import ProviderRegistry


def ask_provider(
    call: Call,
    provider: str,
    config: Mapping[str, Any],
    model: str | None,
    prompt: str,
    options: Mapping[str, Any],
    on_text: Callable[[str], object] | None,
    *,
    yes: bool,
) -> Answer:
    """The answer of `provider`, its settings block completed by `config`; `on_text` None asks for it whole.

    Raises what plugging or asking raises; UsedWrongly where consent is needed and nobody can give it.
    """
    logging.getLogger("jackfield").addHandler(logging.NullHandler())  # what fails is said once, by the error itself
    loaded = call.load()
    spec = (provider, config, model)
    return with_consent(lambda consent: asyncio.run(_asked(loaded, spec, prompt, options, on_text, consent)), yes=yes)


async def _asked(
    loaded: "Loaded",
    spec: tuple[str, Mapping[str, Any], str | None],
    prompt: str,
    options: Mapping[str, Any],
    on_text: Callable[[str], object] | None,
    consent: bool,
) -> Answer:
    from jackfield.dialects.openai_chat_usage import encode_usage

    provider, config, model = spec
    async with panel(loaded) as (registrar, registry):
        provider_id = registrar.canonical(provider)
        is_allowed = consent or loaded.settings.providers.block(provider_id).consent == "allow"
        await registry.plug(0, provider_id, config, model=model, consent=is_allowed)
        handle = registry.get_adapter(0)
        assert handle is not None
        if on_text is None:
            done = await handle.ask(prompt, **options)
            return Answer(
                done.text,
                model=done.model,
                provider=done.provider,
                finish_reason=done.finish_reason,
                usage=encode_usage(done.usage) if done.usage else None,
                request_id=done.request_id,
            )
        pieces: list[str] = []
        async with contextlib.aclosing(handle.stream(prompt, **options)) as stream:
            async for piece in stream:
                pieces.append(piece)
                on_text(piece)
        binding = registry.slot(0).binding
        return Answer("".join(pieces), model=binding.model if binding is not None else model, provider=provider_id)


@contextlib.asynccontextmanager
async def panel(loaded: "Loaded") -> AsyncIterator[tuple["Registrar", "ProviderRegistry"]]:
    """A panel of one slot that lasts as long as the block and leaves nothing behind."""
    from jackfield.app.provider_blocks import ProviderBlocks
    from jackfield.app.settings_providers import installed
    from jackfield.slots.registry import ProviderRegistry
    from jackfield.slots.workbench import Toolbox
    from jackfield.store.secrets import SecretStore
    from jackfield.transport.egress import EgressGate
    from jackfield.transport.http1 import HttpClient
    from jackfield.transport.web import WebClient

    settings = loaded.settings
    async with contextlib.AsyncExitStack() as stack:
        gate = EgressGate(settings.mode, await asyncio.to_thread(_recorded_consents, settings.store_path))
        http, web = HttpClient(gate), WebClient(gate)
        stack.push_async_callback(http.aclose)
        secrets = SecretStore(settings.store_path / "secrets", loaded.environ)
        registrar = installed(settings.presets, settings.plugins)
        registry = ProviderRegistry(
            registrar,
            Toolbox(http, web, secrets, str(settings.models_path), loaded.environ),
            secrets=secrets,
            gate=gate,
            size=1,
            mode_is_fixed=loaded.origins.get("mode") != "default",
            complete=ProviderBlocks(loaded).complete,
        )
        stack.push_async_callback(registry.aclose)
        yield registrar, registry


def _recorded_consents(store: Path) -> Mapping[str, frozenset[str]]:
    """What a person has allowed before, to this gateway's store; nothing is written, and none is made."""
    from jackfield.app.compose import DATABASE
    from jackfield.store.consents import ConsentRepository
    from jackfield.store.engine import Database

    if not (store / DATABASE).exists():
        return {}
    database = Database(store / DATABASE)
    try:
        return ConsentRepository(database).load()
    finally:
        database.close()
