"""Consent is asked for once, of a person, and only where a yes would help."""

import pytest

from jackfield.app.cli import output
from jackfield.app.cli.consent import with_consent
from jackfield.app.cli.failures import UsedWrongly
from jackfield.core.errors import ModeForbids

REFUSAL = "openai sends prompts to api.openai.com; allow with --yes (or consent: allow in the settings file)"


class Attempts:
    """Refuses without consent."""

    def __init__(self, message: str = REFUSAL) -> None:
        self.message = message
        self.given: list[bool] = []

    def __call__(self, consent: bool) -> str:
        self.given.append(consent)
        if not consent:
            raise ModeForbids(self.message)
        return "plugged"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    questions: list[str] = []

    def confirm(question: str, flag: str) -> bool:
        questions.append(f"{question}? ({flag})")
        return True

    monkeypatch.setattr(output, "confirm", confirm)
    return questions


def test_yes_answers_beforehand(asked: list[str]) -> None:
    attempt = Attempts()
    assert with_consent(attempt, yes=True) == "plugged"
    assert (attempt.given, asked) == ([True], [])


def test_a_person_is_asked_once(asked: list[str]) -> None:
    attempt = Attempts()
    assert with_consent(attempt, yes=False) == "plugged"
    assert attempt.given == [False, True]
    assert asked == ["openai sends prompts to api.openai.com; allow? (--yes)"]


def test_what_no_yes_can_change_is_not_asked(asked: list[str]) -> None:
    with pytest.raises(ModeForbids, match="airgapped"):
        with_consent(Attempts("openai sends prompts to api.openai.com, and airgapped mode lets nothing out"), yes=False)
    assert asked == []


def test_a_no_is_the_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "confirm", lambda question, flag: False)
    attempt = Attempts()
    with pytest.raises(ModeForbids):
        with_consent(attempt, yes=False)
    assert attempt.given == [False]


def test_nobody_to_ask_is_an_error_that_names_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "can_ask", lambda: False)
    with pytest.raises(UsedWrongly, match="--yes answers yes"):
        with_consent(Attempts(), yes=False)
