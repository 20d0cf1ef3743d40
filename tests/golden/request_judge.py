"""OpenAI's own types of requests, made strict enough to judge."""

import sys
from functools import cache
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter


@cache
def request_judge(kind: Any = CompletionCreateParams) -> TypeAdapter[Any]:
    """Validates a whole request body.

    The official types say Iterable, which pydantic checks only when it is read, and which a text passes for too: here it
    stands for a list.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("openai.types.") and hasattr(module, "Iterable"):
                patch.setattr(module, "Iterable", list)
        judge: TypeAdapter[Any] = TypeAdapter(kind)
        judge.rebuild(force=True)
    return judge


def responses_judge() -> TypeAdapter[Any]:
    return request_judge(ResponseCreateParams)
