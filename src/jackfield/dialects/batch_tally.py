"""What the answers of a batch come to: their tokens, and the model that gave them. Pure.

Knows lines of answers as dialects/batch_lines.py has them, of chats, completions, responses and embeddings alike.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from jackfield.core.usage import Usage
from jackfield.dialects import openai_chat_usage, openai_responses_usage


class Tally(msgspec.Struct, frozen=True):
    """`model` is None where several answered, or none said its name."""

    usage: Usage
    model: str | None


class _Response(msgspec.Struct):
    body: msgspec.Raw


class _Line(msgspec.Struct):
    response: _Response


class _Named(msgspec.Struct):
    model: Any = None


_line = msgspec.json.Decoder(_Line).decode
_named = msgspec.json.Decoder(_Named).decode


def tally(lines: Iterable[bytes]) -> Tally:
    """Of lines with good answers. What one does not tell counts as none."""
    usage, models = Usage(), set()
    for line in lines:
        body = bytes(_line(line).response.body)
        for told in (openai_chat_usage.reply_usage(body), openai_responses_usage.reply_usage(body)):
            usage += told or Usage()
        models.add(_model(body))
    model = models.pop() if len(models) == 1 else None
    return Tally(usage, model)


def _model(body: bytes) -> str | None:
    try:
        model = _named(body).model
    except msgspec.ValidationError:
        return None
    return model if isinstance(model, str) and model else None
