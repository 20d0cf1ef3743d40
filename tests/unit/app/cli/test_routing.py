"""`jackfield backends` and `jackfield explain`: what routing knows, as a table and as JSON, and how they end."""

import json

import pytest

from command_line import Live, Run


@pytest.fixture
def twins(live: Live) -> Live:
    """Two slots with one model beside the usual ones."""
    registry = live.gateway.house.registry
    live.run(registry.plug(2, "scripted", {}, model="twin"))
    live.run(registry.plug(3, "scripted", {}, model="twin"))
    return live


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


def test_backends_shows_what_was_counted(jf: Run, live: Live) -> None:
    assert jf("ask", "ping", "--slot", 0, url=live.url).code == 0
    report = jf("backends", "--json", url=live.url).json
    parrot = next(backend for backend in report["backends"] if backend["slot"] == 0)
    said = jf("backends", url=live.url)
    head, *lines = rows(said.out)
    assert head == ["BACKEND", "TYPE", "STATUS", "OK/FAILED", "P50/P95 MS", "ACTIVE"]
    shown = next(line for line in lines if line[0] == parrot["id"])
    assert shown[1:4] == [parrot["type"], parrot["status"], f"{parrot['metrics']['successful']}/0"]
    assert parrot["metrics"]["successful"] >= 1
    assert all(part.isdigit() for part in shown[4].split("/"))
    assert shown[5] == "0"
    unasked = next(backend for backend in report["backends"] if backend["metrics"]["requests"] == 0)
    assert "-/-" in next(line for line in lines if line[0] == unasked["id"])


def test_explain_shows_places_and_reasons(jf: Run, twins: Live) -> None:
    told = jf("explain", "twin", "--json", url=twins.url).json
    assert sorted(target["slot"] for target in told["targets"]) == [2, 3]
    said = jf("explain", "twin", url=twins.url)
    head, first, second = rows(said.out)
    assert head == ["PLACE", "BACKEND", "SLOT", "PROVIDER", "STATUS", "REASON"]
    assert (said.code, first[0], second[0]) == (0, "1", "2")
    assert first[1:4] == [told["targets"][0]["backend"], str(told["targets"][0]["slot"]), "scripted"]
    assert (first[-1], second[-1]) == ("first by round_robin", "next if the one before fails")


def test_explain_shows_a_source_that_is_out(jf: Run, twins: Live) -> None:
    registry = twins.gateway.house.registry
    lost = {"base_url": "http://127.0.0.1:9", "connect_timeout": 1.0}
    twins.run(registry.plug(4, "openai-compat", lost, model="twin", require_ready=False))
    twins.run(twins.gateway.house.backends.check())
    said = jf("explain", "twin", url=twins.url)
    out = rows(said.out)[-1]
    assert (said.code, len(rows(said.out))) == (0, 4)
    assert (out[0], out[2], out[3], out[4]) == ("-", "4", "openai-compat", "out")
    assert out[5].startswith("policy: ")


def test_explain_ends_as_the_request_would(jf: Run, live: Live) -> None:
    said = jf("explain", "slot-9", url=live.url)
    assert (said.code, "slot 9 is empty" in said.err) == (1, True)
    as_json = jf("explain", "slot-9", "--json", url=live.url)
    assert (as_json.code, as_json.json["refusal"]["code"]) == (1, "slot_empty")
    unknown = jf("explain", "nobody-at-all", url=live.url)
    assert (unknown.code, unknown.out, "no slot answers to the model" in unknown.err) == (1, "", True)
    assert jf("explain").code == 2


@pytest.mark.parametrize("words", [("backends",), ("explain", "slot-0")])
def test_without_a_gateway(jf: Run, nowhere: str, words: tuple[str, ...]) -> None:
    said = jf(*words, url=nowhere)
    assert (said.code, said.out) == (3, "")


def test_backends_of_an_empty_panel(jf: Run, live: Live) -> None:
    registry = live.gateway.house.registry
    for slot in registry.plugged():
        live.run(registry.unplug(slot.number))
    live.run(live.gateway.house.backends.check())
    said = jf("backends", url=live.url)
    assert (said.code, said.out, "nothing is plugged" in said.err) == (0, "", True)


def test_explain_tells_of_a_request_by_its_id(jf: Run, twins: Live) -> None:
    gateway = twins.gateway
    body = {"model": "twin", "messages": [{"role": "user", "content": "ping"}]}
    reply = twins.run(gateway.http.post("/v1/chat/completions", json=body))
    request_id = reply.headers["x-request-id"]
    told = jf("explain", request_id, "--json", url=twins.url).json
    assert next(candidate["slot"] for candidate in told["decision"]["candidates"]) == int(reply.headers["x-jackfield-slot"])
    assert [(attempt["attempt"], attempt["outcome"]) for attempt in told["attempts"]] == [(0, "ok")]
    said = jf("explain", request_id, url=twins.url)
    assert "ATTEMPT" in said.out
    assert "next if the one before fails" in said.out
    assert jf("explain", "req-00000000-1", url=twins.url).code != 0


def test_a_client_may_ask_for_the_decision_with_its_answer(twins: Live) -> None:
    body = {"model": "twin", "messages": [{"role": "user", "content": "ping"}]}
    post = twins.gateway.http.post
    reply = twins.run(post("/v1/chat/completions", json=body, headers={"x-jackfield-explain": "1"}))
    told = json.loads(reply.headers["x-jackfield-explain"])
    assert sorted(candidate["slot"] for candidate in told["candidates"]) == [2, 3]
    assert (told["policy"], told["more"]) == ("round_robin", 0)
    alone = twins.run(post("/v1/chat/completions", json={**body, "model": "slot-2"}, headers={"x-jackfield-explain": "1"}))
    assert json.loads(alone.headers["x-jackfield-explain"])["candidates"][0]["name"] == "slot-2"
    assert "x-jackfield-explain" not in twins.run(post("/v1/chat/completions", json=body)).headers


@pytest.mark.behaviour("SLOT-33")
def test_ask_by_use_case(jf: Run, twins: Live) -> None:
    said = jf("ask", "ping", "--use-case", "chat", "--json", url=twins.url)
    assert (said.code, bool(said.json["text"])) == (0, True)
    unknown = jf("ask", "ping", "--use-case", "codng", url=twins.url)
    assert unknown.code != 0
    assert "did you mean 'coding'" in unknown.err
    both = jf("ask", "ping", "--use-case", "chat", "--slot", 0, url=twins.url)
    assert "--use-case stands alone" in both.err
