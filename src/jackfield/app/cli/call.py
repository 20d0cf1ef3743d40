"""What every command shares: the common options, and one object that knows what was asked for and where to ask.

Options may stand before the command or after it. Nothing heavy is imported until a command needs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from jackfield.app.cli.gateway import Gateway
    from jackfield.app.settings import Loaded
    from jackfield.store.secrets import SecretStore

Json = Annotated[bool, typer.Option("--json", help="Machine-readable result on stdout.")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file to use.")]
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Gateway to talk to; else JACKFIELD_URL or the settings.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer yes to what would be asked.")]


@dataclass
class Wishes:
    """The common options as far as they are known; later ones go over earlier ones."""

    json: bool = False
    config: Path | None = None
    url: str | None = None
    environ: Mapping[str, str] | None = field(default=None, repr=False)

    def add(self, json: bool, config: Path | None, url: str | None) -> None:
        self.json = self.json or json
        self.config = config or self.config
        self.url = url or self.url


class Call:
    """One run of one command."""

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self.json = wishes.json
        self.config = wishes.config

    @classmethod
    def of(cls, ctx: typer.Context, *, json: bool = False, config: Path | None = None, url: str | None = None) -> "Call":
        wishes = ctx.find_root().ensure_object(Wishes)
        wishes.add(json, config, url)
        return cls(wishes)

    @cached_property
    def environ(self) -> Mapping[str, str]:
        from jackfield.app.settings import process_environment

        return process_environment() if self._wishes.environ is None else self._wishes.environ

    def load(self, flags: Mapping[str, Any] | None = None, *, with_providers: bool = True) -> "Loaded":
        """The settings. Without providers they are read quickly, and blocks about providers are not checked."""
        from jackfield.app.settings import load_settings
        from jackfield.app.settings_providers import installed_cards

        return load_settings(self._wishes.config, self.environ, flags, cards=installed_cards if with_providers else None)

    @cached_property
    def client_settings(self) -> "Loaded":
        return self.load(with_providers=False)

    @property
    def named_url(self) -> str | None:
        """The gateway that a person named, by --url or JACKFIELD_URL."""
        return self._wishes.url or self.environ.get("JACKFIELD_URL")

    @cached_property
    def gateway(self) -> "Gateway":
        """The gateway of --url, JACKFIELD_URL or the settings; ours gets the key that the settings refer to."""
        from jackfield.app.cli.gateway import Gateway

        named = self.named_url
        return Gateway(named or self._own_url(), self.environ.get("JACKFIELD_API_KEY") or (None if named else self._own_key()))

    def _own_url(self) -> str:
        server = self.client_settings.settings.server
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104 - read, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{server.port}"

    def _own_key(self) -> str | None:
        reference = self.client_settings.settings.server.api_key
        return self.secrets().resolve(reference) if reference else None

    def secrets(self) -> "SecretStore":
        from jackfield.store.secrets import SecretStore

        return SecretStore(self.client_settings.settings.store_path / "secrets", self.environ)
