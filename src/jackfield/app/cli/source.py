"""One source asked for what it does beside chat, inside this process and without a gateway: shared by the commands that do so.

Plugs the provider with its settings block into a panel of one slot, under the same consent rules as everywhere, and hands out
what the command needs of it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from jackfield.app.cli.call import Call
from jackfield.app.cli.consent import with_consent
from jackfield.app.cli.given import provider_config

Done = TypeVar("Done")

Provider = Annotated[
    str | None,
    typer.Option("--provider", "-p", help="The source to ask (id or alias); default: providers.active of the settings."),
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="The model to ask; default: the source's own.")]
BaseUrl = Annotated[str | None, typer.Option("--base-url", metavar="URL", help="Where the source is.")]
KeyEnv = Annotated[str | None, typer.Option("--api-key-env", metavar="NAME", help="The variable that holds its key.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the source; repeatable.")]


@dataclass(frozen=True)
class Source:
    """Which source a command asks, and how to reach it."""

    call: Call
    provider: str | None
    config: Mapping[str, Any]
    model: str | None
    yes: bool

    @classmethod
    def of(
        cls,
        call: Call,
        provider: str | None,
        *,
        model: str | None = None,
        base_url: str | None = None,
        api_key_env: str | None = None,
        words: Sequence[str] | None = None,
        yes: bool = False,
    ) -> "Source":
        return cls(call, provider, provider_config(words, base_url=base_url, api_key_env=api_key_env), model, yes)

    def ask(self, kind: Any, verb: str, work: Callable[[Any], Awaitable[Done]]) -> Done:
        """What `work` gives for the live source. Raises NotSupported where it does not satisfy the protocol `kind`.

        `verb` says for a person what it then cannot do.
        """
        import asyncio
        import logging

        logging.getLogger("jackfield").addHandler(logging.NullHandler())  # what fails is said once, by the error itself
        return with_consent(lambda consent: asyncio.run(self._asked(kind, verb, work, consent)), yes=self.yes)

    async def _asked(self, kind: Any, verb: str, work: Callable[[Any], Awaitable[Done]], consent: bool) -> Done:
        from jackfield.app.cli.in_process import panel
        from jackfield.core.errors import BadRequest, NotSupported

        loaded = self.call.load()
        wanted = self.provider or loaded.settings.providers.active
        if wanted is None:
            raise BadRequest("say which source to ask: --provider ID, or set providers.active", param="--provider")
        async with panel(loaded) as (registrar, registry):
            provider_id = registrar.canonical(wanted)
            is_allowed = consent or loaded.settings.providers.block(provider_id).consent == "allow"
            await registry.plug(0, provider_id, self.config, model=self.model, consent=is_allowed, require_ready=False)
            binding = registry.slot(0).binding
            live: object = None if binding is None else binding.live.provider
            if not isinstance(live, kind):
                raise NotSupported(f"{provider_id} cannot {verb}: jackfield providers show {provider_id}", provider=provider_id)
            return await work(live)
