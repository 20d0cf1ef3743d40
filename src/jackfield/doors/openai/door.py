"""The OpenAI door: its paths, and the outermost handler that turns errors into OpenAI's error object.

People write base URLs with and without `/v1`, and some clients add a second one; all three reach the same routes.
"""

from collections.abc import Callable, Mapping
from functools import partial

from jackfield.core.errors import JackfieldError, NotFound
from jackfield.dialects import openai_chat
from jackfield.doors.openai.models import Models
from jackfield.gateway.client import Client
from jackfield.gateway.door import Door, Handler, Methods

PREFIXES = ("/v1", "", "/v1/v1")
Find = Callable[[str], Methods | None]
"""The methods of what follows in a path, or None."""


class OpenAIDoor:
    """`routes` maps each path to its methods; `find` also knows those with a parameter.

    `further` are the calls beside chat and models, by their path after the prefix; `by_id` finds those with an id in them, by
    the path before it ("files/").
    """

    roots = ("/v1/",)

    def __init__(
        self,
        chat: Handler,
        models: Models,
        further: Mapping[str, dict[str, Handler]] | None = None,
        by_id: Mapping[str, Find] | None = None,
    ) -> None:
        self._models = models
        finds: dict[str, Find] = {"models/": self._model, **(by_id or {})}
        self._finds = {f"{prefix}/{path}": find for prefix in PREFIXES for path, find in finds.items()}
        self.routes: dict[str, dict[str, Handler]] = {}
        served: dict[str, dict[str, Handler]] = {
            "chat/completions": {"POST": chat},
            "models": {"GET": models.list},
            **(further or {}),
        }
        self._served = [f"{' '.join(methods)} /v1/{path}" for path, methods in served.items()]
        for prefix in PREFIXES:
            self.routes |= {f"{prefix}/{path}": methods for path, methods in served.items()}

    def find(self, path: str) -> Methods | None:
        """The methods of a path that is not in `routes`, or None."""
        trimmed = self.routes.get(path.rstrip("/"))
        if trimmed is not None:
            return trimmed
        for start, find in self._finds.items():
            if path.startswith(start) and len(path) > len(start):
                return find(path[len(start) :])
        return None

    def _model(self, model: str) -> Methods:
        return {"GET": partial(self._models.one, model=model)}

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
