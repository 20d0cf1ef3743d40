"""Every fault is on the wire what its name says, as the official client, a TLS handshake and a bare socket see it."""

import asyncio
import contextlib
import json
import random
import socket
import ssl
import time
from typing import Any

import httpx2
import openai
import pytest

from jackfield.testing.fakes import Behaviour, FakeOpenAI
from jackfield.testing.faults import (
    AFTER_CONTENT,
    BEFORE_CONTENT,
    TRICKLE,
    UNRESOLVABLE,
    FaultyOpenAI,
    hanging_port,
    refusing_port,
    tls_port,
)

COUNT: Any = [{"role": "user", "content": "Count to 9"}]
WHOLE = "1, 2, 3, 4, 5, 6, 7, 8, 9"
PATIENCE_S = 0.3  # with those that fall silent
BOUND_S = 10.0


class Seen:
    """What a client saw: all the text that came, and how it ended."""

    def __init__(self) -> None:
        self.text = ""
        self.ended: str = "whole"
        self.finish_reason: str | None = None


async def look(fake: FakeOpenAI, *, stream: bool, messages: Any = COUNT, within_s: float = BOUND_S) -> Seen:
    """One request by the official client, which waits `within_s`."""
    seen = Seen()
    async with openai.AsyncOpenAI(base_url=fake.base_url, api_key="k", max_retries=0, timeout=within_s) as client:
        try:
            async with asyncio.timeout(within_s):
                if stream:
                    async for chunk in await client.chat.completions.create(model="fake-model", messages=messages, stream=True):
                        seen.text += chunk.choices[0].delta.content or ""
                        seen.finish_reason = chunk.choices[0].finish_reason or seen.finish_reason
                else:
                    reply = await client.chat.completions.create(model="fake-model", messages=messages)
                    if not hasattr(reply, "choices") or not reply.choices:
                        seen.ended = "not an answer"
                    else:
                        seen.text = reply.choices[0].message.content or ""
                        seen.finish_reason = reply.choices[0].finish_reason
        except (TimeoutError, openai.APITimeoutError):
            seen.ended = "silence"
        except openai.APIStatusError as error:
            seen.ended = str(error.status_code)
        except (openai.APIError, httpx2.HTTPError, ValueError) as error:  # some come through as they are
            seen.ended = type(error).__name__
    return seen


STATUSES = {
    "429": "429", "429 with retry-after": "429", "500": "500", "502": "502", "503": "503", "529": "529", "key refused": "401",
    "payment required": "402", "quota spent": "429", "model gone": "404", "context too long": "400", "content refused": "400",
}  # fmt: skip
SILENT = {"no answer", "slow first token", "slow first token, heartbeats", "stalled"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", BEFORE_CONTENT)
async def test_no_content_comes_before_the_fault(name: str, stream: bool) -> None:
    async with FakeOpenAI(behaviour=BEFORE_CONTENT[name]) as fake:
        seen = await look(fake, stream=stream, within_s=PATIENCE_S if name in SILENT else BOUND_S)
        assert seen.text == ""
        assert fake.asked == 1
        if name in STATUSES:
            assert seen.ended == STATUSES[name]
        elif name in SILENT:
            assert seen.ended == "silence"
            async with asyncio.timeout(2):
                await fake.disconnected.wait()
        elif name == "empty":
            assert (seen.ended, seen.finish_reason) == ("whole", "stop")
        else:
            assert seen.ended not in ("silence", *STATUSES.values())
            assert seen.finish_reason is None


@pytest.mark.parametrize("name", AFTER_CONTENT)
async def test_three_words_come_before_the_fault(name: str) -> None:
    is_silent = name.startswith("stalled")
    async with FakeOpenAI(behaviour=AFTER_CONTENT[name]) as fake:
        seen = await look(fake, stream=True, within_s=2 * PATIENCE_S if is_silent else BOUND_S)
        assert seen.text == "1, 2, 3, "
        assert (seen.ended == "silence") is is_silent
        assert seen.ended != "whole"
        assert seen.finish_reason is None


async def test_a_trickle_is_never_silent_and_never_done() -> None:
    async with FakeOpenAI(behaviour=TRICKLE) as fake:
        seen = await look(fake, stream=True, within_s=3 * PATIENCE_S)
    assert WHOLE.startswith(seen.text)
    assert seen.text != WHOLE


async def raw(fake: FakeOpenAI, body: dict[str, Any]) -> bytes:
    """All bytes of an answer until it ends, is cut or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
    data = json.dumps({"model": "fake-model", "messages": COUNT, **body}).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(data) + data)
    got = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while piece := await reader.read(65536):
                got += piece
    except TimeoutError:
        pass
    writer.close()
    await writer.wait_closed()
    return got


async def test_a_cut_body_is_shorter_than_it_said_and_a_truncated_one_is_not() -> None:
    async with FakeOpenAI(behaviour=BEFORE_CONTENT["cut"]) as fake:
        head, _, body = (await raw(fake, {})).partition(b"\r\n\r\n")
        assert int(head.partition(b"content-length: ")[2].split()[0]) > len(body) > 0
        fake.behaviour = BEFORE_CONTENT["malformed"]
        head, _, body = (await raw(fake, {})).partition(b"\r\n\r\n")
        assert int(head.partition(b"content-length: ")[2].split()[0]) == len(body)
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)


async def test_heartbeats_come_while_there_is_no_token() -> None:
    async with FakeOpenAI(behaviour=BEFORE_CONTENT["slow first token, heartbeats"]) as fake:
        got = await raw(fake, {"stream": True})
    assert got.count(b": still there\n\n") >= 2
    assert b"data:" not in got


async def test_a_slow_first_token_has_its_head_at_once_and_then_the_whole_answer() -> None:
    slow = Behaviour(first_event_delay_s=0.1, heartbeat_s=0.03)
    async with FakeOpenAI(behaviour=slow) as fake:
        for stream in (False, True):
            began = time.perf_counter()
            seen = await look(fake, stream=stream)
            assert time.perf_counter() - began >= 0.1
            assert (seen.text, seen.ended) == (WHOLE, "whole")


async def test_a_filtered_answer_says_so_in_its_finish_reason() -> None:
    async with FakeOpenAI(behaviour=Behaviour(is_empty=True, finish_reason="content_filter")) as fake:
        for stream in (False, True):
            seen = await look(fake, stream=stream)
            assert (seen.text, seen.finish_reason) == ("", "content_filter")


async def test_a_prefill_is_gone_on_with_refused_or_ignored() -> None:
    begun = [*COUNT, {"role": "assistant", "content": "1, 2, 3, "}]
    async with FakeOpenAI(prefill="goes on") as fake:
        assert (await look(fake, stream=True, messages=begun)).text == "4, 5, 6, 7, 8, 9"
        fake.prefill = "refuses"
        assert (await look(fake, stream=True, messages=begun)).ended == "400"
        assert (await look(fake, stream=True)).text == WHOLE


async def test_one_key_is_refused_and_another_is_not() -> None:
    async with FakeOpenAI(require_key="k") as fake:
        assert (await look(fake, stream=False)).ended == "whole"
        fake.require_key = "another"
        assert (await look(fake, stream=False)).ended == "401"
        assert fake.asked == 2


async def test_a_faulty_one_plays_its_share_and_counts() -> None:
    faults = {"500": BEFORE_CONTENT["500"], "empty": BEFORE_CONTENT["empty"]}
    async with FaultyOpenAI(faults, 0.5, random.Random(1)) as fake:
        async with openai.AsyncOpenAI(base_url=fake.base_url, api_key="k", max_retries=0) as client:
            for _ in range(40):
                with contextlib.suppress(openai.InternalServerError):
                    await client.chat.completions.create(model="fake-model", messages=COUNT)
        assert fake.asked == 40
        assert set(fake.played) == set(faults)
        assert 8 < fake.played.total() < 32


def _port(url: str) -> int:
    return int(url.rpartition(":")[2].removesuffix("/v1"))


def test_a_refusing_port_refuses_and_stays_taken() -> None:
    with refusing_port() as url:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", _port(url)), timeout=1).close()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", _port(url)))


def test_a_hanging_port_neither_takes_nor_refuses() -> None:
    with hanging_port() as url:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                socket.create_connection(("127.0.0.1", _port(url)), timeout=0.1).close()


async def test_a_port_that_served_can_refuse_or_hang() -> None:
    async with FakeOpenAI() as fake:
        await fake.stop()
        with refusing_port(fake.port) as url:
            assert url == fake.base_url
        with hanging_port(fake.port), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.open_connection("127.0.0.1", fake.port)


@pytest.mark.parametrize(
    ("kind", "failure"), [("untrusted", ssl.SSLCertVerificationError), ("plain", ssl.SSLError), ("mute", TimeoutError)]
)
async def test_tls_fails_in_its_own_way(kind: Any, failure: type[Exception]) -> None:
    async with tls_port(kind) as port:
        for _ in range(2):
            with pytest.raises(failure):
                async with asyncio.timeout(PATIENCE_S if kind == "mute" else BOUND_S):
                    await asyncio.open_connection("127.0.0.1", _port(port.base_url), ssl=ssl.create_default_context())
        assert (port.connections, port.requests) == (2, 0)


async def test_an_untrusted_certificate_is_good_for_whoever_trusts_it_anyway() -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    async with tls_port("untrusted") as port:
        _, writer = await asyncio.open_connection("127.0.0.1", _port(port.base_url), ssl=trusting)
        writer.write(b"hello")
        async with asyncio.timeout(2):
            while not port.requests:
                await asyncio.sleep(0.01)
        writer.close()
        await writer.wait_closed()


def test_the_unresolvable_name_has_no_address() -> None:
    host = UNRESOLVABLE.removeprefix("https://").removesuffix("/v1")
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(host, 443)
