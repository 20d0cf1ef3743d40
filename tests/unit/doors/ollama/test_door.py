"""Which paths the Ollama door has, in every spelling that clients use, and whose clients it knows."""

from typing import Any

import pytest

from jackfield.doors.ollama.door import OllamaDoor


class Telling:
    """Stands for the handlers of the models."""

    def __getattr__(self, name: str) -> Any:
        async def handler(client: Any) -> None:
            client.append(name)

        return handler


class Saying:
    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}


async def answer(_: Any) -> None: ...


ANSWERS: Any = {"api/chat": answer, "api/generate": answer, "api/embed": answer, "api/embeddings": answer}
DOOR = OllamaDoor(ANSWERS, Telling(), Telling())  # type: ignore[arg-type]
METHODS = {
    "/api/chat": "POST",
    "/api/generate": "POST",
    "/api/embed": "POST",
    "/api/embeddings": "POST",
    "/api/show": "POST",
    "/api/pull": "POST",
    "/api/delete": "DELETE",
    "/api/tags": "GET",
    "/api/ps": "GET",
    "/api/version": "GET",
}


@pytest.mark.parametrize(("path", "method"), METHODS.items())
def test_each_spelling_of_a_path_leads_to_the_same_route(path: str, method: str) -> None:
    methods = DOOR.routes[path]
    assert list(methods) == [method]
    for written in (f"{path}/", f"/api{path}", f"/api{path}/", f"/v1{path}", f"/v1{path}/"):
        assert DOOR.find(written) is methods


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/api",
        "/api/api/api/chat",
        "/api/copy",
        "/api/create",
        "/api/push",
        "//",
        "/v1/chat",
        "/v1/api",
        "/v1/v1/api/chat",
    ],
)
def test_other_paths_are_nobodys(path: str) -> None:
    assert DOOR.find(path) is None
    error = DOOR.unknown("POST", path)
    assert (error.status, error.code) == (404, "unknown_path")
    assert "POST /api/chat" in error.message


@pytest.mark.parametrize(
    "agent", ["ollama-python/0.6.3 (x86_64 linux) Python/3.12.1", "ollama-js/0.6.4", "ollama/0.33.0 (arm64)"]
)
def test_its_clients_say_who_they_are(agent: str) -> None:
    assert DOOR.claims(Saying(user_agent=agent))  # type: ignore[arg-type]


@pytest.mark.parametrize("headers", [{}, {"user_agent": "curl/8.0"}, {"authorization": "Bearer ollama"}])
def test_others_do_not(headers: dict[str, str]) -> None:
    assert not DOOR.claims(Saying(**headers))  # type: ignore[arg-type]
