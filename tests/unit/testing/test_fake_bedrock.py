"""AWS's own client against the fake: what it accepts, real code of theirs has read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from botocore.session import get_session

from jackfield.testing.fake_bedrock import FakeBedrock
from jackfield.testing.fake_server import Behaviour

ASKED = [{"role": "user", "content": [{"text": "Count to 5"}]}]
TOOLS = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": {"type": "object"}}}}]}


@pytest.fixture
async def fake() -> AsyncIterator[FakeBedrock]:
    async with FakeBedrock(("maker.a-model-v1:0",), profiles=("us.maker.a-model-v1:0",), require_key="AKID") as serving:
        yield serving


def _client(fake: FakeBedrock, service: str) -> Any:
    return get_session().create_client(
        service,
        region_name="us-east-1",
        endpoint_url=fake.root_url,
        aws_access_key_id="AKID",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5),
    )


async def _call(fake: FakeBedrock, name: str, service: str = "bedrock-runtime", **given: Any) -> Any:
    def work() -> Any:
        client = _client(fake, service)
        try:
            answer = getattr(client, name)(**given)
            if "stream" not in answer:
                return answer
            with closing(answer["stream"]) as stream:
                return [*stream]
        finally:
            client.close()

    return await asyncio.to_thread(work)


@pytest.mark.behaviour("BEDR-01", "TEST-07")
async def test_aws_s_client_reads_plain_answers_streams_and_calls(fake: FakeBedrock) -> None:
    model = "maker.a-model-v1:0"
    plain = await _call(fake, "converse", modelId=model, messages=ASKED)
    assert plain["output"]["message"]["content"] == [{"text": "1, 2, 3, 4, 5"}]
    events = await _call(fake, "converse_stream", modelId=model, messages=ASKED)
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert "".join(delta["text"] for delta in deltas) == "1, 2, 3, 4, 5"
    assert events[-1]["metadata"]["usage"] == plain["usage"]
    asked = [{"role": "user", "content": [{"text": "weather in Paris?"}]}]
    called = await _call(fake, "converse", modelId=model, messages=asked, toolConfig=TOOLS)
    assert called["stopReason"] == "tool_use"
    assert called["output"]["message"]["content"][0]["toolUse"]["input"] == {"city": "Paris"}
    counted = await _call(fake, "count_tokens", modelId=model, input={"converse": {"messages": ASKED}})
    assert counted["inputTokens"] == 3


async def test_aws_s_client_reads_both_lists(fake: FakeBedrock) -> None:
    models = await _call(fake, "list_foundation_models", "bedrock")
    assert [model["modelId"] for model in models["modelSummaries"]] == fake.models
    profiles = await _call(fake, "list_inference_profiles", "bedrock")
    assert [profile["inferenceProfileId"] for profile in profiles["inferenceProfileSummaries"]] == fake.profiles


async def test_aws_s_client_raises_what_the_fake_refuses(fake: FakeBedrock) -> None:
    with pytest.raises(ClientError) as unknown:
        await _call(fake, "converse", modelId="another", messages=ASKED)
    assert unknown.value.response["Error"]["Code"] == "ValidationException"
    fake.behaviour = Behaviour(error_after=2, message="engine died")
    with pytest.raises(EventStreamError, match="engine died"):
        await _call(fake, "converse_stream", modelId="maker.a-model-v1:0", messages=ASKED)
