"""What the fake upstream makes of a prompt, in the JSON of OpenAI's older completions. Pure; testing/fakes.py sends it."""

from collections.abc import Iterator, Mapping
from typing import Any

from jackfield.testing.answers import CREATED, Answer, answer_for


def text_completion(body: Mapping[str, Any], number: int, says: str | None = None) -> dict[str, Any]:
    """The whole answer: `n` choices for each prompt, with the prompt before them where `echo` asks for it. `says` is its
    answer to everything, where it is set."""
    answers = list(_answers(body, says))
    choices = [_choice(index, _echoed(prompt, body) + answer.text, answer, body) for index, (prompt, answer) in answers]
    return {**_same(body, number), "choices": choices, "usage": _usage(answers)}


def text_chunks(body: Mapping[str, Any], number: int, says: str | None = None, *, include_usage: bool) -> list[dict[str, Any]]:
    """The same in pieces; the last chunk holds the usage where it is asked for."""
    same, answers = _same(body, number), list(_answers(body, says))
    chunks = []
    for index, (prompt, answer) in answers:
        pieces = [_echoed(prompt, body), *answer.pieces]
        chunks += [{**same, "choices": [_choice(index, piece, None, body)]} for piece in pieces if piece]
        chunks.append({**same, "choices": [_choice(index, "", answer, body)]})
    return [*chunks, {**same, "choices": [], "usage": _usage(answers)}] if include_usage else chunks


Answered = tuple[int, tuple[str, Answer]]


def _answers(body: Mapping[str, Any], says: str | None) -> Iterator[Answered]:
    index = 0
    for prompt in _prompts(body["prompt"]):
        asked = {"messages": [{"role": "user", "content": prompt}], "max_tokens": body.get("max_tokens")}
        for _ in range(body.get("n") or 1):
            yield index, (prompt, answer_for(asked) if says is None else Answer(says))
            index += 1


def _prompts(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    if given and isinstance(given[0], int):
        return [_of_tokens(given)]
    return [item if isinstance(item, str) else _of_tokens(item) for item in given]


def _of_tokens(tokens: list[int]) -> str:
    return " ".join(map(str, tokens))


def _echoed(prompt: str, body: Mapping[str, Any]) -> str:
    return prompt if body.get("echo") else ""


def _choice(index: int, text: str, done: Answer | None, body: Mapping[str, Any]) -> dict[str, Any]:
    wanted = body.get("logprobs") is not None
    logprobs = {"tokens": [text], "token_logprobs": [-0.5], "top_logprobs": None, "text_offset": [0]} if wanted else None
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": done.finish_reason if done else None}


def _same(body: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {"id": f"cmpl-{number}", "object": "text_completion", "created": CREATED, "model": body["model"]}


def _usage(answers: list[Answered]) -> dict[str, int]:
    told = [answer.usage for _, (_, answer) in answers]
    return {name: sum(usage[name] for usage in told) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
