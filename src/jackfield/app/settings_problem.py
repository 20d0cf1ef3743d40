"""What is wrong with settings: where it stands, which key, and what to write instead. All problems of a load at once."""

import msgspec

from jackfield.core.errors import BadRequest


class Problem(msgspec.Struct, frozen=True):
    """`origin` is "file:line", "env NAME" or "flag --x"; `key` is dotted, "" for the file as a whole."""

    origin: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.key}: {self.message}" if self.key else f"{self.origin}: {self.message}"


class SettingsInvalid(BadRequest):
    """The settings cannot be used. `problems` holds every one that was found, at least one."""

    default_code = "settings_invalid"

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems), param=problems[0].key or None)
        self.problems = tuple(problems)
