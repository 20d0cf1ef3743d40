"""The Gemini door: its paths, whose clients it knows, and the shape of its errors.

A path ends in what is done with a model (`/v1beta/models/NAME:generateContent`), and names may have slashes and colons. People
write base URLs with and without the version, and some clients add a second one; all reach the same routes.
"""

import re
from functools import partial
from typing import Protocol

from jackfield.core.errors import JackfieldError, NotFound
from jackfield.dialects import gemini
from jackfield.doors.gemini.count import CountTokens
from jackfield.doors.gemini.embed import Embed
from jackfield.doors.gemini.generate import Generate
from jackfield.doors.gemini.models import Models
from jackfield.gateway.client import Client
from jackfield.gateway.door import Door, Handler

LISTS = ("/v1beta/models", "/v1alpha/models", "/v1/models", "/v1beta/v1beta/models")
SIGNS = (b"x-goog-api-key", b"x-goog-api-client")
_MODEL = re.compile(r"(?:/v1(?:beta|alpha)?){0,2}/models/(?P<name>.+)", re.DOTALL)


class OfModel(Protocol):
    """A handler that is told the model of the path."""

    async def __call__(self, client: Client, model: str) -> None: ...


class GeminiDoor:
    """`routes` maps the paths without parameters to their methods; `find` knows all that name a model."""

    roots = ("/v1beta/", "/v1alpha/")

    def __init__(self, generate: Generate, embed: Embed, count: CountTokens, models: Models) -> None:
        self._models = models
        self._verbs: dict[str, OfModel] = {
            "generateContent": generate.whole,
            "streamGenerateContent": generate.stream,
            "embedContent": embed.one,
            "batchEmbedContents": embed.batch,
            "countTokens": count,
        }
        self.routes: dict[str, dict[str, Handler]] = {path: {"GET": models.list} for path in LISTS}

    def find(self, path: str) -> dict[str, Handler] | None:
        """The methods of a path that names a model, or None."""
        trimmed = self.routes.get(path.rstrip("/"))
        if trimmed is not None:
            return trimmed
        found = _MODEL.fullmatch(path)
        if found is None:
            return None
        name, _, verb = found["name"].rpartition(":")
        if name and verb in self._verbs:
            return {"POST": partial(self._verbs[verb], model=gemini.bare_model(name))}
        return {"GET": partial(self._models.one, model=gemini.bare_model(found["name"]))}

    def claims(self, client: Client) -> bool:
        """Google's clients say who they are by their headers; others call for something that only this dialect has."""
        if any(name in client.headers for name in SIGNS):
            return True
        return client.path.rpartition(":")[2] in self._verbs

    def unknown(self, method: str, path: str) -> JackfieldError:
        """The error for a path that nothing here serves."""
        verbs = ", ".join(self._verbs)
        return NotFound(
            f"nothing here answers {method} {path}; served: POST /v1beta/models/MODEL:VERB ({verbs}), GET /v1beta/models",
            code="unknown_path",
        )

    encode_error = staticmethod(gemini.encode_error)


_satisfies: type[Door] = GeminiDoor
