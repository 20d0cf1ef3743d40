"""The real Lemonade server behaves as the rest of the tests take for granted: it finds the tiny model and answers with it."""

import openai
import pytest

from engine_servers import EngineServer, get_json

pytestmark = pytest.mark.engine


def test_it_lists_the_tiny_model(lemonade: EngineServer) -> None:
    status, body = get_json(lemonade.root_url, "/v1/models")
    assert status == 200
    assert "tiny-llm" in [model["id"] for model in body["data"]]


def test_its_health_says_who_it_is(lemonade: EngineServer) -> None:
    status, body = get_json(lemonade.root_url, "/v1/health")
    assert status == 200
    assert body["status"] == "ok"
    assert "all_models_loaded" in body


def test_it_answers_and_streams(lemonade: EngineServer) -> None:
    with openai.OpenAI(base_url=lemonade.base_url, api_key="none", max_retries=0, timeout=30) as client:
        reply = client.chat.completions.create(
            model="tiny-llm", messages=[{"role": "user", "content": "ping"}], temperature=0, max_tokens=20
        )
        assert reply.choices[0].message.content == "pong"
        with client.chat.completions.create(
            model="tiny-llm", messages=[{"role": "user", "content": "Count to 5"}], temperature=0, max_tokens=40, stream=True
        ) as stream:
            text = "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
    assert text == "1, 2, 3, 4, 5"
