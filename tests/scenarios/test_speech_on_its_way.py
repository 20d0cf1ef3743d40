"""Speech is sent on while it is made: the official SDK hears the beginning before the source has said the end."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI

from jackfield.testing.fake_openai import FakePlatform
from jackfield.testing.fake_server import Behaviour, Recorded, Wire
from running_gateway import Gateway, running_gateway

KEY = "sk-canary-0123456789abcdef"
FIRST, LAST = b"ID3" + b"a" * 500, b"b" * 300
WITHIN_S = 10.0


class Speaker(FakePlatform):
    """Says FIRST, waits for `may_go_on`, and says LAST; or breaks off there where it `breaks`. `was_left`: the client went."""

    def __init__(self) -> None:
        super().__init__(["tts"], require_key=KEY)
        self.may_go_on = asyncio.Event()
        self.was_left = asyncio.Event()
        self.breaks = False
        self.spoken = 0

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        if not request.path.endswith("/audio/speech"):
            return await super().serve(request, behaviour, wire)
        self.spoken += 1
        await wire.begin(200, {"content-type": "audio/mpeg"})
        await wire.piece(FIRST)
        while not self.may_go_on.is_set():
            if not await wire.waits(0.02):
                self.was_left.set()
                return False
        if self.breaks:
            return False
        await wire.piece(LAST)
        return await wire.end()


@contextlib.asynccontextmanager
async def speaking(folder: Path) -> AsyncIterator[tuple[Gateway, Speaker, AsyncOpenAI]]:
    async with Speaker() as speaker, running_gateway(folder, {"MY_KEY": KEY}) as gateway, gateway.openai() as client:
        await gateway.plug(0, "openai", base_url=speaker.base_url, api_key="env:MY_KEY", model="tts")
        async with asyncio.timeout(WITHIN_S):
            yield gateway, speaker, client


ASKED: Any = {"model": "slot-0", "voice": "alloy", "input": "hello"}


@pytest.mark.behaviour("DOOR-43")
async def test_the_first_of_it_is_heard_before_the_last_was_said(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (gateway, speaker, client):
        async with client.audio.speech.with_streaming_response.create(**ASKED) as said:
            assert said.headers["content-type"] == "audio/mpeg"
            pieces = said.iter_bytes()
            heard = await anext(pieces)
            assert FIRST.startswith(heard)
            assert not speaker.may_go_on.is_set()
            speaker.may_go_on.set()
            heard += b"".join([piece async for piece in pieces])
        assert heard == FIRST + LAST
        assert [(row.outcome, row.status) for row in gateway.rows()] == [("ok", 200)]


async def test_events_are_told_as_the_sound_comes(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (gateway, speaker, _):
        body = {**ASKED, "stream_format": "sse"}
        async with gateway.http.stream("POST", "/v1/audio/speech", json=body) as said:
            lines = (line async for line in said.aiter_lines() if line)
            first = json.loads((await anext(lines)).removeprefix("data: "))
            assert base64.b64decode(first["audio"]) == FIRST
            speaker.may_go_on.set()
            rest = [json.loads(line.removeprefix("data: ")) async for line in lines]
        assert [event["type"] for event in rest] == ["speech.audio.delta", "speech.audio.done"]
        assert len(gateway.rows()) == 1


async def test_who_leaves_stops_the_source_and_is_booked_once(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (gateway, speaker, client):
        async with client.audio.speech.with_streaming_response.create(**ASKED) as said:
            await anext(said.iter_bytes())
        await speaker.was_left.wait()
        while not (rows := gateway.rows()):
            await asyncio.sleep(0.01)
        assert [(row.outcome, row.status) for row in rows] == [("cancelled", 499)]
        assert speaker.spoken == 1


@pytest.mark.parametrize("as_events", [False, True], ids=["sound", "events"])
async def test_a_source_that_breaks_off_is_never_taken_for_one_that_has_ended(tmp_path: Path, as_events: bool) -> None:
    async with speaking(tmp_path) as (gateway, speaker, _):
        speaker.breaks = True
        speaker.may_go_on.set()
        body = {**ASKED, "stream_format": "sse" if as_events else "audio"}
        if as_events:
            said = await gateway.http.post("/v1/audio/speech", json=body)
            told = json.loads(said.text.rstrip().rpartition("\n\n")[2].removeprefix("data: "))
            assert told["error"]["message"]
        else:
            with pytest.raises(httpx2.RemoteProtocolError):
                await gateway.http.post("/v1/audio/speech", json=body)
        (row,) = gateway.rows()
        assert row.outcome == "stream_broken"
        assert speaker.spoken == 1
