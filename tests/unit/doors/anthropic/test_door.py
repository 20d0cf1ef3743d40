"""Which paths the Anthropic door has, in every spelling that clients use, and whose clients it knows."""

from typing import Any

import pytest

from jackfield.doors.anthropic.door import AnthropicDoor


class Listing:
    """Stands for the models route."""

    async def list(self, client: Any) -> None: ...
    async def one(self, client: Any, model: str) -> None:
        client.append(model)


async def handler(_: Any) -> None: ...


class Saying:
    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}


DOOR = AnthropicDoor(handler, handler, Listing())  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", ["/v1", "", "/v1/v1"])
@pytest.mark.parametrize(("path", "method"), [("/messages", "POST"), ("/messages/count_tokens", "POST"), ("/models", "GET")])
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


@pytest.mark.parametrize("path", ["/v2/messages", "/v1/complete", "/v1", "/v1/messages/batches"])
def test_other_paths_are_nobodys(path: str) -> None:
    assert DOOR.find(path) is None
    error = DOOR.unknown("GET", path)
    assert (error.status, error.code) == (404, "unknown_path")
    assert "/v1/messages" in error.message


def test_its_clients_say_their_version() -> None:
    assert DOOR.claims(Saying(anthropic_version="2023-06-01"))  # type: ignore[arg-type]
    assert not DOOR.claims(Saying(x_api_key="k"))  # type: ignore[arg-type]
