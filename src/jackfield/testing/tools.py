"""What a provider is given at birth, for tests: a real HTTP client behind a real gate, and secrets from a dict."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from jackfield.core.errors import AuthFailed
from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import HttpClient


class DictSecrets:
    """Secrets by reference: `{"env:GROQ_API_KEY": "..."}`. Remembers what it was asked for."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        self.asked: list[str] = []

    def resolve(self, reference: str) -> str:
        self.asked.append(reference)
        if reference not in self._values:
            raise AuthFailed(f"nothing is behind {reference!r}: set it", param="api_key")
        return self._values[reference]


class FakeTools:
    """Satisfies ProviderTools. `web` is None: no provider of ours needs it yet."""

    def __init__(
        self,
        http: Any,
        secrets: Mapping[str, str] | None = None,
        models_dir: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.http = http
        self.web: Any = None
        self.secrets = DictSecrets(secrets)
        self.models_dir = models_dir
        self.environ: Mapping[str, str] = environ or {}


@asynccontextmanager
async def provider_tools(secrets: Mapping[str, str] | None = None, models_dir: str | None = None) -> AsyncIterator[FakeTools]:
    """Tools whose client reaches this machine only, and is closed when the block is left."""
    http = HttpClient(EgressGate())
    try:
        yield FakeTools(http, secrets, models_dir)
    finally:
        await http.aclose()
