import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from jackfield.core.errors import AuthFailed, BadRequest, ModelNotFound, NotSupported, Overloaded, RateLimited
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import ImagePart, Message, text_message
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.bedrock import Bedrock
from jackfield.testing.fake_bedrock import FakeBedrock
from jackfield.testing.fake_server import Behaviour, Recorded
from jackfield.testing.tools import FakeTools, provider_tools

ACCESS, SECRET, SESSION = "AKIAFAKEFAKEFAKE1234", "wJalrXUtnFEMI/K7MDENG+bPxRfi", "FwoGZXIvYXdzEFAKE"
KEYS = {"access_key": "env:A", "secret_key": "env:S", "session_token": "env:T"}
MODEL = "us.maker.a-model-v1:0"
PING = ChatRequest((text_message("user", "ping"),), stream=True)


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:A": ACCESS, "env:S": SECRET, "env:T": SESSION, "env:KEY": "an-api-key-itself"}) as made:
        yield made


@pytest.fixture
async def fake() -> AsyncIterator[FakeBedrock]:
    async with FakeBedrock(("maker.a-model-v1:0",), profiles=(MODEL, "eu.maker.a-model-v1:0"), page_size=1) as serving:
        yield serving


def _made(fake: FakeBedrock, tools: FakeTools, **config: Any) -> Bedrock:
    return Bedrock.create({"base_url": fake.root_url, "model": MODEL, **KEYS, **config}, tools)


async def _reply(provider: Bedrock, request: ChatRequest = PING) -> ChatReply:
    async with asyncio.timeout(10), provider.open(request) as events:
        return await fold(events)


def _judged(request: Recorded, fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> str:
    """The Authorization that botocore makes for the same request at the same moment."""
    at = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    monkeypatch.setattr(auth, "get_current_datetime", lambda: at)
    made = AWSRequest(method=request.method, url=f"{fake.root_url}{request.path}", data=request.body)
    signer: Any = auth.SigV4Auth(Credentials(ACCESS, SECRET, SESSION), "bedrock", "us-east-1")
    signer.add_auth(made)
    return str(made.headers["Authorization"])


@pytest.mark.behaviour("PROV-32", "BEDR-05")
async def test_every_request_is_signed_as_botocore_would_sign_it(
    fake: FakeBedrock, tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = _made(fake, tools)
    assert (await _reply(provider)).text == "pong"
    assert fake.last.path == "/model/us.maker.a-model-v1%3A0/converse-stream"
    await provider.list_models()
    await provider.count_tokens(PING)
    assert len(fake.requests) == 5
    for request in fake.requests:
        assert request.headers["authorization"] == _judged(request, fake, monkeypatch)
        assert request.headers["x-amz-security-token"] == SESSION


@pytest.mark.behaviour("PROV-32")
async def test_a_key_of_bedrock_s_own_is_a_bearer_token(fake: FakeBedrock, tools: FakeTools) -> None:
    keys = dict.fromkeys(KEYS)
    await _reply(_made(fake, tools, api_key="env:KEY", **keys))
    assert fake.last.headers["authorization"] == "Bearer an-api-key-itself"
    await _reply(_made(fake, tools, **keys))
    assert "authorization" not in fake.last.headers


async def test_the_usual_variables_are_read_for_aws_only() -> None:
    usual = {"env:AWS_ACCESS_KEY_ID": ACCESS, "env:AWS_SECRET_ACCESS_KEY": SECRET}
    async with provider_tools(usual) as tools:
        assert Bedrock.create({}, tools).info.hosts == ("bedrock-runtime.us-east-1.amazonaws.com:443",)
        tools.secrets.asked.clear()
        Bedrock.create({"base_url": "http://127.0.0.1:1"}, tools)
        assert tools.secrets.asked == []
    async with provider_tools({"env:AWS_BEARER_TOKEN_BEDROCK": "token"}) as tools:
        Bedrock.create({"aws_region": "cn-north-1"}, tools)
    async with provider_tools({"env:AWS_ACCESS_KEY_ID": ACCESS}) as tools:
        with pytest.raises(AuthFailed, match="secret_key") as told:
            Bedrock.create({}, tools)
        assert told.value.provider == "bedrock"


@pytest.mark.behaviour("PROV-32", "ROAD-10")
async def test_where_a_region_is_busy_the_next_one_answers_with_its_own_signature(fake: FakeBedrock, tools: FakeTools) -> None:
    async with FakeBedrock((MODEL,)) as second:
        endpoints = {"us-east-1": fake.root_url, "eu-west-1": second.root_url}
        provider = _made(fake, tools, base_url=None, regions=["eu-west-1"], endpoints=endpoints)
        fake.behaviour = Behaviour(status=503)
        assert (await _reply(provider)).text == "pong"
        assert "/eu-west-1/bedrock/aws4_request" in second.last.headers["authorization"]
        assert second.last.body == fake.last.body
        second.behaviour = Behaviour(status=429)
        with pytest.raises((RateLimited, Overloaded)):
            await _reply(provider)


async def test_models_and_profiles_of_all_pages_are_listed(fake: FakeBedrock, tools: FakeTools) -> None:
    models = await _made(fake, tools).list_models()
    assert [model.id for model in models] == ["maker.a-model-v1:0", MODEL, "eu.maker.a-model-v1:0"]
    assert [model.vision for model in models] == [True, True, True]
    assert (await _made(fake, tools).probe()).is_ready
    assert await _made(fake, tools).count_tokens(ChatRequest((text_message("user", "one two three"),))) == 3


async def test_a_model_must_be_named(fake: FakeBedrock, tools: FakeTools) -> None:
    provider = _made(fake, tools, model=None)
    with pytest.raises(BadRequest, match="no model is named"):
        await _reply(provider)
    with pytest.raises(ModelNotFound):
        await _reply(provider, msgspec.structs.replace(PING, model="arn:aws:bedrock:us-east-1::foundation-model/x"))
    assert fake.last.path == "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fx/converse-stream"


async def test_the_type_of_an_error_may_stand_in_a_header_or_the_body(fake: FakeBedrock, tools: FakeTools) -> None:
    fake.behaviour = Behaviour(status=403, message="The security token included in the request is invalid.")
    with pytest.raises(AuthFailed):
        await _reply(_made(fake, tools))
    fake.behaviour = Behaviour(status=400, message="Input is too long.", code="ThrottlingException")
    with pytest.raises(RateLimited):
        await _reply(_made(fake, tools))


async def test_keys_are_never_shown(fake: FakeBedrock, tools: FakeTools, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "jackfield")
    provider = _made(fake, tools)
    fake.behaviour = Behaviour(status=403, message=f"{ACCESS} with {SECRET} and {SESSION} may not")
    with pytest.raises(AuthFailed) as told:
        await _reply(provider)
    shown = f"{told.value} {provider!r} {caplog.text}"
    assert not any(secret in shown for secret in (ACCESS, SECRET, SESSION))


async def test_what_cannot_be_sent_is_told(fake: FakeBedrock, tools: FakeTools) -> None:
    picture = Message("user", (ImagePart(url="https://example.com/a.png"),))
    with pytest.raises(NotSupported, match="s3://"):
        await _reply(_made(fake, tools), ChatRequest((picture,)))
    seeded = msgspec.structs.replace(PING, generation=Generation(seed=1))
    assert (await _reply(_made(fake, tools), seeded)).extra["warnings"] == ["seed: left out, the source does not take it"]
    with pytest.raises(NotSupported, match="seed"):
        await _reply(_made(fake, tools, strict=True), seeded)
