"""One source asked for what it does beside chat, inside this process and without a gateway: shared by the commands that do so.

Plugs the provider with its settings block into a panel of one slot, under the same consent rules as everywhere, and hands out
what the command needs of it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from jackfield.app.cli.call import Call, Config, Json, Yes
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


_OPTIONS: Mapping[str, Any] = {
    "provider": Provider,
    "model": Model,
    "base_url": BaseUrl,
    "api_key_env": KeyEnv,
    "settings": Set,
    "yes": Yes,
    "json": Json,
    "config": Config,
}
_SWITCHES = frozenset({"yes", "json"})


def asks_source(*, takes_model: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """For a command that asks one source: it gets the options that say which, as one argument, `source`.

    `takes_model` adds --model, for commands that do not name a model in another way. A command that has `provider` itself
    keeps it.
    """

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        own = {name: each for name, each in signature(command, eval_str=True).parameters.items() if name != "source"}
        names = [name for name in _OPTIONS if name not in own and (takes_model or name != "model")]

        @wraps(command)
        def run(ctx: typer.Context, **given: Any) -> None:
            options = {name: given.pop(name) for name in names}
            options.setdefault("provider", given.get("provider"))
            command(**given, source=Source.of(ctx, **options))

        added = [_keyword(name, _OPTIONS[name], default=False if name in _SWITCHES else None) for name in names]
        kept = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in own.values()]
        run.__signature__ = Signature([_keyword("ctx", typer.Context), *kept, *added])  # type: ignore[attr-defined]
        return run

    return wrap


def _keyword(name: str, annotation: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


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
        ctx: typer.Context,
        *,
        provider: str | None,
        base_url: str | None,
        api_key_env: str | None,
        settings: Sequence[str] | None,
        yes: bool,
        json: bool,
        config: Path | None,
        model: str | None = None,
    ) -> "Source":
        call = Call.of(ctx, json=json, config=config)
        return cls(call, provider, provider_config(settings, base_url=base_url, api_key_env=api_key_env), model, yes)

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
