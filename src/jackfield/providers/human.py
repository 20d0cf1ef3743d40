"""A person as a source: a question waits, with a deadline and a price, until somebody answers it.

Whoever runs the gateway answers with `jackfield answer` or the control API. Questions live in memory only and are gone when
their asker leaves. No model answers here, and nothing leaves this machine.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from secrets import token_hex
from typing import Any, ClassVar, Self

import msgspec

from jackfield.core.contracts import (
    AsksPeople,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
    Question,
)
from jackfield.core.errors import BadRequest, NotFound, Overloaded, TimedOut
from jackfield.core.events import Event
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest
from jackfield.core.usage import Usage
from jackfield.providers.command_line import asked_of, not_passed_on
from jackfield.providers.command_output import Pieces
from jackfield.providers.config import read_config
from jackfield.providers.fit import check_fit

MODEL = "person"
ANSWER_MAX_CHARS = 1_000_000


class HumanConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`deadline` seconds for an answer, at most `waiting` questions at once, `price_msat` for each that is answered."""

    deadline: float = 600.0
    waiting: int = 20
    price_msat: int = 0
    name: str = MODEL


class Human:
    """Somebody who answers when they can."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="human",
        type="local",
        display_name="A person",
        capabilities=Capabilities(
            streaming=False,
            tools=False,
            vision=False,
            json_mode=False,
            system_messages=True,
            default_model=MODEL,
            protocols=("person",),
        ),
        aliases=("person",),
        hint="answer with: jackfield answer",
        limits=("as slow as a person", "text only", "questions are gone when the gateway stops"),
        config_keys=HumanConfig.__struct_fields__,
    )

    def __init__(self, config: HumanConfig) -> None:
        self._config = config
        self._waiting: dict[str, tuple[Question, asyncio.Future[str]]] = {}
        self._prefix = token_hex(2)
        self._next = count(1).__next__
        self.capabilities = msgspec.structs.replace(self.card.capabilities, default_model=config.name)
        self.info = ProviderInfo(self.card.id, self.card.type, self.card.display_name)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """Raises BadRequest naming the key."""
        read, _ = read_config(HumanConfig, config, cls.card.id, {"timeout": "deadline", "model": "name"})
        for name, least in (("deadline", 0.001), ("waiting", 1), ("price_msat", 0)):
            if getattr(read, name) < least:
                raise BadRequest(f"{name} must be at least {least:g}", provider=cls.card.id, param=name)
        return cls(read)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """The question waits while the block is open."""
        system, prompt = asked_of(request, self.card.id)
        check_fit(request, self._config.name, self.card.id, self.capabilities, None)
        if len(self._waiting) >= self._config.waiting:
            raise Overloaded(
                f"{len(self._waiting)} questions are waiting for a person already: try again later",
                provider=self.card.id,
                code="queue_full",
                retry_after_s=60.0,
            )
        question = self._question(system, prompt)
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[question.id] = (question, told)
        events = self._events(told, not_passed_on(request.generation, "a person"))
        try:
            yield events
        finally:
            self._waiting.pop(question.id, None)
            await events.aclose()

    async def _events(self, told: asyncio.Future[str], warnings: list[str]) -> AsyncGenerator[Event, None]:
        try:
            async with asyncio.timeout(self._config.deadline):
                text = await told
        except TimeoutError:
            within_s = self._config.deadline
            raise TimedOut(f"nobody answered within {within_s:g} s", provider=self.card.id, code="nobody_answered") from None
        pieces = Pieces(self._config.name, warnings)
        pieces.usage = Usage(extra={"cost_msat": self._config.price_msat})
        for event in (*pieces.text(text), *pieces.end()):
            yield event

    def questions(self) -> tuple[Question, ...]:
        """Those that wait, the oldest first."""
        return tuple(question for question, told in self._waiting.values() if not told.done())

    def answer(self, question_id: str, text: str) -> None:
        """Raises NotFound for a question that nobody waits for (any more), BadRequest for an empty answer."""
        _, told = self._waiting.get(question_id, (None, None))
        if told is None or told.done():
            raise NotFound(f"no question {question_id!r} is waiting: jackfield answer lists them", param="question")
        if not text.strip() or len(text) > ANSWER_MAX_CHARS:
            raise BadRequest(f"an answer has 1 to {ANSWER_MAX_CHARS} characters", provider=self.card.id, param="text")
        told.set_result(text)

    async def probe(self) -> ProbeResult:
        """Nobody knows whether a person is there; that questions can be put is what can be told."""
        return ProbeResult(True, 0.0, f"{len(self.questions())} questions waiting", models=(self._config.name,))

    async def aclose(self) -> None:
        """Who waits is told that it is over."""
        for _, told in self._waiting.values():
            told.cancel()
        self._waiting.clear()

    def _question(self, system: str | None, prompt: str) -> Question:
        now = time.time()
        return Question(
            id=f"q-{self._prefix}-{self._next():x}",
            prompt=prompt,
            system=system,
            asked_at=now,
            due_at=now + self._config.deadline,
            price_msat=self._config.price_msat,
        )


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[Probes], type[AsksPeople]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return Human, Human, Human, Human
