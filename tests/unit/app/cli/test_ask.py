"""`jackfield ask`: through a gateway or in this process, streamed or whole, from the command line or from a pipe."""

from pathlib import Path

import pytest

from command_line import Live, Run
from jackfield.app.compose import DATABASE
from jackfield.store.consents import ConsentRepository
from jackfield.store.engine import Database


def test_the_answer_alone_is_on_stdout(jf: Run, live: Live) -> None:
    said = jf("ask", "ping", url=live.url)
    assert (said.code, said.out, said.err) == (0, "pong\n", "")
    assert jf("ask", "ping", "--no-stream", url=live.url).out == "pong\n"
    assert jf("ask", "ping", "--slot", 1, url=live.url).out == "pong\n"
    assert jf("ask", "hello", "--model", "parrot", url=live.url).out == "you said: hello\n"


def test_json_tells_where_the_answer_came_from(jf: Run, live: Live) -> None:
    said = jf("ask", "ping", "--slot", 1, "--json", url=live.url).json
    assert (said["text"], said["slot"], said["provider"]) == ("pong", 1, "openai-compat")
    assert said["finish_reason"] == "stop"
    assert said["usage"]["completion_tokens"] > 0
    assert said["request_id"]


def test_the_question_may_come_from_a_pipe(jf: Run, live: Live) -> None:
    assert jf("ask", url=live.url, stdin="ping").out == "pong\n"
    assert jf("ask", "-", url=live.url, stdin="from the pipe").out == "you said: from the pipe\n"


def test_options_reach_the_provider(jf: Run, live: Live) -> None:
    words = ("ask", "hello", "--slot", 1, "--system", "be brief", "--temperature", 0.5, "--max-tokens", 9)
    assert jf(*words, url=live.url).code == 0
    body = live.fake.requests[-1].json
    assert (body["temperature"], body["max_tokens"]) == (0.5, 9)
    assert body["messages"][0] == {"role": "system", "content": "be brief"}


def test_a_broken_answer_is_an_error_and_never_looks_whole(jf: Run, live: Live) -> None:
    said = jf("ask", "break off", url=live.url)
    assert said.code == 1
    assert said.out.startswith("one")
    assert "four" not in said.out
    assert said.err.startswith("jackfield: ")


def test_a_spent_budget_has_its_own_exit_code(jf: Run, live: Live) -> None:
    said = jf("ask", "no money left", url=live.url)
    assert (said.code, said.out) == (4, "")
    assert "the sats are gone" in said.err


def test_no_gateway_has_its_own_exit_code_and_says_what_to_do(jf: Run, nowhere: str) -> None:
    said = jf("ask", "ping", url=nowhere)
    assert (said.code, said.out) == (3, "")
    assert "start it with  jackfield up" in said.err


def test_an_answer_cannot_steer_the_terminal(jf: Run, live: Live) -> None:
    assert jf("ask", "escape", url=live.url).out == "[31mred[0m\n"


@pytest.mark.parametrize(
    "words",
    [
        ("ask", "x", "--slot", 0, "--model", "m"),
        ("ask", "x", "--base-url", "http://127.0.0.1"),
        ("ask", "  "),
        ("ask", "x", "-t", 3),
    ],
)
def test_what_contradicts_itself_is_used_wrongly(jf: Run, nowhere: str, words: tuple[object, ...]) -> None:
    said = jf(*words, url=nowhere)
    assert (said.code, said.out) == (2, "")


def test_an_empty_panel_says_what_to_do(jf: Run, live: Live) -> None:
    live.run(live.gateway.house.registry.unplug(0))
    live.run(live.gateway.house.registry.unplug(1))
    said = jf("ask", "ping", url=live.url)
    assert (said.code, said.out) == (1, "")
    assert "jackfield slots plug" in said.err


def test_an_unknown_model_is_named_with_the_nearest(jf: Run, live: Live) -> None:
    said = jf("ask", "ping", "--model", "parot", url=live.url)
    assert said.code == 1
    assert "did you mean 'parrot'" in said.err


def test_a_provider_is_asked_without_any_gateway(jf: Run, live: Live, nowhere: str) -> None:
    words = ("ask", "ping", "--provider", "openai-compat", "--base-url", live.fake.base_url, "--model", "fake-model")
    assert jf(*words, url=nowhere).out == "pong\n"
    said = jf(*words, "--json", url=nowhere).json
    assert (said["text"], said["provider"], said["model"]) == ("pong", "openai-compat", "fake-model")


def test_the_key_of_a_provider_comes_from_its_variable(jf: Run, live: Live) -> None:
    words = ("ask", "ping", "--provider", "openai-compat", "--base-url", live.fake.base_url, "--api-key-env", "MY_KEY")
    said = jf(*words, "--model", "fake-model", env={"MY_KEY": "canary-0123456789"})
    assert said.out == "pong\n"
    assert live.fake.requests[-1].headers["authorization"] == "Bearer canary-0123456789"
    said = jf(*words)
    assert said.code == 1
    assert "MY_KEY is not set" in said.err


def test_settings_of_a_provider_are_used_in_process(jf: Run, live: Live, tmp_path: Path) -> None:
    (tmp_path / "jackfield.yaml").write_text(
        f"lm_studio: {{base_url: '{live.fake.base_url}', model: fake-model, temperature: 0.25}}\n"
    )
    assert jf("ask", "ping", "--provider", "lm-studio").out == "pong\n"
    assert live.fake.requests[-1].json["temperature"] == 0.25


def test_an_external_provider_is_not_asked_without_consent(jf: Run) -> None:
    said = jf("ask", "ping", "--provider", "openai-compat", "--base-url", "https://api.example.com/v1", "--model", "m")
    assert (said.code, said.out) == (2, "")
    assert "sends prompts to api.example.com" in said.err


def test_consent_in_the_settings_answers_the_question(jf: Run, tmp_path: Path) -> None:
    (tmp_path / "jackfield.yaml").write_text("openai-compat: {base_url: 'https://api.invalid/v1', consent: allow}\n")
    said = jf("ask", "ping", "--provider", "openai-compat", "--model", "m")
    assert said.code == 1
    assert "--yes" not in said.err
    assert "api.invalid" in said.err


def test_consent_that_was_recorded_is_not_asked_for_again(jf: Run, environ: dict[str, str]) -> None:
    words = ("ask", "ping", "--provider", "openai-compat", "--base-url", "https://api.invalid/v1", "--model", "m")
    assert jf(*words).code == 2
    store = Path(environ["JACKFIELD_HOME"])
    store.mkdir(parents=True, exist_ok=True)
    database = Database(store / DATABASE)
    ConsentRepository(database).grant("openai-compat", ["api.invalid"])
    database.close()
    assert jf(*words).code == 1
    assert jf(*words, env={"JACKFIELD_MODE": "airgapped"}).code == 1


def test_usage_has_one_shape_with_and_without_a_gateway(jf: Run, live: Live) -> None:
    through = jf("ask", "ping", "--slot", 1, "--json", url=live.url).json["usage"]
    direct = jf("ask", "ping", "--provider", "openai-compat", "--base-url", live.fake.base_url, "--json").json["usage"]
    assert direct["completion_tokens"] == through["completion_tokens"]
    assert {"prompt_tokens", "total_tokens"} <= set(through) & set(direct)
    assert direct["prompt_tokens_details"]["cached_tokens"] == 0


def test_a_failure_without_a_gateway_is_said_once(script: Run, nowhere: str) -> None:
    said = script("ask", "ping", "--provider", "openai-compat", "--base-url", nowhere)
    assert (said.code, said.out) == (1, "")
    assert len(said.err.splitlines()) == 1
