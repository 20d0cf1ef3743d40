"""Wrong bodies, forms and queries at every path of the OpenAI door: never a fault of ours, always its error object."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jackfield.testing.fake_openai import FakePlatform
from running_gateway import Gateway, running_gateway

CASES = int(os.environ.get("JACKFIELD_FUZZ_CASES", "200"))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3))
MODELS = st.sampled_from(["slot-0", "slot-1", "slot-9", "nobody", "use-case/chat", ""])
TURN = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "tool", "developer"]) | JSON,
        "type": st.sampled_from(["message", "function_call", "function_call_output", "reasoning", "item_reference"]) | JSON,
        "content": st.just("ping")
        | st.lists(st.fixed_dictionaries({"type": st.just("input_text") | JSON, "text": JSON}))
        | JSON,
        "tool_calls": JSON,
        "call_id": JSON,
        "name": JSON,
        "arguments": JSON,
        "output": JSON,
        "summary": JSON,
    },
)
TOOL = st.fixed_dictionaries(
    {"type": st.just("function") | JSON}, optional={"function": JSON, "name": JSON, "parameters": JSON}
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "model": MODELS | JSON,
    "messages": st.lists(TURN, max_size=3) | JSON,
    "input": st.just("ping") | st.lists(TURN, max_size=3) | st.lists(st.text(max_size=5), max_size=3) | JSON,
    "prompt": st.just("ping") | st.lists(st.text(max_size=5), max_size=3) | JSON,
    "tools": st.lists(TOOL, max_size=2) | JSON,
    "stream": st.booleans() | JSON,
    "store": st.booleans() | JSON,
    "endpoint": st.sampled_from(["/v1/chat/completions", "/v1/responses"]) | JSON,
    "completion_window": st.sampled_from(["24h", "0h", "9d"]) | JSON,
    "input_file_id": st.sampled_from(["file-x", "file-" + "0" * 32]) | JSON,
    "documents": st.lists(st.text(max_size=5) | JSON, max_size=3) | JSON,
    "query": st.just("ping") | JSON,
    **dict.fromkeys(
        (
            "stream_options", "temperature", "max_tokens", "max_output_tokens", "tool_choice", "response_format", "text",
            "reasoning", "instructions", "previous_response_id", "conversation", "background", "metadata", "include",
            "provider", "n", "stop", "logprobs", "echo", "suffix", "best_of", "dimensions", "encoding_format", "top_n",
            "voice", "size", "quality", "output_expires_after", "return_documents", "truncation", "user",
        ),
        JSON,
    ),
}  # fmt: skip
POSTS = ("chat/completions", "completions", "responses", "embeddings", "moderations", "rerank", "images/generations", "batches")
OFTEN = {
    "chat/completions": ("model", "messages"),
    "completions": ("model", "prompt"),
    "responses": ("model", "input"),
    "embeddings": ("model", "input"),
    "moderations": ("model", "input"),
    "rerank": ("model", "query", "documents"),
    "images/generations": ("model", "prompt"),
    "batches": ("input_file_id", "endpoint", "completion_window"),
}
FORMS = ("files", "images/edits", "audio/transcriptions")
SPEECH = "audio/speech"
ROUTING = {"retries": 0, "health_interval_s": 3600.0}
"""No looks at sources meanwhile: they use `random`, which hypothesis takes for a fault of its strategies."""


def bodies(path: str) -> st.SearchStrategy[Any]:
    """The fields that matter most times, others at times, each right or not."""
    often = {name: VALUES[name] for name in OFTEN.get(path, ("model", "input"))}
    other = st.sampled_from(sorted(VALUES)).flatmap(lambda name: VALUES[name].map(lambda value: (name, value)))
    return st.builds(
        lambda more, first: {**dict(more), **first}, st.lists(other, max_size=3), st.fixed_dictionaries({}, optional=often)
    )


BODIED = st.sampled_from((*POSTS, SPEECH)).flatmap(
    lambda path: st.tuples(st.just(path), bodies(path).map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=30))
)
FORMED = st.tuples(
    st.sampled_from(FORMS),
    st.dictionaries(
        st.sampled_from(["model", "purpose", "prompt", "n", "expires_after[seconds]", "provider"]), st.text(max_size=8)
    ),
    st.dictionaries(st.sampled_from(["file", "image", "mask"]), st.binary(max_size=30), max_size=2),
)
LOOKED = st.tuples(
    st.sampled_from(["GET", "DELETE", "POST", "PUT"]),
    st.sampled_from(["responses", "files", "batches", "models"]),
    st.sampled_from(["", "/x", "/../x", "/%00", "/resp_1/input_items", "/file-1/content", "/batch_1/cancel", "/é", "//"]),
    st.dictionaries(
        st.sampled_from(["limit", "order", "after", "before", "purpose", "stream"]),
        st.text(max_size=6) | st.just("10"),
        max_size=3,
    ),
)


async def is_told(gateway: Gateway, case: tuple[Any, ...]) -> None:
    if len(case) == 2:
        said = await gateway.http.post(f"/v1/{case[0]}", content=case[1].encode("utf-8", "surrogatepass"))
    elif len(case) == 3:
        files = {name: ("name", content) for name, content in case[2].items()}
        said = await gateway.http.post(f"/v1/{case[0]}", data=case[1], files=files)
    else:
        said = await gateway.http.request(case[0], f"/v1/{case[1]}{case[2]}", params=case[3])
    if said.status_code >= 400:
        error = said.json()["error"]
        assert {"message", "type", "param", "code"} <= set(error), (case, error)
        assert error["message"]
        assert said.status_code != 500, (case, error)


@pytest.mark.behaviour("DOOR-33")
async def test_nothing_that_a_client_sends_is_our_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    async with FakePlatform(["gpt-4o"]) as platform, running_gateway(tmp_path, routing=ROUTING) as gateway:
        await gateway.plug(0, "scripted", text="hello")
        await gateway.plug(1, "openai-compat", base_url=platform.base_url, model="gpt-4o")

        @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(BODIED | BODIED | FORMED | LOOKED)
        def anything(case: tuple[Any, ...]) -> None:
            asyncio.run_coroutine_threadsafe(is_told(gateway, case), loop).result(30)

        await asyncio.to_thread(anything)
    ours = [record for record in caplog.records if record.name.startswith("jackfield") and record.levelname == "ERROR"]
    assert [record.getMessage() for record in ours] == []
