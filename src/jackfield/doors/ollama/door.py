"""The Ollama door: its paths, whose clients it knows, and the shape of its errors."""

from jackfield.core.errors import JackfieldError, NotFound
from jackfield.dialects import ollama
from jackfield.doors.ollama.disk import Disk
from jackfield.doors.ollama.models import JSON, Models
from jackfield.gateway.client import Client
from jackfield.gateway.door import Door, Handler

TEXT = (b"content-type", b"text/plain; charset=utf-8")
API_VERSION = "0.33.0"
"""Of Ollama, whose API this is: clients refuse versions that are older than what they use."""
BASES = ("/api", "/v1")
"""What may stand before a path: Ollama's cloud ends its base URL in /api, other APIs end theirs in /v1."""


class OllamaDoor:
    """`answers` are the handlers of the calls that a pipeline serves, by their path."""

    roots = ("/api/",)

    def __init__(self, answers: dict[str, Handler], models: Models, disk: Disk) -> None:
        self.routes: dict[str, dict[str, Handler]] = {
            **{f"/{path}": {"POST": handler} for path, handler in answers.items()},
            "/api/show": {"POST": models.show},
            "/api/pull": {"POST": disk.pull},
            "/api/delete": {"DELETE": disk.delete},
            "/api/tags": {"GET": models.tags},
            "/api/ps": {"GET": models.ps},
            "/api/version": {"GET": _version},
            "/": {"GET": _greet},
        }
        self._served = ", ".join(f"{' '.join(methods)} {path}" for path, methods in self.routes.items())

    def find(self, path: str) -> dict[str, Handler] | None:
        """The methods of a path that is not in `routes`, or None. A base URL may end in /api, or as for others in /v1."""
        path = path.rstrip("/")
        for base in BASES:
            if path.startswith(f"{base}/api/"):
                return self.routes.get(path.removeprefix(base))
        return self.routes.get(path)

    def claims(self, client: Client) -> bool:
        """Ollama's own clients say who they are: ollama-python, ollama-js, and the program itself."""
        return client.headers.get(b"user-agent", b"").lower().startswith(b"ollama")

    def unknown(self, method: str, path: str) -> JackfieldError:
        """The error for a path that nothing here serves."""
        return NotFound(f"nothing here answers {method} {path}; served: {self._served}", code="unknown_path")

    encode_error = staticmethod(ollama.encode_error)


async def _greet(client: Client) -> None:
    """By these words clients know that Ollama is there."""
    await client.reply(200, [TEXT], b"Ollama is running")


async def _version(client: Client) -> None:
    await client.reply(200, [JSON], b'{"version":"%s"}' % API_VERSION.encode())


_satisfies: type[Door] = OllamaDoor
