"""`jackfield batch`: a file of requests through a gateway into a file of answers: ordered, bounded, resumable, truthful."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pexpect
import pytest

from command_line import SCRIPT, Live, Run
from jackfield.app.cli.gateway import Gateway
from jackfield.gateway.batches import again

Reply = tuple[int, dict[str, str], bytes] | None
WAIT_S = 20.0


class FakeGateway:
    """Answers chat completions as `choose(body, times)` says, `times` counting this prompt's askings from 1; None cuts."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        self.choose: Callable[[str, int], Reply] = lambda prompt, times: answer(prompt)
        self._guard = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.say(200, {}, b"{}")

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                reply = fake.reply(body)
                if reply is not None:
                    self.say(*reply)

            def say(self, status: int, headers: dict[str, str], data: bytes) -> None:
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][-1]["content"] for body in self.bodies]

    def reply(self, body: dict[str, Any]) -> Reply:
        with self._guard:
            self.bodies.append(body)
            prompt = self.prompts[-1]
            times = self.prompts.count(prompt)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self.choose(prompt, times)
        finally:
            with self._guard:
                self.at_once -= 1


def answer(text: str, **headers: str) -> Reply:
    body = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": f"re: {text}"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3},
    }
    return 200, {"x-request-id": f"req-{text}", **headers}, json.dumps(body, indent=1).encode()


def refusal(status: int, code: str, **headers: str) -> Reply:
    return status, headers, json.dumps({"error": {"message": f"{code} it is", "code": code}}).encode()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.setattr(again, "BACKOFF_S", 0.01)
    gateway = FakeGateway()
    thread = threading.Thread(target=gateway.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield gateway
    gateway.server.shutdown()
    gateway.server.server_close()
    thread.join(WAIT_S)


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **fields}


def task(custom_id: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": chat(text, **fields)}


def write(path: Path, lines: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def text_of(result: dict[str, Any]) -> str:
    text: str = result["response"]["body"]["choices"][0]["message"]["content"]
    return text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.future1
@pytest.mark.behaviour("MGR-31")
def test_both_kinds_of_lines_are_answered_in_order_by_a_real_gateway(jf: Run, live: Live, folder: Path) -> None:
    lines = [task("a", "ping", model="slot-0"), chat("hello", model="parrot"), {"custom_id": "c", **chat("ping")}]
    write(folder / "in.jsonl", lines)
    said = jf("batch", "in.jsonl", "out.jsonl", url=live.url)
    assert (said.code, said.out, said.err) == (0, "3 answered: out.jsonl\n", "")
    results = read(folder / "out.jsonl")
    assert [result["custom_id"] for result in results] == ["a", "line-2", "c"]
    assert [text_of(result) for result in results] == ["pong", "you said: hello", "pong"]
    assert [(result["error"], result["response"]["status_code"]) for result in results] == [(None, 200)] * 3
    assert len({result["id"] for result in results} | {result["response"]["request_id"] for result in results}) == 6


def test_the_model_option_goes_over_what_the_lines_name(jf: Run, live: Live, folder: Path) -> None:
    write(folder / "in.jsonl", [task("a", "ping", model="gpt-elsewhere"), chat("ping")])
    assert jf("batch", "in.jsonl", "out.jsonl", "--model", "slot-1", url=live.url).code == 0
    assert [request.json["model"] for request in live.fake.requests[-2:]] == ["fake-model"] * 2


@pytest.mark.behaviour("MGR-31")
def test_order_holds_and_the_cap_too_whatever_is_slow(jf: Run, fake: FakeGateway, folder: Path) -> None:
    def slow_first(prompt: str, times: int) -> Reply:
        time.sleep(0.15 if prompt == "p0" else 0.01)
        return answer(prompt)

    fake.choose = slow_first
    write(folder / "in.jsonl", [chat(f"p{number}") | {"model": "m"} for number in range(24)])
    said = jf("batch", "in.jsonl", "out.jsonl", "--concurrency", 4, "--json", url=fake.url).json
    assert [text_of(result) for result in read(folder / "out.jsonl")] == [f"re: p{number}" for number in range(24)]
    assert fake.most_at_once == 4
    wanted = {"total": 24, "answered": 24, "failed": 0, "skipped": 0, "left": 0, "retries": 0, "interrupted": False}
    assert {name: said[name] for name in wanted} == wanted
    assert (said["prompt_tokens"], said["completion_tokens"], said["unpriced"]) == (48, 72, 24)


def test_what_passes_is_tried_again_and_what_is_refused_is_not(jf: Run, fake: FakeGateway, folder: Path) -> None:
    waits: list[float] = []

    def choose(prompt: str, times: int) -> Reply:
        waits.append(time.monotonic())
        if prompt == "busy" and times <= 2:
            return refusal(429, "rate_limit_exceeded", **{"retry-after": "0.3"})
        if prompt == "cut" and times == 1:
            return None
        if prompt == "down":
            return refusal(503, "overloaded")
        if prompt == "half":
            return 200, {}, b'{"choices": ['
        return refusal(400, "invalid_request") if prompt == "bad" else answer(prompt, **{"x-jackfield-cost-msat": "7"})

    fake.choose = choose
    names = ("busy", "cut", "down", "bad", "half", "good")
    write(folder / "in.jsonl", [task(name, name, model="m") for name in names])
    said = jf("batch", "in.jsonl", "out.jsonl", "--concurrency", 1, "--json", url=fake.url)
    assert said.code == 1
    assert [fake.prompts.count(name) for name in names] == [3, 2, 3, 1, 3, 1]
    assert waits[1] - waits[0] >= 0.3
    assert waits[2] - waits[1] >= 0.3
    results = {result["custom_id"]: result for result in read(folder / "out.jsonl")}
    assert list(results) == list(names)
    assert [results[name]["error"] for name in ("busy", "cut", "good")] == [None] * 3
    assert [results[name]["error"]["code"] for name in ("down", "bad", "half")] == [
        "overloaded",
        "invalid_request",
        "malformed_answer",
    ]
    assert results["bad"]["response"]["body"]["error"]["message"] == "invalid_request it is"
    assert results["half"]["response"]["body"] is None
    assert said.json["errors"] == {"overloaded": 1, "invalid_request": 1, "malformed_answer": 1}
    assert (said.json["failed"], said.json["retries"], said.json["cost_msat"]) == (3, 7, 21)


@pytest.mark.behaviour("MGR-31")
def test_a_second_run_asks_only_what_is_missing_or_failed(jf: Run, fake: FakeGateway, folder: Path) -> None:
    fake.choose = lambda prompt, times: refusal(400, "invalid_request") if prompt == "1" and times == 1 else answer(prompt)
    write(folder / "in.jsonl", [task(f"t{number}", str(number), model="m") for number in range(3)])
    first = jf("batch", "in.jsonl", "out.jsonl", url=fake.url)
    assert (first.code, first.out) == (1, "2 answered, 1 failed: out.jsonl\n")
    assert "invalid_request 1" in first.err
    write(folder / "in.jsonl", [task(f"t{number}", str(number), model="m") for number in range(5)])
    second = jf("batch", "in.jsonl", "out.jsonl", url=fake.url)
    assert (second.code, second.out) == (0, "3 answered, 2 answered before: out.jsonl\n")
    assert sorted(fake.prompts[3:]) == ["1", "3", "4"]
    assert [result["custom_id"] for result in read(folder / "out.jsonl")] == ["t0", "t1", "t2", "t3", "t4"]
    assert not any(result["error"] for result in read(folder / "out.jsonl"))
    before = (folder / "out.jsonl").read_bytes()
    third = jf("batch", "in.jsonl", "out.jsonl", url="http://127.0.0.1:9")
    assert (third.code, third.out) == (0, "0 answered, 5 answered before: out.jsonl\n")
    assert (folder / "out.jsonl").read_bytes() == before


@pytest.mark.parametrize("kept_bytes", [1, 20, -20, -1])
@pytest.mark.behaviour("MGR-31")
def test_a_torn_last_line_is_dropped_and_asked_again(jf: Run, fake: FakeGateway, folder: Path, kept_bytes: int) -> None:
    write(folder / "in.jsonl", [task(name, name, model="m") for name in "abc"])
    jf("batch", "in.jsonl", "out.jsonl", url=fake.url)
    *whole, last = (folder / "out.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "out.jsonl").write_bytes(b"".join(whole) + last[:kept_bytes])
    said = jf("batch", "in.jsonl", "out.jsonl", url=fake.url)
    only_its_end_was_missing = kept_bytes == -1
    assert len(fake.prompts) == (3 if only_its_end_was_missing else 4)
    assert said.code == 0
    assert [result["custom_id"] for result in read(folder / "out.jsonl")] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "foreign", ["my notes", "my notes\n", '{"id":"x"}\n', '{"custom_id":"zz","id":"","response":1,"error":null}\n']
)
def test_a_file_that_is_no_result_of_this_batch_is_left_alone(jf: Run, fake: FakeGateway, folder: Path, foreign: str) -> None:
    write(folder / "in.jsonl", [task("a", "a", model="m")])
    (folder / "out.jsonl").write_text(foreign)
    said = jf("batch", "in.jsonl", "out.jsonl", url=fake.url)
    assert (said.code, said.out) == (2, "")
    assert "name another file" in said.err
    assert (folder / "out.jsonl").read_text() == foreign
    assert fake.bodies == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not a JSON object"),
        ("[]", "not a JSON object"),
        ('{"prompt": "x"}', "neither body nor messages"),
        ('{"body": {"messages": []}}', "custom_id is missing"),
        ('{"custom_id": 7, "messages": []}', "custom_id must be a string"),
        ('{"custom_id": "a", "messages": "x"}', "messages must be a list"),
        ('{"custom_id": "first", "messages": []}', "custom_id 'first' is line 1's already"),
        ('{"custom_id": "a", "url": "/v1/embeddings", "body": {"messages": []}}', "url must be /v1/chat/completions"),
        ('{"custom_id": "a", "method": "GET", "body": {"messages": []}}', "method must be POST"),
        ('{"custom_id": "a", "body": {"messages": [], "stream": true}}', "stream must not be true"),
    ],
)
def test_a_line_that_cannot_be_asked_is_named_before_anything_is_sent(
    jf: Run, fake: FakeGateway, folder: Path, line: str, why: str
) -> None:
    good = json.dumps(task("first", "x", model="m"))
    (folder / "in.jsonl").write_text(f"{good}\n\n{line}\n")
    said = jf("batch", "in.jsonl", "out.jsonl", url=fake.url)
    assert (said.code, said.out) == (2, "")
    assert f"line 3: {why}" in said.err
    assert fake.bodies == []
    assert not (folder / "out.jsonl").exists()


def test_what_contradicts_itself_is_used_wrongly(jf: Run, fake: FakeGateway, folder: Path) -> None:
    write(folder / "in.jsonl", [task("a", "a", model="m")])
    (folder / "link.jsonl").symlink_to(folder / "in.jsonl")
    for words in (("nowhere.jsonl", "out.jsonl"), ("in.jsonl", "link.jsonl"), ("in.jsonl", "."), ("in.jsonl", "no/out.jsonl")):
        assert jf("batch", *words, url=fake.url).code == 2
    assert fake.bodies == []


def test_without_a_gateway_it_says_so_at_once(jf: Run, nowhere: str, folder: Path) -> None:
    write(folder / "in.jsonl", [chat("a")])
    said = jf("batch", "in.jsonl", "out.jsonl", url=nowhere)
    assert said.code == 3
    assert "start it with  jackfield up" in said.err


def test_a_gateway_that_goes_away_stops_the_batch_and_a_later_run_goes_on(
    jf: Run, fake: FakeGateway, folder: Path, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "in.jsonl", [task(f"t{number}", str(number), model="m") for number in range(20)])
    is_gone = threading.Event()
    opened = Gateway.open

    def open_while_there(gateway: Gateway, *words: Any, **options: Any) -> Any:
        if is_gone.is_set():
            gateway = type(gateway)(nowhere)
        return opened(gateway, *words, **options)

    def choose(prompt: str, times: int) -> Reply:
        if prompt == "5":
            is_gone.set()
            return None
        return answer(prompt)

    fake.choose = choose
    monkeypatch.setattr(Gateway, "open", open_while_there)
    said = jf("batch", "in.jsonl", "out.jsonl", "--concurrency", 1, url=fake.url)
    assert said.code == 3
    assert said.out == "5 answered, 15 not asked: out.jsonl\n"
    assert "run this again to go on" in said.err
    fake.choose = lambda prompt, times: answer(prompt)
    is_gone.clear()
    assert jf("batch", "in.jsonl", "out.jsonl", url=fake.url).code == 0
    assert [text_of(result) for result in read(folder / "out.jsonl")] == [f"re: {number}" for number in range(20)]


def test_two_batches_never_write_one_file(jf: Run, fake: FakeGateway, folder: Path) -> None:
    write(folder / "in.jsonl", [task("a", "a", model="m")])

    def meanwhile(prompt: str, times: int) -> Reply:
        other = subprocess.run(
            [str(SCRIPT), "--url", fake.url, "batch", "in.jsonl", "out.jsonl"], cwd=folder, capture_output=True, timeout=WAIT_S
        )
        said.append((other.returncode, other.stderr.decode()))
        return answer(prompt)

    said: list[tuple[int, str]] = []
    fake.choose = meanwhile
    assert jf("batch", "in.jsonl", "out.jsonl", url=fake.url).code == 0
    assert said[0][0] == 1
    assert "another batch is writing" in said[0][1]
    assert len(fake.bodies) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.behaviour("MGR-31")
def test_whatever_ends_it_the_file_can_be_gone_on_with(
    jf: Run, fake: FakeGateway, folder: Path, environ: dict[str, str], number: signal.Signals
) -> None:
    """One answer hangs; the others are there when the signal comes, also those that stand behind it."""
    let_go = threading.Event()

    def choose(prompt: str, times: int) -> Reply:
        if prompt == "1" and times == 1:
            let_go.wait(WAIT_S)
        return answer(prompt)

    fake.choose = choose
    write(folder / "in.jsonl", [task(f"t{number}", str(number), model="m") for number in range(4)])
    command = [str(SCRIPT), "--url", fake.url, "batch", "in.jsonl", "out.jsonl", "--json"]
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        await_lines(folder / "out.jsonl", 3)
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        let_go.set()
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert json.loads(out)["interrupted"] is True
        assert "run this again to go on" in err
    came = [result["custom_id"] for result in read(folder / "out.jsonl")]
    assert (sorted(came) if number == signal.SIGKILL else came) == ["t0", "t2", "t3"]
    assert jf("batch", "in.jsonl", "out.jsonl", url=fake.url).code == 0
    assert sorted(fake.prompts) == ["0", "1", "1", "2", "3"]
    assert [result["custom_id"] for result in read(folder / "out.jsonl")] == ["t0", "t1", "t2", "t3"]


def await_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, "the answers did not come"
        time.sleep(0.01)


def test_a_terminal_sees_how_far_it_is(fake: FakeGateway, folder: Path, environ: dict[str, str]) -> None:
    write(folder / "in.jsonl", [task(f"t{number}", str(number), model="m") for number in range(3)])
    arguments = ["--url", fake.url, "batch", "in.jsonl", "out.jsonl"]
    env = {**os.environ, **environ, "TERM": "xterm", "NO_COLOR": "1"}
    child = pexpect.spawn(str(SCRIPT), arguments, cwd=str(folder), env=env, timeout=WAIT_S, encoding="utf-8")
    child.expect("3/3")
    child.expect("3 answered: out.jsonl")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
