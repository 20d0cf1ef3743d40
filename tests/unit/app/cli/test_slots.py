"""`jackfield slots` against a real gateway: every operation, as text and as JSON, and what is refused."""

import json
import threading

import pytest

from command_line import Live, Run


def numbers(said: object) -> list[int]:
    assert isinstance(said, dict)
    return [slot["number"] for slot in said["slots"]]


@pytest.mark.behaviour("SLOT-02")
def test_list_shows_what_is_plugged_and_json_shows_all(jf: Run, live: Live) -> None:
    said = jf("slots", "list", url=live.url)
    lines = said.out.splitlines()
    assert lines[0].split() == ["SLOT", "NAME", "PROVIDER", "MODEL", "STATE"]
    assert [line.split()[:3] for line in lines[1:]] == [["0", "parrot", "scripted"], ["1", "slot_1", "openai-compat"]]
    assert "● ready" in lines[1]
    assert "30 empty slots not shown" in said.err
    panel = jf("slots", "list", "--json", url=live.url).json
    assert (panel["size"], panel["plugged"], len(panel["slots"])) == (32, 2, 32)
    assert panel["slots"][2]["provider"] is None
    assert len(jf("slots", "list", "--all", url=live.url).out.splitlines()) == 33


def test_plug_rename_clone_swap_undo_and_unplug(jf: Run, live: Live) -> None:
    words = ("slots", "plug", 5, "openai-compat", "--base-url", live.fake.base_url, "--model", "fake-model", "--name", "coder")
    assert jf(*words, "--json", url=live.url).json["name"] == "coder"
    assert jf("slots", "rename", 5, "writer", url=live.url).code == 0
    assert jf("slots", "info", 5, "--json", url=live.url).json["name"] == "writer"
    assert numbers(jf("slots", "clone", 5, "--count", 2, "--json", url=live.url).json) == [6, 7]
    assert numbers(jf("slots", "swap", 0, 5, "--json", url=live.url).json) == [0, 5]
    assert jf("slots", "info", 0, "--json", url=live.url).json["provider"] == "openai-compat"
    assert jf("slots", "undo", "--json", url=live.url).json["undone"] == "swap"
    assert jf("slots", "info", 0, "--json", url=live.url).json["provider"] == "scripted"
    assert jf("slots", "unplug", 5, "--json", url=live.url).json["unplugged"] is True
    said = jf("slots", "unplug", 5, url=live.url)
    assert (said.code, "was empty already" in said.err) == (0, True)


def test_mutate_sets_named_settings_or_adds_repeatable_noise(jf: Run, live: Live) -> None:
    said = jf("slots", "mutate", 0, "--set", "temperature=0.3", url=live.url)
    assert "temperature" in said.out
    assert jf("slots", "info", 0, "--json", url=live.url).json["generation"]["temperature"] == 0.3
    noisy = ("slots", "mutate", 0, "--rate", 1, "--scale", 0.5, "--seed", 7, "--json")
    first = jf(*noisy, url=live.url).json["changed"]
    jf("slots", "undo", url=live.url)
    assert jf(*noisy, url=live.url).json["changed"] == first


def test_grab_and_restore(jf: Run, live: Live) -> None:
    key = jf("slots", "grab", 0, url=live.url).out.strip()
    assert key
    assert jf("slots", "restore", key, "--slot", 9, "--json", url=live.url).json["number"] == 9


def test_info_tells_where_prompts_go(jf: Run, live: Live) -> None:
    out = jf("slots", "info", 1, url=live.url).out
    assert f"127.0.0.1:{live.fake.port}" in out
    assert "simulated" in jf("slots", "info", 0, url=live.url).out


def test_events_are_followed(jf: Run, live: Live) -> None:
    done = threading.Event()

    def keep_renaming() -> None:
        registry, count = live.gateway.house.registry, 0
        while not done.wait(0.05):
            count += 1
            live.run(registry.rename_slot(0, f"polly-{count}"))

    renaming = threading.Thread(target=keep_renaming)
    renaming.start()
    try:
        said = jf("slots", "events", "--count", 1, "--json", url=live.url).json
        text = jf("slots", "events", "--count", 2, url=live.url).out
    finally:
        done.set()
        renaming.join(10)
    assert (said["kind"], said["slots"]) == ("rename", [0])
    assert [line.split()[0] for line in text.splitlines()] == ["rename", "rename"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("slots", "info", 99), 1, "out of range"),
        (("slots", "info", "-1"), 2, ""),
        (("slots", "info", "one"), 2, ""),
        (("slots", "plug", 4, "opnai"), 1, "no provider is called 'opnai'"),
        (("slots", "plug", 4, "scripted", "--set", "nonsense"), 2, "--set takes KEY=VALUE"),
        (("slots", "clone", 7), 1, "slot 7 is empty"),
        (("slots", "swap", 1), 2, ""),
        (("slots", "frobnicate"), 2, ""),
        (("slots", "restore", "no-such-key"), 1, ""),
    ],
)
def test_what_is_refused_says_why_on_stderr_and_nothing_on_stdout(
    jf: Run, live: Live, words: tuple[object, ...], code: int, said: str
) -> None:
    done = jf(*words, url=live.url)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_a_key_on_the_command_line_is_refused_and_not_repeated(jf: Run, live: Live) -> None:
    done = jf("slots", "plug", 4, "openai-compat", "--set", "api_key=sk-canary-0123456789abcdef", url=live.url)
    assert done.code == 2
    assert "secrets set" in done.err
    assert "canary" not in done.err


def test_an_external_provider_asks_and_nobody_can_answer_without_a_terminal(jf: Run, live: Live) -> None:
    done = jf("slots", "plug", 4, "openai-compat", "--base-url", "https://api.example.com/v1", url=live.url)
    assert done.code == 2
    assert "sends prompts to api.example.com" in done.err
    assert "--yes answers yes" in done.err
    assert jf("slots", "info", 4, "--json", url=live.url).json["state"] == "empty"


def test_errors_are_objects_on_stderr_where_json_is_asked_for(jf: Run, live: Live) -> None:
    done = jf("slots", "info", 99, "--json", url=live.url)
    assert done.out == ""
    assert json.loads(done.err)["error"]["code"] == "slot_out_of_range"


def test_the_model_column_names_what_answers_also_where_nobody_named_it(jf: Run, live: Live) -> None:
    assert jf("slots", "plug", 4, "openai-compat", "--base-url", live.fake.base_url, url=live.url).code == 0
    row = next(line for line in jf("slots", "list", url=live.url).out.splitlines() if line.startswith("4"))
    assert row.split()[3] == "fake-model"
    info = jf("slots", "info", 4, url=live.url).out
    assert [line.split() for line in info.splitlines() if line.startswith("model ")] == [
        ["model", "id", "slot-4"],
        ["model", "fake-model"],
    ]


def test_what_was_unset_before_a_mutation_is_called_so(jf: Run, live: Live) -> None:
    said = jf("slots", "mutate", 0, "--set", "temperature=0.3", url=live.url)
    assert said.out == "slot 0: temperature unset -> 0.3\n"


def test_models_of_a_slot_that_is_not_there(jf: Run, live: Live) -> None:
    said = jf("models", "list", "--slot", 77, url=live.url)
    assert (said.code, said.out) == (1, "")
    assert "slot 77 is out of range" in said.err
