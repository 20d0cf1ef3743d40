import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from jackfield.core.contracts import ProviderCard, RawReply
from jackfield.core.errors import AuthFailed, BadRequest, JackfieldError, ModelNotFound, Overloaded, RateLimited, Unavailable
from jackfield.providers.http_config import HttpConfig
from jackfield.providers.http_source import HttpSource
from jackfield.providers.refusal import read_refusal
from jackfield.providers.regions import COOL_S, Region, Regions
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.fakes import FakeOpenAI
from jackfield.testing.tools import FakeTools, provider_tools

CARD = ProviderCard(id="several", type="api", display_name="Several")
BODY = b'{"model": "fake-model", "messages": [{"role": "user", "content": "ping"}]}'


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools() as made:
        yield made


@pytest.fixture
async def fakes() -> AsyncIterator[list[FakeOpenAI]]:
    async with FakeOpenAI() as first, FakeOpenAI() as second:
        yield [first, second]


async def _refuse(reply: RawReply) -> JackfieldError:
    return await read_refusal(reply, CARD.id)


def _regions(fakes: list[FakeOpenAI], tools: FakeTools, clock: Clock | None = None) -> Regions:
    def made(index: int, fake: FakeOpenAI) -> Region:
        async def sign(method: str, path: str, body: bytes) -> Mapping[str, str]:
            return {"x-signed": f"{method} {path} {len(body)} {index}"}

        return Region(f"r{index}", HttpSource(CARD, HttpConfig(), {}, tools.http, _refuse, root=fake.base_url), sign)

    return Regions([made(index, fake) for index, fake in enumerate(fakes)], clock or Clock())


async def _ask(regions: Regions) -> bytes:
    async with asyncio.timeout(10):
        return await (await regions.post("chat/completions", BODY, model="m")).read()


def _asked(fakes: list[FakeOpenAI]) -> list[int]:
    return [fake.asked for fake in fakes]


@pytest.mark.behaviour("ROAD-10")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
async def test_where_one_region_is_busy_the_next_answers_the_same_request(
    status: int, fakes: list[FakeOpenAI], tools: FakeTools
) -> None:
    fakes[0].behaviour = Behaviour(status=status)
    assert b"pong" in await _ask(_regions(fakes, tools))
    assert fakes[0].last.body == fakes[1].last.body == BODY
    assert fakes[1].last.headers["x-signed"] == f"POST chat/completions {len(BODY)} 1"


async def test_a_region_that_failed_is_passed_over_for_a_while(fakes: list[FakeOpenAI], tools: FakeTools) -> None:
    clock = Clock()
    regions = _regions(fakes, tools, clock)
    fakes[0].behaviour = Behaviour(status=503)
    await _ask(regions)
    await _ask(regions)
    assert _asked(fakes) == [1, 2]
    fakes[0].behaviour = Behaviour()
    clock.now += COOL_S + 1
    await _ask(regions)
    assert _asked(fakes) == [2, 2]


async def test_a_region_that_is_away_is_passed_over_too(fakes: list[FakeOpenAI], tools: FakeTools) -> None:
    await fakes[0].stop()
    assert b"pong" in await _ask(_regions(fakes, tools))


async def test_when_all_fail_the_last_says_why_and_all_are_asked_again(fakes: list[FakeOpenAI], tools: FakeTools) -> None:
    regions = _regions(fakes, tools)
    fakes[0].behaviour, fakes[1].behaviour = Behaviour(status=503), Behaviour(status=429, retry_after="7")
    for _ in range(2):
        with pytest.raises(RateLimited) as limited:
            await _ask(regions)
        assert limited.value.retry_after_s == 7
    assert _asked(fakes) == [2, 2]


@pytest.mark.parametrize(("status", "expected"), [(400, BadRequest), (401, AuthFailed)])
async def test_a_request_that_is_wrong_everywhere_is_asked_once(
    status: int, expected: type[JackfieldError], fakes: list[FakeOpenAI], tools: FakeTools
) -> None:
    fakes[0].behaviour = Behaviour(status=status)
    with pytest.raises(expected):
        await _ask(_regions(fakes, tools))
    assert _asked(fakes) == [1, 0]


async def test_a_model_that_one_region_lacks_may_be_in_another_and_the_region_stays_well(
    fakes: list[FakeOpenAI], tools: FakeTools
) -> None:
    regions = _regions(fakes, tools)
    fakes[0].models = ["another"]
    await _ask(regions)
    await _ask(regions)
    assert _asked(fakes) == [2, 2]
    fakes[1].models = ["another"]
    with pytest.raises(ModelNotFound):
        await _ask(regions)


async def test_looks_take_turns_as_well(fakes: list[FakeOpenAI], tools: FakeTools) -> None:
    fakes[0].behaviour = Behaviour(status=503, everywhere=True)
    reply = await _regions(fakes, tools).get("models", operation="list")
    assert b"fake-model" in await reply.read()
    fakes[1].behaviour = Behaviour(status=500, everywhere=True)
    with pytest.raises(Unavailable):
        await _regions(fakes, tools).get("models", operation="list")


async def test_who_cannot_sign_is_told_with_the_provider_s_name(fakes: list[FakeOpenAI], tools: FakeTools) -> None:
    async def sign(method: str, path: str, body: bytes) -> Mapping[str, str]:
        raise AuthFailed("no credentials")

    source = HttpSource(CARD, HttpConfig(), {}, tools.http, _refuse, root=fakes[0].base_url)
    with pytest.raises(AuthFailed) as refused:
        await _ask(Regions([Region("r", source, sign)]))
    assert refused.value.provider == "several"
    assert _asked(fakes) == [0, 0]


async def test_hosts_are_told_once_each(fakes: list[FakeOpenAI], tools: FakeTools) -> None:
    regions = _regions([*fakes, fakes[0]], tools)
    assert regions.hosts == tuple(f"127.0.0.1:{fake.port}" for fake in fakes)
    await regions.aclose()
    assert regions.first.name == "r0"
    assert isinstance(regions.failed(Overloaded("x"), "chat", None), Overloaded)
