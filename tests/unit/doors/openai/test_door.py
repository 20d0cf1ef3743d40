"""Which paths the OpenAI door has, in every spelling that clients use."""

from typing import Any

import pytest

from jackfield.doors.openai.door import OpenAIDoor


class Listing:
    """Stands for the models route."""

    async def list(self, client: Any) -> None: ...
    async def one(self, client: Any, model: str) -> None:
        client.append(model)


async def chat(_: Any) -> None: ...


DOOR = OpenAIDoor(chat, Listing())  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", ["/v1", "", "/v1/v1"])
@pytest.mark.parametrize(("path", "method"), [("/chat/completions", "POST"), ("/models", "GET")])
def test_each_prefix_leads_to_the_same_route(prefix: str, path: str, method: str) -> None:
    assert list(DOOR.routes[prefix + path]) == [method]
    assert DOOR.find(prefix + path + "/") is DOOR.routes[prefix + path]


@pytest.mark.parametrize("name", ["slot-0", "org/name:tag", "héé", "a b"])
async def test_one_model_by_its_name(name: str) -> None:
    found = DOOR.find(f"/v1/models/{name}")
    assert found is not None
    asked: Any = []
    await found["GET"](asked)
    assert asked == [name]


@pytest.mark.parametrize("path", ["/", "", "/v2/models", "/v1/completions", "/v1", "/v1/chat"])
def test_other_paths_are_nobodys(path: str) -> None:
    assert DOOR.find(path) is None
    error = DOOR.unknown("GET", path)
    assert (error.status, error.code) == (404, "unknown_path")
    assert "/v1/chat/completions" in error.message
