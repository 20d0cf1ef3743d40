"""`jackfield chat`: a conversation in which slot, provider, model and system prompt change without a restart."""

import json

import pexpect
import pytest

from command_line import SCRIPT, Live, Run


@pytest.mark.behaviour("SLOT-32")
def test_lines_of_a_pipe_are_a_conversation(jf: Run, live: Live) -> None:
    script = "ping\nhello there\n/slot 1\nping\n/slot 0\nagain\n"
    said = jf("chat", url=live.url, stdin=script)
    assert said.code == 0
    assert said.out.splitlines() == ["pong", "you said: hello there", "pong", "you said: again"]
    assert "slot 1 (openai-compat, fake-model) answers now" in said.err


@pytest.mark.behaviour("SLOT-32")
def test_provider_and_model_switch_at_run_time(jf: Run, live: Live) -> None:
    script = "/provider openai-compat\nwho\n/model special\nwho\n/provider scripted\nwho\n"
    said = jf("chat", url=live.url, stdin=script)
    assert said.code == 0
    assert [request.json["model"] for request in live.fake.requests[-2:]] == ["fake-model", "special"]
    assert said.out.splitlines()[-1] == "you said: who"


@pytest.mark.behaviour("SLOT-32")
def test_a_provider_that_is_not_plugged_goes_into_a_free_slot(jf: Run, live: Live) -> None:
    live.run(live.gateway.house.registry.unplug(0))
    said = jf("chat", url=live.url, stdin="/provider simulated\nhello\n")
    assert said.code == 0
    assert "slot 0 (scripted" in said.err
    assert said.out.strip()


def test_the_conversation_and_the_system_prompt_are_sent_along(jf: Run, live: Live) -> None:
    jf("chat", "--slot", 1, "--system", "be kind", url=live.url, stdin="ping\n/system be brief\nping\n/clear\n/system\nping\n")
    first, second, third = ([(m["role"], m["content"]) for m in r.json["messages"]] for r in live.fake.requests[-3:])
    assert first == [("system", "be kind"), ("user", "ping")]
    assert second == [("system", "be brief"), ("user", "ping"), ("assistant", "pong"), ("user", "ping")]
    assert third == [("user", "ping")]


def test_a_failed_turn_ends_neither_the_conversation_nor_what_was_said(jf: Run, live: Live) -> None:
    said = jf("chat", url=live.url, stdin="ping\nno money\n/nothing\n/slot 31\nhello\n")
    assert said.code == 1
    assert said.out.splitlines() == ["pong", "you said: hello"]
    assert "the sats are gone" in said.err
    assert "there is no /nothing: /help lists what there is" in said.err
    assert "slot 31 is empty" in said.err


def test_json_gives_a_line_for_each_answer(jf: Run, live: Live) -> None:
    lines = jf("chat", "--json", url=live.url, stdin="ping\nhello\n").out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["pong", "you said: hello"]


def test_no_gateway_ends_it_with_its_exit_code(jf: Run, nowhere: str) -> None:
    said = jf("chat", url=nowhere, stdin="ping\nping\n")
    assert (said.code, said.out) == (3, "")


@pytest.mark.behaviour("SLOT-32")
def test_a_person_at_a_terminal_chooses_from_a_menu(live: Live, environ: dict[str, str]) -> None:
    child = pexpect.spawn(
        str(SCRIPT),
        ["chat", "--url", live.url],
        encoding="utf-8",
        timeout=20,
        env={**environ, "PATH": "/usr/bin", "TERM": "dumb"},
    )
    try:
        child.expect("slot-0 answers")
        child.sendline("ping")
        child.expect("pong")
        child.sendline("/provider")
        child.expect("1  scripted")
        child.expect("2  openai-compat")
        child.expect("number or provider id: ")
        child.sendline("2")
        child.expect(r"slot 1 \(openai-compat, fake-model\) answers now")
        child.sendline("ping")
        child.expect("pong")
        child.sendline("/model other")
        child.expect("openai-compat/other answers now")
        child.sendline("/help")
        child.expect("leave")
        child.sendline("/quit")
        child.expect(pexpect.EOF)
    finally:
        child.close()
    assert child.exitstatus == 0
    assert live.fake.completions > 0


def test_quit_after_a_failure_on_a_pipe_ends_with_its_exit_code(script: Run, live: Live) -> None:
    said = script("chat", "--url", live.url, stdin="/nothing\nping\n/quit\nnever asked\n")
    assert (said.code, said.out.splitlines()) == (1, ["pong"])
    assert "Traceback" not in said.err
