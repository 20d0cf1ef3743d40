"""What holds for every call of every door: it is in the table and in the OpenAPI document, and a right request is answered."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from doors_table import CALLS, Call, dialect_calls
from jackfield.app.entrances import entrances
from jackfield.app.loading import stock_of
from jackfield.app.openapi.document import PARTS, document, read
from running_gateway import running_gateway
from whole_house import whole_house

UNKNOWN = ("/v1/responses/response_1", "/v1/files/file_1", "/v1/batches/batch_1")
"""Beginnings of paths of things that are not there in a house where nothing was made."""


@pytest.mark.behaviour("DOOR-20")
async def test_a_right_request_is_answered_as_the_document_says(tmp_path: Path) -> None:
    described = document()
    async with whole_house(tmp_path) as gateway:
        for call in CALLS:
            said = await gateway.http.request(
                call.method, call.path, content=call.content, headers={"content-type": call.content_type, **call.headers}
            )
            if call.path.startswith(UNKNOWN) or (call.method, call.path) == ("POST", "/v1/batches"):
                assert said.status_code in (400, 404), f"{call}: {said.text}"
                continue
            assert said.status_code in (200, 201, 202), f"{call}: {said.text}"
            if call.door not in ("control", "mcp"):
                kind = said.headers.get("content-type", "").partition(";")[0]
                check_answer(described, call, said.status_code, kind, said.content)


def check_answer(described: dict[str, Any], call: Call, status: int, kind: str, body: bytes) -> None:
    """Against the document: the content type is one of those described, and JSON is valid by its schema."""
    path = next(template for template in described["paths"] if is_at(template, call.path, call.method, described))
    answer = described["paths"][path][call.method.lower()]["responses"][str(status)]
    if "$ref" in answer:
        answer = described["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    content = answer.get("content", {})
    if not content:
        return
    media = content.get(kind) or content.get(f"{kind.partition('/')[0]}/*")
    assert media is not None, f"{call}: {kind} is none of {list(content)}"
    if kind == "application/json":
        schema = {**media["schema"], "components": described["components"]}
        Draft202012Validator(schema).validate(json.loads(body))


def is_at(template: str, path: str, method: str, described: dict[str, Any]) -> bool:
    if method.lower() not in described["paths"][template]:
        return False
    before, _, rest = template.partition("{")
    after = rest.partition("}")[2]
    if not rest:
        return template == path
    middle = path[len(before) : len(path) - len(after)] if after else path[len(before) :]
    return path.startswith(before) and path.endswith(after) and "/" not in middle and ":" not in middle


@pytest.mark.behaviour("DOOR-20")
async def test_every_route_is_in_the_document(tmp_path: Path) -> None:
    """In one of its spellings. A call that is new here needs its lines in src/jackfield/app/openapi/."""
    described = {(call.method, call.path) for call in dialect_calls()}
    async with running_gateway(tmp_path) as gateway:
        doors = entrances(gateway.house, stock_of(gateway.house))
    routes = {(method, path) for door in doors for path, methods in door.routes.items() for method in methods}
    assert {(method, path) for method, path in routes if not described & spellings(method, path)} == set()


def spellings(method: str, path: str) -> set[tuple[str, str]]:
    """The route itself, and as it is with the version that people leave out, double, or take another one of."""
    version, _, rest = path[1:].partition("/")
    others = (f"/v1{path}", f"/{rest}", f"/v1beta/{rest}") if version in ("v1", "v1beta", "v1alpha") else (f"/v1{path}",)
    return {(method, path), *((method, other) for other in others)}


async def test_the_document_is_served_and_valid(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        said = await gateway.http.get("/openapi.json")
        assert said.json() == document()
        assert said.json()["openapi"].startswith("3.1")
        control = await gateway.http.get(said.json()["externalDocs"]["url"])
        assert control.json()["info"]["title"] == "jackfield control"


def test_names_of_components_are_given_once_and_used() -> None:
    parts = [read(part).get("components", {}) for part in PARTS]
    named = [f"#/components/{kind}/{name}" for part in parts for kind, group in part.items() for name in group]
    assert len(named) == len(set(named))
    text = json.dumps(document())
    assert [name for name in named if f'"{name}"' not in text] == []
    components = document()["components"]
    given = {f"#/components/{kind}/{name}" for kind, group in components.items() for name in group}
    assert set(re.findall(r'"(#/components/[^"]+)"', text)) - given == set()


def test_calls_say_with_which_statuses_they_are_refused() -> None:
    told = {
        path: {status for status in item["get"]["responses"] if status >= "4"}
        for path, item in document()["paths"].items()
        if "get" in item
    }
    assert told["/v1/batches"] == {"400", "401", "403"}
    assert told["/v1/batches/{batch_id}"] == {"400", "401", "403", "404"}
    chat = document()["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert {"400", "404", "413", "429", "502", "503", "504"} < set(chat)
    assert chat["404"] == {"$ref": "#/components/responses/openai_404"}
