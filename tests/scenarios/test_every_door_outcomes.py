"""What every door tells of an answer that came from elsewhere, and of an account without money."""

import json
from pathlib import Path
from typing import Any

import anthropic
import pytest
from openai import APIStatusError

from jackfield.testing.fake_server import Behaviour
from jackfield.testing.fakes import FakeOpenAI
from running_gateway import running_gateway

SPENT = Behaviour(status=402, message="your account has no money left", code="insufficient_quota")
DOWN = Behaviour(status=500, message="down")
TURN = [{"role": "user", "content": "Count to 3"}]
ASKED: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "chat": ("/v1/chat/completions", {"messages": TURN}, {}),
    "completions": ("/v1/completions", {"prompt": "Count to 3"}, {}),
    "responses": ("/v1/responses", {"input": "Count to 3"}, {}),
    "anthropic": ("/v1/messages", {"messages": TURN, "max_tokens": 50}, {"anthropic-version": "2023-06-01"}),
    "gemini": ("/v1beta/models/{model}:{verb}", {"contents": [{"role": "user", "parts": [{"text": "Count to 3"}]}]}, {}),
    "ollama": ("/api/chat", {"messages": TURN}, {}),
}
EACH_DOOR = pytest.mark.parametrize("door", ASKED)
EACH_WAY = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])


def asked(door: str, model: str, streamed: bool) -> dict[str, Any]:
    """What httpx is to send."""
    path, body, headers = ASKED[door]
    verb = "streamGenerateContent?alt=sse" if streamed else "generateContent"
    path = path.replace("{model}", model).replace("{verb}", verb)
    said = body if door == "gemini" else {**body, "model": model, "stream": streamed}
    return {"method": "POST", "url": path, "json": said, "headers": headers}


@pytest.mark.behaviour("DOOR-44")
@EACH_DOOR
@EACH_WAY
async def test_an_account_without_money_is_not_asked_again(tmp_path: Path, door: str, streamed: bool) -> None:
    async with FakeOpenAI(["small"], behaviour=SPENT) as fake, running_gateway(tmp_path) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="small")
        said = await gateway.http.request(**asked(door, "slot-0", streamed))
        assert (said.status_code, said.headers["x-should-retry"]) == (402, "false"), said.text
        assert "no money left" in said.text
        assert len([request for request in fake.requests if request.method == "POST"]) == 1


async def test_official_clients_take_no_for_an_answer_but_repeat_what_may_pass(tmp_path: Path) -> None:
    async with FakeOpenAI(["small"], behaviour=SPENT) as fake, running_gateway(tmp_path, routing={"retries": 0}) as gateway:
        await gateway.plug(0, "openai-compat", base_url=fake.base_url, model="small")
        theirs = anthropic.AsyncAnthropic(base_url=gateway.url, api_key="none", max_retries=2)
        async with gateway.openai() as client, theirs:
            with pytest.raises(APIStatusError):
                await client.with_options(max_retries=2).responses.create(model="slot-0", input="hi")
            with pytest.raises(anthropic.APIStatusError):
                await theirs.messages.create(model="slot-0", max_tokens=5, messages=[{"role": "user", "content": "hi"}])
        assert len([request for request in fake.requests if request.method == "POST"]) == 2
        fake.behaviour = DOWN
        said = await gateway.http.request(**asked("chat", "slot-0", streamed=False))
        assert "x-should-retry" not in said.headers


@pytest.mark.behaviour("DOOR-45")
@EACH_DOOR
@EACH_WAY
async def test_the_model_that_is_told_is_the_one_that_answered(tmp_path: Path, door: str, streamed: bool) -> None:
    routing = {"fallbacks": {"big": ["small"]}}
    async with (
        FakeOpenAI(["big"], behaviour=DOWN) as big,
        FakeOpenAI(["small"]) as small,
        running_gateway(tmp_path, routing=routing) as gateway,
    ):
        await gateway.plug(0, "openai-compat", base_url=big.base_url, model="big")
        await gateway.plug(1, "openai-compat", base_url=small.base_url, model="small")
        said = await gateway.http.request(**asked(door, "big", streamed))
        assert (said.status_code, said.headers.get("x-jackfield-slot")) == (200, "1"), said.text
        models = models_in(said.text)
        assert models, said.text
        assert set(models) == {"small"}
        assert any(request.method == "POST" for request in big.requests)
        assert gateway.rows()[0].model == "small"


def models_in(text: str) -> list[str]:
    """Every name of a model in an answer: of JSON, of SSE, or of lines of JSON."""
    lines = [line.removeprefix("data: ") for line in text.splitlines()]
    values = [json.loads(line) for line in lines if line.startswith("{")]
    found = []
    for value in values:
        for owner in (value, value.get("response"), value.get("message")):
            if isinstance(owner, dict):
                found += [owner[name] for name in ("model", "modelVersion") if name in owner]
    return found
