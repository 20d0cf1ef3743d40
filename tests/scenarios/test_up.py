"""The installed `jackfield up` as a person meets it: it serves, says what is wrong, stops in order and forgets nothing."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from command_line import SCRIPT
from gateway_process import Up, UpFailed, jackfield, jackfield_up, surroundings
from jackfield.testing.fakes import FakeOpenAI

COUNT: Any = [{"role": "user", "content": "Count to 5"}]
STARTS_WITHIN_S = 10.0  # about 0.7 s on a quiet machine
LONG = {"stream": True, "max_tokens": 1500, "ignore_eos": True}
NEVER_ENDS = """
    server: {shutdown_grace_s: 1}
    slots: {0: {provider: scripted, config: {replies: [{match: "", text: "a b c d e f g h", chunk_delay_s: 9}]}}}
"""
PARROT = {"replies": [{"match": "", "text": "from the script"}]}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`jackfield up --demo`, for the tests that only look at it."""
    began = time.monotonic()
    with jackfield_up(tmp_path_factory.mktemp("demo"), "--demo") as up:
        assert up.http.get("/health").status_code == 200
        assert time.monotonic() - began < STARTS_WITHIN_S
        yield up


def panel(up: Up) -> Any:
    """What `jackfield slots list` shows, without what lives only now."""
    said = up.run("slots", "list", "--json", "--url", up.url)
    assert said.code == 0, said.err
    return [{key: value for key, value in slot.items() if key != "live"} for slot in said.json["slots"]]


@pytest.mark.behaviour("UP-01", "SLOT-20")
def test_the_demo_answers_and_streams_in_every_slot(demo: Up) -> None:
    assert demo.ask("ping").json()["choices"][0]["message"]["content"] == "pong"
    with demo.openai() as client:
        for slot in ("slot-0", "slot-1", "demo-c"):
            stream = client.chat.completions.create(model=slot, messages=COUNT, temperature=0, stream=True)
            pieces = [choice.delta.content or "" for chunk in stream for choice in chunk.choices]
            assert "".join(pieces) == "1, 2, 3, 4, 5"
            assert len([piece for piece in pieces if piece]) > 1


def test_many_at_once_on_one_slot_are_all_answered(demo: Up) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: demo.ask("Count to 5", temperature=0), range(8)))
    assert [reply.json()["choices"][0]["message"]["content"] for reply in replies] == ["1, 2, 3, 4, 5"] * 8


@pytest.mark.behaviour("UP-01")
def test_with_nothing_there_it_serves_says_what_it_looked_for_and_how_to_ask(tmp_path: Path) -> None:
    """Nothing is plugged on purpose: some engine may run on the machine of whoever runs this."""
    (tmp_path / "jackfield.yaml").write_text("discovery: {auto_plug_local: false}\n")
    with subprocess.Popen(
        [str(SCRIPT), "up", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=surroundings(tmp_path),
    ) as process:
        said = ""
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if "client.chat.completions.create" in line:
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "Nothing is plugged" in said
    assert re.search(r"Looked for local servers on ports [\d, ]*\b11434\b|Found .+ at http", said)
    assert "jackfield up --demo" in said
    url = re.search(r"jackfield serves at (http://127\.0\.0\.1:\d+)", said)
    assert url is not None
    assert f"curl {url[1]}/v1/chat/completions" in said
    assert f"OPENAI_BASE_URL={url[1]}/v1" in said


@pytest.mark.behaviour("UP-02", "HTTP-09")
def test_a_taken_port_names_who_has_it_and_a_free_one(demo: Up, tmp_path: Path) -> None:
    said = jackfield(tmp_path, "up", "--port", str(demo.port), "--demo")
    assert (said.code, said.out) == (1, "")
    assert re.search(rf"Port {demo.port} already in use by \S+ \(pid {demo.process.pid}\)", said.err), said.err
    way_out = re.search(r"port (\d+) is free: jackfield up --port \1", said.err)
    assert way_out is not None
    assert way_out[1] != str(demo.port)


@pytest.mark.behaviour("UP-03", "HTTP-10")
def test_other_machines_are_not_let_in_without_a_word_and_a_key(tmp_path: Path) -> None:
    for words, missing in (((), "needs --expose and a key (server.api_key)"), (("--expose",), "needs a key (server.api_key)")):
        said = jackfield(tmp_path, "up", "--host", "0.0.0.0", "--port", "0", "--no-discover", *words)
        assert (said.code, said.out) == (1, "")
        assert missing in said.err
        assert "jackfield secrets set gateway" in said.err


@pytest.mark.behaviour("UP-03", "HTTP-10")
def test_with_a_word_and_a_key_they_are_and_the_key_is_asked_for(tmp_path: Path) -> None:
    words = ("--host", "0.0.0.0", "--expose", "--demo")
    settings = "server: {api_key: env:GATE_KEY}\n"
    with jackfield_up(tmp_path, *words, settings=settings, environ={"GATE_KEY": "a-long-gateway-key"}) as up:
        assert up.said["needs_key"] is True
        assert up.ask("ping").status_code == 401
        up.http.headers["authorization"] = "Bearer a-long-gateway-key"
        assert up.ask("ping").status_code == 200


@pytest.mark.behaviour("UP-04", "CMD-01", "CONF-04")
def test_sigterm_lets_a_stream_finish_and_the_panel_is_there_again(tmp_path: Path) -> None:
    with jackfield_up(tmp_path, "--demo") as up:
        up.change("slots/7/plug", provider="scripted", config=PARROT, name="parrot")
        up.change("slots/7/mutate", settings={"temperature": 0.25})
        up.change("slots/swap", a=0, b=2)
        up.change("slots/1/unplug")
        before = panel(up)
        with up.http.stream("POST", "/v1/chat/completions", json={"model": "slot-0", "messages": COUNT, **LONG}) as reply:
            lines = reply.iter_lines()
            first = next(lines)
            up.process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line]
        assert first.startswith("data: ")
        assert rest[-1] == "data: [DONE]"
        assert any('"finish_reason":"length"' in line for line in rest)
        assert up.process.wait(10) == 0
        assert up.process.stdout is not None
        assert (json.loads(up.line), up.process.stdout.read()) == (up.said, "")
    with jackfield_up(tmp_path, "--no-discover") as again:
        assert panel(again) == before
        assert again.ask(model="parrot").json()["choices"][0]["message"]["content"] == "from the script"
        assert again.ask(model="demo-c").json()["choices"][0]["message"]["content"] == "pong"
        assert again.change("slots/undo")["undone"] == "unplug"
        row = again.rows()[-1]
        assert (row["outcome"], row["completion_tokens"]) == ("ok", 1500)


@pytest.mark.behaviour("UP-04")
def test_a_stop_does_not_wait_longer_than_the_grace(tmp_path: Path) -> None:
    body = {"model": "slot-0", "messages": COUNT, "stream": True}
    with (
        jackfield_up(tmp_path, "--no-discover", settings=NEVER_ENDS) as up,
        up.http.stream("POST", "/v1/chat/completions", json=body) as reply,
    ):
        assert '"chat.completion.chunk"' in next(reply.iter_lines())
        began = time.monotonic()
        assert up.stop() == 0
        assert time.monotonic() - began < 6
    with jackfield_up(tmp_path, "--no-discover") as again:
        assert [row["outcome"] for row in again.rows()] == ["cancelled"]


@pytest.mark.behaviour("UP-05", "LEDG-01", "CONF-04")
def test_sigkill_right_after_an_answer_loses_neither_its_row_nor_the_panel(tmp_path: Path) -> None:
    with jackfield_up(tmp_path, "--demo") as up:
        up.change("slots/7/plug", provider="scripted", config=PARROT, name="parrot")
        before = panel(up)
        plain = up.ask("ping")
        streamed = up.ask("ping", stream=True)
        up.kill()
    assert [plain.status_code, streamed.status_code] == [200, 200]
    with jackfield_up(tmp_path, "--no-discover") as again:
        rows = [(row["request_id"], row["outcome"], row["streamed"], row["completion_tokens"] > 0) for row in again.rows()]
        ids = [reply.headers["x-request-id"] for reply in (streamed, plain)]
        assert rows == [(ids[0], "ok", True, True), (ids[1], "ok", False, True)]
        assert panel(again) == before


@pytest.mark.behaviour("UP-06")
def test_a_second_gateway_on_the_same_store_is_refused(demo: Up) -> None:
    said = demo.run("up", "--port", "0", "--demo")
    assert (said.code, said.out) == (1, "")
    assert f"another jackfield is running on {demo.store}" in said.err
    assert "JACKFIELD_HOME" in said.err
    assert demo.ask("ping").status_code == 200


@pytest.mark.behaviour("UP-06")
async def test_what_a_slot_wants_and_is_not_there_stops_nothing(tmp_path: Path) -> None:
    """Without a ledger: a second gateway is refused then too."""
    async with FakeOpenAI() as gone:
        pass
    settings = f"""
        ledger: {{enabled: false}}
        slots:
          0: {{provider: openai-compat, config: {{base_url: "http://127.0.0.1:{gone.port}/v1"}}, model: fake-model}}
          1: {{provider: scripted, name: there}}
    """
    with jackfield_up(tmp_path, "--no-discover", settings=settings) as up:
        first, second = up.said["slots"]
        assert f"127.0.0.1:{gone.port}" in first["problem"]
        assert second["problem"] is None
        assert up.ask(model="there").status_code == 200
        refused = up.ask(model="slot-0")
        assert refused.status_code == 502
        assert f"127.0.0.1:{gone.port}" in refused.json()["error"]["message"]
        said = up.run("up", "--port", "0")
        assert (said.code, said.out) == (1, "")
        assert "another jackfield is running" in said.err


def test_a_start_that_fails_leaves_no_lock(tmp_path: Path) -> None:
    with pytest.raises(UpFailed, match=r"jackfield\.yaml:1"), jackfield_up(tmp_path, settings="sever: {}\n"):
        pass
    with jackfield_up(tmp_path, "--no-discover", settings="") as up:
        assert up.look("slots")["plugged"] == 0
