"""The Ollama door put together: every call that it serves, on one pipeline and one stock of models."""

from collections.abc import Callable

from jackfield.dialects import ollama, ollama_embeddings
from jackfield.doors.ollama.answer import Answer
from jackfield.doors.ollama.disk import Disk
from jackfield.doors.ollama.door import OllamaDoor
from jackfield.doors.ollama.embed import Embed
from jackfield.doors.ollama.models import Models
from jackfield.gateway.door import Handler
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.stock import Stock
from jackfield.slots.catalogue import Catalogue


def ollama_door(
    pipeline: Pipeline, catalogue: Catalogue, stock: Stock, new_request_id: Callable[[], str], now: Callable[[], float]
) -> OllamaDoor:
    """`now` is in Unix seconds."""
    answers: dict[str, Handler] = {
        ollama.PATH: Answer("chat", pipeline, stock, new_request_id, now),
        ollama.GENERATE_PATH: Answer("generate", pipeline, stock, new_request_id, now),
        ollama_embeddings.PATH: Embed("embed", pipeline, stock, new_request_id, now),
        ollama_embeddings.OLD_PATH: Embed("embeddings", pipeline, stock, new_request_id, now),
    }
    return OllamaDoor(answers, Models(catalogue, stock), Disk(stock))
