"""Which paths the Gemini door has, in every spelling that clients use, and whose clients it knows."""

from typing import Any

import pytest

from jackfield.doors.gemini.door import GeminiDoor


class Telling:
    """Stands for every handler: tells its client what was asked of it."""

    def __getattr__(self, name: str) -> Any:
        async def handler(client: Any, model: str = "") -> None:
            client.append((name, model))

        return handler

    async def __call__(self, client: Any, model: str) -> None:
        client.append(("count", model))


class Saying:
    def __init__(self, path: str, **headers: str) -> None:
        self.path = path
        self.headers = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}


DOOR = GeminiDoor(Telling(), Telling(), Telling(), Telling())  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["/v1beta", "/v1alpha", "/v1", "", "/v1beta/v1beta"])
@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("generateContent", "whole"),
        ("streamGenerateContent", "stream"),
        ("embedContent", "one"),
        ("batchEmbedContents", "batch"),
        ("countTokens", "count"),
    ],
)
@pytest.mark.parametrize("name", ["slot-0", "org/name", "llama3:8b", "use-case/coding", "héé"])
async def test_each_verb_of_each_name(version: str, verb: str, told: str, name: str) -> None:
    for written in (name, f"models/{name}"):
        found = DOOR.find(f"{version}/models/{written}:{verb}")
        assert found is not None
        asked: Any = []
        await found["POST"](asked)
        assert asked == [(told, name)]


@pytest.mark.parametrize("name", ["slot-0", "org/name:tag", "héé", "a b", "models/slot-0"])
async def test_one_model_by_its_name(name: str) -> None:
    found = DOOR.find(f"/v1beta/models/{name}")
    assert found is not None
    asked: Any = []
    await found["GET"](asked)
    assert asked == [("one", name.removeprefix("models/"))]


@pytest.mark.parametrize("path", ["/v1beta/models", "/v1beta/models/", "/v1/models", "/v1alpha/models"])
def test_the_list_of_models(path: str) -> None:
    found = DOOR.routes.get(path) or DOOR.find(path)
    assert found is not None
    assert list(found) == ["GET"]


@pytest.mark.parametrize("path", ["/v2/models/x", "/v1beta", "/v1beta/files", "/v1/v1/v1/models/x", "/v1beta/models/:"])
def test_other_paths_are_nobodys(path: str) -> None:
    found = DOOR.find(path)
    assert found is None or list(found) == ["GET"]
    error = DOOR.unknown("GET", path)
    assert (error.status, error.code) == (404, "unknown_path")
    assert "generateContent" in error.message


def test_its_clients_are_known_by_their_headers_or_by_what_they_call() -> None:
    def claims(path: str, **headers: str) -> bool:
        return DOOR.claims(Saying(path, **headers))  # type: ignore[arg-type]

    assert claims("/v1/models", x_goog_api_key="k")
    assert claims("/v1/models", x_goog_api_client="google-genai-sdk/3.4")
    assert claims("/v1/models/m:generateContent")
    assert not claims("/v1/models", authorization="Bearer k")
    assert not claims("/v1/models/m:tag")
