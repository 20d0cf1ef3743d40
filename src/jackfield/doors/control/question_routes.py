"""The routes of people who are sources: which questions wait for somebody, and the answers to them."""

from typing import Annotated

import msgspec
from litestar.params import FromPath, JSONBody

from jackfield.core.contracts import AsksPeople, Question
from jackfield.core.errors import NotFound
from jackfield.doors.control.given import Held, change, look
from jackfield.doors.control.panel import ControlPanel


class WaitingQuestion(msgspec.Struct, frozen=True):
    """A question, and the slot that it was put to."""

    slot: int
    question: Question


class WaitingQuestions(msgspec.Struct, frozen=True):
    """The oldest first."""

    questions: tuple[WaitingQuestion, ...]


class AnswerBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: Annotated[str, msgspec.Meta(min_length=1)]


class Answered(msgspec.Struct, frozen=True):
    slot: int
    question: str


@look("/questions", summary="Questions that wait for a person")
async def list_questions(panel: Held) -> WaitingQuestions:
    waiting = [WaitingQuestion(slot, question) for slot, person in _people(panel) for question in person.questions()]
    return WaitingQuestions(tuple(sorted(waiting, key=lambda each: each.question.asked_at)))


@change("/questions/{question:str}/answer", summary="Answers a question that waits for a person")
async def answer_question(panel: Held, question: FromPath[str], data: JSONBody[AnswerBody]) -> Answered:
    for slot, person in _people(panel):
        if any(waiting.id == question for waiting in person.questions()):
            person.answer(question, data.text)
            return Answered(slot, question)
    raise NotFound(f"no question {question!r} is waiting: GET /control/v1/questions lists them", param="question")


def _people(panel: ControlPanel) -> list[tuple[int, AsksPeople]]:
    found: dict[int, tuple[int, AsksPeople]] = {}
    for slot in panel.registry.plugged():
        provider: object = None if slot.binding is None else slot.binding.live.provider
        if isinstance(provider, AsksPeople):
            found.setdefault(id(provider), (int(slot.number), provider))
    return list(found.values())


QUESTION_ROUTES = [list_questions, answer_question]
