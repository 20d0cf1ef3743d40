"""Task-typed requests are the requests that everything else makes."""

from typing import Any

import pytest

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.requests import EmbedRequest, ModerateRequest, RerankRequest
from jackfield.routing.router import role_of
from jackfield.routing.tasks import task_request
from jackfield.slots.asking import asked


@pytest.mark.behaviour("PARM-15")
@pytest.mark.parametrize("task", ["text-generation", "chat", "Text_Generation", "conversational"])
def test_a_text_generation_task_is_the_request_of_a_prompt(task: str) -> None:
    assert task_request(task, "x") == asked("x", {}).request
    parameters = {"temp": 0.2, "num_predict": 9, "system": "short", "repeat_penalty": 1.1}
    made = task_request(task, "x", model="m", parameters=parameters, stream=True)
    assert made == asked("x", {**parameters, "model": "m"}, stream=True).request
    assert role_of(made) == "chat"


@pytest.mark.behaviour("PARM-15")
def test_messages_are_inputs_too() -> None:
    messages = [{"role": "user", "content": "x"}]
    assert task_request("chat", messages) == asked("x", {}).request


@pytest.mark.behaviour("PARM-15")
def test_other_tasks_are_their_own_requests() -> None:
    vectors = task_request("feature-extraction", ["a", "b"], model="m", parameters={"dimensions": 3, "user": "u"})
    assert vectors == EmbedRequest(("a", "b"), "m", 3, {"user": "u"})
    assert role_of(vectors) == "embed"
    assert task_request("embedding", "a") == EmbedRequest(("a",))
    assert task_request("classify", "a") == ModerateRequest(("a",))
    ranked = task_request("reranking", {"query": "q", "documents": ["a", "b"]}, parameters={"top_n": 1})
    assert ranked == RerankRequest("q", ("a", "b"), top_n=1)


@pytest.mark.parametrize(
    ("task", "inputs", "parameters", "param"),
    [
        ("chat", 3, {}, "inputs"),
        ("chat", [], {}, "inputs"),
        ("chat", "x", {"temperature": 9}, "temperature"),
        ("embed", [], {}, "inputs"),
        ("embed", [3], {}, "inputs"),
        ("embed", "x", {"dimensions": 0}, "dimensions"),
        ("rerank", "x", {}, "inputs"),
        ("rerank", {"query": "q", "documents": [3]}, {}, "inputs.documents"),
    ],
)
def test_a_mistake_names_its_field(task: str, inputs: Any, parameters: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        task_request(task, inputs, parameters=parameters)
    assert caught.value.param == param


def test_an_unknown_task_is_told_with_the_nearest() -> None:
    with pytest.raises(NotSupported, match="did you mean 'text-generation'"):
        task_request("text-generatio", "x")
