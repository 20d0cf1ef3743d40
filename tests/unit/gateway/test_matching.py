"""Which door a request is at: by its path, by its headers where doors share one, and whose error it gets."""

from types import SimpleNamespace
from typing import Any

import pytest

from jackfield.core.errors import JackfieldError, NotFound
from jackfield.gateway.matching import Doors, WrongMethod


async def answer(_: Any) -> None: ...
async def other(_: Any) -> None: ...


class Entrance:
    def __init__(self, name: str, header: bytes, roots: tuple[str, ...], routes: dict[str, Any]) -> None:
        self.name, self.header, self.roots, self.routes = name, header, roots, routes

    def find(self, path: str) -> Any:
        return {"GET": answer} if path.startswith(f"/{self.name}/models/") else None

    def claims(self, client: Any) -> bool:
        return self.header in client.headers

    def unknown(self, method: str, path: str) -> JackfieldError:
        return NotFound(f"{self.name} has no {method} {path}")

    def encode_error(self, error: JackfieldError) -> bytes:
        return error.message.encode()


ONE = Entrance("one", b"x-one", ("/v1/",), {"/v1/models": {"GET": answer}, "/chat": {"POST": answer}})
TWO = Entrance("two", b"x-two", ("/v1/messages", "/two/"), {"/v1/models": {"GET": other}})
DOORS = Doors([TWO, ONE], {"/health": {"GET": other}})


def at(path: str, method: str = "GET", *headers: bytes) -> Any:
    return SimpleNamespace(path=path, method=method, headers=dict.fromkeys(headers, b"1"))


@pytest.mark.parametrize(
    ("client", "door", "handler"),
    [
        (at("/chat", "POST"), ONE, answer),
        (at("/health"), ONE, other),
        (at("/health", "HEAD"), ONE, other),
        (at("/v1/models"), ONE, answer),
        (at("/v1/models", "GET", b"x-two"), TWO, other),
        (at("/two/models/x"), TWO, answer),
    ],
)
def test_the_door_and_its_handler(client: Any, door: Entrance, handler: Any) -> None:
    assert DOORS.find(client) == (door, handler)


@pytest.mark.parametrize(
    ("client", "door"),
    [
        (at("/nothing"), ONE),
        (at("/nothing", "GET", b"x-two"), TWO),
        (at("/v1/messages/batches"), TWO),
        (at("/v1/nothing", "GET", b"x-two"), ONE),
        (at("/two/else"), TWO),
    ],
)
def test_what_nobody_serves_is_told_by_the_nearest_door(client: Any, door: Entrance) -> None:
    found, error = DOORS.find(client)
    assert found is door
    assert isinstance(error, NotFound)


def test_a_wrong_method_names_the_right_ones() -> None:
    found, error = DOORS.find(at("/chat"))
    assert found is ONE
    assert isinstance(error, WrongMethod)
    assert (error.allowed, error.status) == ("POST", 405)


def test_a_path_that_names_a_model_is_looked_for_once() -> None:
    asked: list[str] = []

    class Counting(Entrance):
        def find(self, path: str) -> Any:
            asked.append(path)
            return super().find(path)

    doors = Doors([Counting("one", b"x-one", (), {})], {})
    assert doors.find(at("/one/models/a"))[1] is answer
    assert doors.find(at("/one/models/a"))[1] is answer
    assert isinstance(doors.find(at("/one/models/a", "POST"))[1], WrongMethod)
    assert doors.find(at("/one/models/b"))[1] is answer
    assert asked == ["/one/models/a", "/one/models/b"]
