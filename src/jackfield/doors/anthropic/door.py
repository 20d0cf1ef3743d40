"""The Anthropic door: its paths, whose clients it knows by their header, and the shape of its errors.

People write base URLs with and without `/v1`, and some clients add a second one; all three reach the same routes. A query
such as `?beta=true` is no part of a path.
"""

from functools import partial

from jackfield.core.errors import JackfieldError, NotFound
from jackfield.dialects import anthropic_messages
from jackfield.doors.anthropic.count import CountTokens
from jackfield.doors.anthropic.messages import Messages
from jackfield.doors.anthropic.models import Models
from jackfield.gateway.client import Client
from jackfield.gateway.door import Door, Handler

PREFIXES = ("/v1", "", "/v1/v1")
MODEL_PREFIXES = tuple(f"{prefix}/models/" for prefix in PREFIXES)
SIGN = b"anthropic-version"
TEXT = (b"content-type", b"text/plain; charset=utf-8")


class AnthropicDoor:
    """`routes` maps each path to its methods; `find` also knows the one path with a parameter."""

    roots = ("/v1/messages",)

    def __init__(self, messages: Messages, count: CountTokens, models: Models) -> None:
        self._models = models
        self.routes: dict[str, dict[str, Handler]] = {"/": {"GET": greet}}
        for prefix in PREFIXES:
            self.routes[f"{prefix}/messages"] = {"POST": messages}
            self.routes[f"{prefix}/messages/count_tokens"] = {"POST": count}
            self.routes[f"{prefix}/models"] = {"GET": models.list}

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
        """Every client of Anthropic's says which version of the API it speaks."""
        return SIGN in client.headers

    def unknown(self, method: str, path: str) -> JackfieldError:
        """The error for a path that nothing here serves."""
        return NotFound(
            f"nothing here answers {method} {path}; served: POST /v1/messages, POST /v1/messages/count_tokens, GET /v1/models",
            code="unknown_path",
        )

    encode_error = staticmethod(anthropic_messages.encode_error)


async def greet(client: Client) -> None:
    """Claude Code looks whether anybody is there before it sends anything."""
    await client.reply(200, [TEXT], b"jackfield is running\n")


_satisfies: type[Door] = AnthropicDoor
