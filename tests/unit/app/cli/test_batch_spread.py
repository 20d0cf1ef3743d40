"""One batch over several sources: all of them work, the order of the answers is that of the lines, and one may fail."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import Live, Run
from jackfield.app.cli.batch_spread import Spread
from jackfield.gateway.batches import again
from jackfield.testing.fakes import Behaviour, FakeOpenAI

LINES = 24


@pytest.fixture
def second(live: Live) -> Iterator[FakeOpenAI]:
    """Another source of fake-model, in slot 2; slot 0 is empty."""
    fake = FakeOpenAI(("fake-model",))

    async def plug() -> None:
        await fake.__aenter__()
        panel = live.gateway.house.registry
        await panel.unplug(0)
        await panel.plug(2, "openai-compat", {"base_url": fake.base_url}, model="fake-model")

    live.run(plug())
    live.fake.requests.clear()
    fake.requests.clear()
    yield fake
    live.fake.script.clear()
    live.fake.behaviour = Behaviour()
    live.run(fake.__aexit__(None, None, None))


def lines(path: Path, **fields: Any) -> None:
    path.write_text(
        "".join(
            json.dumps(
                {"custom_id": f"t{number}", "messages": [{"role": "user", "content": f"Count to {number + 2}"}], **fields}
            )
            + "\n"
            for number in range(LINES)
        )
    )


def prompts(fake: FakeOpenAI) -> list[str]:
    return [request.json["messages"][0]["content"] for request in fake.requests if request.method == "POST"]


def answered(path: Path) -> list[tuple[str, bool]]:
    results = [json.loads(line) for line in path.read_text().splitlines()]
    for result in results:
        number = int(result["custom_id"].removeprefix("t"))
        assert result["response"]["body"]["choices"][0]["message"]["content"].endswith(f", {number + 2}")
    return [(result["custom_id"], result["error"] is None) for result in results]


IN_ORDER = [(f"t{number}", True) for number in range(LINES)]


@pytest.mark.behaviour("MGR-30")
@pytest.mark.parametrize(
    ("options", "fields"), [((), {"model": "fake-model"}), (("--spread",), {})], ids=["by model", "spread"]
)
def test_one_batch_is_split_over_two_sources_in_the_order_of_its_lines(
    jf: Run, live: Live, second: FakeOpenAI, tmp_path: Path, options: tuple[str, ...], fields: dict[str, Any]
) -> None:
    second.behaviour = live.fake.behaviour = Behaviour(delay_s=0.02)
    live.fake.script.append(Behaviour(delay_s=0.1))  # comes late, and still stands in its place
    lines(tmp_path / "in.jsonl", **fields)
    assert jf("batch", "in.jsonl", "out.jsonl", "--concurrency", 4, *options, url=live.url).code == 0
    assert answered(tmp_path / "out.jsonl") == IN_ORDER
    asked = prompts(live.fake), prompts(second)
    assert Counter(asked[0] + asked[1]) == Counter(f"Count to {number + 2}" for number in range(LINES))
    assert min(map(len, asked)) >= LINES / 4


def test_what_one_source_cannot_do_the_other_does(
    jf: Run, live: Live, second: FakeOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "BACKOFF_S", 0.01)
    live.fake.behaviour = Behaviour(status=500)
    lines(tmp_path / "in.jsonl")
    assert jf("batch", "in.jsonl", "out.jsonl", "--concurrency", 2, "--spread", url=live.url).code == 0
    assert answered(tmp_path / "out.jsonl") == IN_ORDER
    assert len(prompts(second)) == LINES


def test_without_it_lines_without_a_model_go_to_the_first_slot(jf: Run, live: Live, second: FakeOpenAI, tmp_path: Path) -> None:
    lines(tmp_path / "in.jsonl")
    assert jf("batch", "in.jsonl", "out.jsonl", url=live.url).code == 0
    assert (len(prompts(live.fake)), len(prompts(second))) == (LINES, 0)


def test_to_spread_over_one_model_is_used_wrongly(jf: Run, live: Live, tmp_path: Path) -> None:
    lines(tmp_path / "in.jsonl")
    said = jf("batch", "in.jsonl", "out.jsonl", "--spread", "--model", "slot-1", url=live.url)
    assert said.code == 2
    assert "leave one of them out" in said.err
    assert not (tmp_path / "out.jsonl").exists()


def test_each_request_goes_where_the_fewest_run_and_failures_weigh() -> None:
    spread = Spread(["a", "b", "c"])
    with spread.turn() as first, spread.turn() as other, spread.turn("c") as third:
        assert (first, other, third) == ("a", "b", "a")
    failing = spread.turn("b")
    assert failing.__enter__() == "c"
    failing.__exit__(OSError, OSError("down"), None)
    taken = []
    for _ in range(4):
        with spread.turn() as model:
            taken.append(model)
    assert taken == ["b", "a", "b", "a"]
    with Spread([]).turn() as nobody, Spread(["only"]).turn("only") as only:
        assert (nobody, only) == (None, "only")
