"""The doors for other dialects, put into a gateway that is about to open, where the composition root has none of them."""

import time
from typing import Any

import pytest

from jackfield.app import compose
from jackfield.doors.anthropic import count as anthropic_count
from jackfield.doors.anthropic import models as anthropic_models
from jackfield.doors.anthropic.door import AnthropicDoor
from jackfield.doors.anthropic.messages import Messages
from jackfield.doors.gemini import count as gemini_count
from jackfield.doors.gemini import models as gemini_models
from jackfield.doors.gemini.door import GeminiDoor
from jackfield.doors.gemini.embed import Embed
from jackfield.doors.gemini.generate import Generate
from jackfield.gateway.matching import Doors
from jackfield.gateway.request_ids import RequestIds
from jackfield.gateway.token_count import TokenCount


def wire(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(compose, "entrances"):
        return
    plain = compose._root

    def root(house: Any) -> Any:
        made = plain(house)
        made._doors = Doors([*doors(house), *made._doors._doors], {})
        return made

    monkeypatch.setattr(compose, "_root", root)


def doors(house: Any) -> tuple[Any, ...]:
    ids, now = RequestIds("t"), time.time
    count = TokenCount(house.pipeline.resolve)
    return (
        AnthropicDoor(
            Messages(house.pipeline, ids, now),
            anthropic_count.CountTokens(count, ids, now),
            anthropic_models.Models(house.catalogue, lambda: house.started_at),
        ),
        GeminiDoor(
            Generate(house.pipeline, ids, now),
            Embed(house.pipeline, ids, now),
            gemini_count.CountTokens(count, ids, now),
            gemini_models.Models(house.catalogue),
        ),
    )
