"""Requests that name a task: `task, model, inputs, parameters` become the very request that the handle's own calls make.

Knows which task is which kind of request. Who may answer it is selection's business.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.parameters import did_you_mean
from jackfield.core.requests import ChatRequest, EmbedRequest, ModerateRequest, RerankRequest
from jackfield.core.tasks import CLASSIFICATION, RERANK, TASK_SYNONYMS, TEXT_EMBEDDING, TEXT_GENERATION, canonical_task
from jackfield.slots.asking import asked

TaskRequest = ChatRequest | EmbedRequest | RerankRequest | ModerateRequest
ROLES: Mapping[type, str] = {ChatRequest: "chat", EmbedRequest: "embed", RerankRequest: "rerank", ModerateRequest: "classify"}


def task_request(
    task: str,
    inputs: Any,
    *,
    model: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    stream: bool = False,
) -> TaskRequest:
    """The request for a task under any of its names.

    `inputs`: text or messages for text-generation; a text or texts for text-embedding and text-classification;
    {"query": ..., "documents": [...]} for rerank. Raises BadRequest naming the field, NotSupported for an unknown task.
    """
    given = dict(parameters or {})
    name = canonical_task(task)
    if name == TEXT_GENERATION:
        return _chat(inputs, model, given, stream)
    if name == TEXT_EMBEDDING:
        return EmbedRequest(_texts(inputs), model, _whole(given, "dimensions"), given)
    if name == CLASSIFICATION:
        return ModerateRequest(_texts(inputs), model)
    if name == RERANK:
        return _rerank(inputs, model, given)
    raise NotSupported(
        f"no request is known for the task {task!r}{did_you_mean(task, tuple(TASK_SYNONYMS))}: "
        f"known are {', '.join(TASK_SYNONYMS)}",
        param="task",
    )


def _chat(inputs: Any, model: str | None, given: dict[str, Any], stream: bool) -> ChatRequest:
    named = {**given, **({} if model is None else {"model": model})}
    if isinstance(inputs, str):
        return asked(inputs, named, stream=stream).request
    if isinstance(inputs, Sequence) and inputs:
        return asked("", {**named, "messages": inputs}, stream=stream).request
    raise BadRequest(f"inputs must be text or messages, got {type(inputs).__name__}", param="inputs")


def _rerank(inputs: Any, model: str | None, given: dict[str, Any]) -> RerankRequest:
    query = inputs.get("query") if isinstance(inputs, Mapping) else None
    documents = inputs.get("documents") if isinstance(inputs, Mapping) else None
    if not isinstance(query, str) or not documents:
        raise BadRequest('inputs must be {"query": TEXT, "documents": [TEXT, ...]}', param="inputs")
    return RerankRequest(query, _texts(documents, "inputs.documents"), model, _whole(given, "top_n"), given)


def _texts(inputs: Any, where: str = "inputs") -> tuple[str, ...]:
    texts = (inputs,) if isinstance(inputs, str) else inputs
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequest(f"{where} must be a text or a list of texts", param=where)
    return tuple(texts)


def _whole(given: dict[str, Any], name: str) -> int | None:
    value = given.pop(name, None)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise BadRequest(f"{name} must be a whole number above 0, got {value!r}", param=name)
    return value
