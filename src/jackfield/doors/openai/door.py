"""The OpenAI door: its paths, and the outermost handler that turns errors into OpenAI's error object.

People write base URLs with and without `/v1`, and some clients add a second one; all three reach the same routes.
"""

from collections.abc import Mapping
from functools import partial

from jackfield.core.errors import JackfieldError, NotFound
from jackfield.dialects import openai_chat
from jackfield.doors.openai.models import Models
from jackfield.gateway.client import Client
from jackfield.gateway.door import Door, Handler

PREFIXES = ("/v1", "", "/v1/v1")
MODEL_PREFIXES = tuple(f"{prefix}/models/" for prefix in PREFIXES)


class OpenAIDoor:
    """`routes` maps each path to its methods; `find` also knows the one path with a parameter.

    `further` are the calls beside chat and models, by their path after the prefix.
    """

    roots = ("/v1/",)

    def __init__(self, chat: Handler, models: Models, further: Mapping[str, dict[str, Handler]] | None = None) -> None:
        self._models = models
        self.routes: dict[str, dict[str, Handler]] = {}
        served: dict[str, dict[str, Handler]] = {
            "chat/completions": {"POST": chat},
            "models": {"GET": models.list},
            **(further or {}),
        }
        self._served = [f"{' '.join(methods)} /v1/{path}" for path, methods in served.items()]
        for prefix in PREFIXES:
            self.routes |= {f"{prefix}/{path}": methods for path, methods in served.items()}

    def find(self, path: str) -> dict[str, Handler] | None:
        """The methods of a path that is not in `routes`, or None."""
        trimmed = self.routes.get(path.rstrip("/"))
        if trimmed is not None:
            return trimmed
        for prefix in MODEL_PREFIXES:
            if path.startswith(prefix) and len(path) > len(prefix):
                return {"GET": partial(self._models.one, model=path[len(prefix) :])}
        return None

    def claims(self, client: Client) -> bool:
        """Whoever says nothing else is taken for one of OpenAI's clients."""
        return True

    def unknown(self, method: str, path: str) -> JackfieldError:
        """The error for a path that nothing here serves."""
        return NotFound(
            f"nothing here answers {method} {path}; served: {', '.join(self._served)}, /health, /status",
            code="unknown_path",
        )

    encode_error = staticmethod(openai_chat.encode_error)


_satisfies: type[Door] = OpenAIDoor
