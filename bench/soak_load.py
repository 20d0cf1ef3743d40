"""The clients of a soak: requests at a fixed rate, half of them streamed, some of which leave; each answer is judged.

Knows the one right answer and the forms in which the truth about a failure may be told. Everything else is wrong.
"""

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from jackfield.core.errors import JackfieldError
from jackfield.transport.egress import EgressGate
from jackfield.transport.http1 import Endpoint, HttpClient, Response, Timeouts

MODEL = "soak-model"
WHOLE = "1, 2, 3, 4, 5, 6, 7, 8, 9"
TOKENS = 12  # prompt and answer, as the fake upstream counts them
TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=30.0, idle_s=30.0, total_s=40.0)
AT_ONCE_MAX = 2000
LEAVES_WITHIN_S = 0.03


@dataclass
class Counts:
    """`right_ids` and `told_ids` are the request ids of answers; `wrong` and `silent` show the first few that were neither."""

    sent: int = 0
    not_sent: int = 0
    left: int = 0
    right_ids: list[str] = field(default_factory=list)
    told_ids: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)


class Load:
    """`leaving` is the share of clients that go away without waiting for the end."""

    def __init__(self, port: int, draw: random.Random, leaving: float) -> None:
        self.counts = Counts()
        self._http = HttpClient(EgressGate())
        endpoint = Endpoint.parse(f"http://127.0.0.1:{port}/v1")
        self._head = endpoint.head("POST", "chat/completions", {"content-type": "application/json"})
        self._draw = draw
        self._leaving = leaving
        self._running: set[asyncio.Task[None]] = set()

    async def play(self, rate: float, seconds: float) -> None:
        """Open loop: a request is sent when it is due, whatever became of those before. Returns when all have ended."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            if len(self._running) >= AT_ONCE_MAX:
                self.counts.not_sent += 1
                continue
            task = asyncio.create_task(self._one())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await asyncio.gather(*self._running)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _one(self) -> None:
        self.counts.sent += 1
        is_stream = self._draw.random() < 0.5
        messages = [{"role": "user", "content": "Count to 9"}]
        body = json.dumps({"model": MODEL, "messages": messages, "stream": is_stream}).encode()
        if self._draw.random() < self._leaving:
            self.counts.left += 1
            await self._leave(body)
            return
        began = asyncio.get_running_loop().time()
        try:
            response = await self._http.send(self._head, body, TIMEOUTS)
            try:
                answer = await response.read()
            finally:
                response.close()
        except JackfieldError as error:
            _note(self.counts.silent, str(error))
            return
        self.counts.latencies_s.append(asyncio.get_running_loop().time() - began)
        self._judge(response, answer, is_stream=is_stream)

    async def _leave(self, body: bytes) -> None:
        try:
            async with asyncio.timeout(self._draw.random() * LEAVES_WITHIN_S):
                response = await self._http.send(self._head, body, TIMEOUTS)
                response.close()
        except (TimeoutError, JackfieldError):
            return

    def _judge(self, response: Response, answer: bytes, *, is_stream: bool) -> None:
        request_id = (response.header(b"x-request-id") or b"").decode()
        try:
            text, error, is_whole = read_stream(answer) if is_stream and response.status == 200 else read_plain(answer)
        except (ValueError, KeyError, TypeError) as broken:
            _note(self.counts.wrong, f"{response.status} {broken!r} {answer[:300]!r}")
            return
        if response.status == 200 and error is None and is_whole and text == WHOLE:
            self.counts.right_ids.append(request_id)
        elif error is not None and error.get("code") and WHOLE.startswith(text) and not is_whole:
            self.counts.told_ids.append(request_id)
            self.counts.told[f"{response.status} {error['code']}"] += 1
        elif response.status == 200 and error is None and is_whole and text == "":
            self.counts.told_ids.append(request_id)
            self.counts.told["200 empty"] += 1
        else:
            _note(self.counts.wrong, f"{response.status} {answer[-600:]!r}")


def read_plain(answer: bytes) -> tuple[str, dict[str, Any] | None, bool]:
    """Text, error and whether it ended as a whole answer does."""
    body = json.loads(answer)
    if body.get("error"):
        return "", body["error"], False
    choice = body["choices"][0]
    return choice["message"]["content"] or "", None, choice["finish_reason"] == "stop"


def read_stream(answer: bytes) -> tuple[str, dict[str, Any] | None, bool]:
    """The same of a stream: all its text, whoever it came from."""
    text, error, reasons, ends = "", None, [], 0
    for line in answer.splitlines():
        if line == b"data: [DONE]":
            ends += 1
        elif line.startswith(b"data: "):
            chunk = json.loads(line[6:])
            error = chunk.get("error") or error
            for choice in chunk.get("choices") or ():
                text += choice["delta"].get("content") or ""
                reasons += [choice["finish_reason"]] if choice["finish_reason"] else []
    return text, error, ends == 1 and reasons == ["stop"]


def _note(notes: list[str], text: str) -> None:
    notes.append(text if len(notes) < 20 else "")
