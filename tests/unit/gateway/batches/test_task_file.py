"""A file of requests, checked as a whole, its bodies read when their turn comes."""

import json
from pathlib import Path
from typing import Any

import pytest

from jackfield.core.errors import BadRequest
from jackfield.dialects.batch_lines import CHAT_URL
from jackfield.gateway.batches.task_file import PROBLEMS_KEPT, TaskFile


def task(custom_id: str, **body: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": CHAT_URL, "body": {"model": "m", "messages": [], **body}}


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def test_bodies_are_read_by_their_places(tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", task("a"), task("b", n=2))
    path.write_text("\n" + path.read_text() + "\n \n")
    with TaskFile.read(path, bare=False) as file:
        assert not file.problems
        assert [(one.custom_id, one.number, one.has_model) for one in file.tasks] == [("a", 2, True), ("b", 3, True)]
        assert json.loads(file.body(file.tasks[1]))["n"] == 2
        path.write_text(path.read_text().replace("{", "[", 1))
        with pytest.raises(BadRequest, match="line 2 was changed"):
            file.body(file.tasks[0])


def test_no_further_request_is_read_than_may_be(tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", task("a"), task("b"), task("c"), "rubbish")
    with TaskFile.read(path, bare=False, most=2) as file:
        assert [(problem.line, problem.code) for problem in file.problems] == [(3, "too_many_requests")]


def test_of_many_problems_the_first_are_kept(tmp_path: Path) -> None:
    with TaskFile.read(written(tmp_path / "in.jsonl", *["x"] * 500), bare=False) as file:
        assert (len(file.problems), file.problem_count, file.problems[-1].line) == (PROBLEMS_KEPT, 500, PROBLEMS_KEPT)


def test_whole_lines_name_a_model_and_are_chats_where_they_say_so(tmp_path: Path) -> None:
    lines = (task("a", model=None), task("b", messages="hi"), task("c" * 513))
    with TaskFile.read(written(tmp_path / "in.jsonl", *lines), bare=False) as file:
        assert [problem.param for problem in file.problems] == ["body.model", "body.messages", "custom_id"]
    with TaskFile.read(written(tmp_path / "in.jsonl", task("a", model=None)), bare=True) as file:
        assert [one.has_model for one in file.tasks] == [False]
