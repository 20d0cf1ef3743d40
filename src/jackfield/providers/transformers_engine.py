"""A Hugging Face model inside this process: one thread for each model plays one request after another, and streams text.

Knows threads, limits and where an answer ends; PyTorch is providers/torch_model.py's, and is imported in that thread only.
"""

import importlib
import importlib.util
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from jackfield.core.errors import ContextOverflow, MissingExtra, ServiceFailed
from jackfield.providers import torch_model
from jackfield.providers.hf_models import HUB_FOLDER
from jackfield.providers.model_threads import Call, Loans, ModelThreads
from jackfield.providers.text_pieces import TextPieces
from jackfield.providers.torch_model import PIP_LINE, TorchModel, TorchSpec
from jackfield.providers.transformers_question import Question

EMBED_AT_ONCE = 32
TAIL_TOKENS = 8
"""So many of the prompt's last tokens are looked at to tell how the first word of a continuation is written."""


class Began(msgspec.Struct, frozen=True):
    """The prompt is read and the model begins to write."""

    prompt_tokens: int
    warnings: tuple[str, ...] = ()


class Ended(msgspec.Struct, frozen=True):
    reason: Literal["stop", "length"]
    completion_tokens: int


Piece = Began | str | Ended
"""One `Began`, texts, one `Ended`."""


def check_installed() -> None:
    """Imports neither library, which would take seconds. Raises MissingExtra."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        raise MissingExtra(f"PyTorch and transformers are not installed: {PIP_LINE}")


def cache_folder() -> Path:
    """Where the hub's library keeps what it fetched: as it says itself, who reads HF_HOME and HF_HUB_CACHE, if it is here."""
    try:
        return Path(importlib.import_module("huggingface_hub.constants").HF_HUB_CACHE)
    except ImportError:
        return Path.home() / HUB_FOLDER


class TransformersEngine:
    """A model in memory, made by `loans`."""

    def __init__(self, spec: TorchSpec) -> None:
        self.spec = spec
        self.users = 0
        self.threads = ModelThreads(1, "transformers")
        self._model: TorchModel | None = None
        self.loading: Future[None] = self.threads.load(self._load)

    def _load(self) -> None:
        self._model = torch_model.load(self.spec)

    @property
    def model(self) -> TorchModel:
        if self._model is None:
            raise ServiceFailed(f"{self.spec.name} is not in memory any more: ask again")
        return self._model

    def stream(self, question: Question, window: int, timeout_s: float) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        """`window` is the most tokens of prompt and answer. Leaving stops the model within one token, or after the prompt.

        Raises, while iterating, ContextOverflow, TimedOut, RequestRejected or ServiceFailed.
        """
        return self.threads.stream(partial(self._answer, question, window), timeout_s)

    def _answer(self, question: Question, window: int, call: Call[Piece]) -> None:
        model, wish = self.model, question.generation
        prompt, warnings = self._prompt(question)
        room = window - len(prompt)
        if room < 1:
            raise ContextOverflow(
                f"{self.spec.name} holds {window} tokens and the prompt alone has {len(prompt)}", param="messages"
            )
        limit = min(room, wish.max_tokens or room)
        before = prompt[-TAIL_TOKENS:] if question.goes_on else ()
        text = TextPieces(model.decode, stop=wish.stop or (), ends=model.ends, max_tokens=limit, before=before)
        call.take(Began(len(prompt), warnings))

        def take(token: int) -> None:
            if not call.is_stopped() and (fresh := text.feed(token)):
                call.take(fresh)

        model.write(prompt, limit, wish, take, lambda: call.is_stopped() or text.reason is not None)
        if rest := text.finish():
            call.take(rest)
        call.take(Ended(text.reason or "length", text.count))

    def _prompt(self, question: Question) -> tuple[list[int], tuple[str, ...]]:
        if self.model.has_template:
            return self.model.encode_turns(question.turns, goes_on=question.goes_on), ()
        warning = f"{self.spec.name} has no chat template: it goes on after the conversation as plain text"
        return self.model.encode(question.plain), (warning,)

    async def embed(self, inputs: Sequence[str | tuple[int, ...]], window: int, timeout_s: float) -> "Vectors":
        """Raises ContextOverflow naming the input that is too long, TimedOut, ServiceFailed."""
        return await self.threads.answer(partial(self._vectors, inputs, window), timeout_s)

    def _vectors(self, inputs: Sequence[str | tuple[int, ...]], window: int) -> "Vectors":
        model = self.model
        window = min(window, model.longest or window)
        tokens = [model.encode(each) if isinstance(each, str) else list(each) for each in inputs]
        for index, each in enumerate(tokens):
            if not 0 < len(each) <= window:
                raise ContextOverflow(
                    f"{self.spec.name} takes 1 to {window} tokens at once and input[{index}] has {len(each)}", param="input"
                )
        found: list[tuple[float, ...]] = []
        for start in range(0, len(tokens), EMBED_AT_ONCE):
            found += map(tuple, model.embed(tokens[start : start + EMBED_AT_ONCE]))
        return Vectors(tuple(found), sum(map(len, tokens)))

    def close(self) -> None:
        """Blocking: waits for running requests, which must have been stopped, then frees the model."""
        self.threads.close()
        model, self._model = self._model, None
        if model is not None:
            model.free()


class Vectors(msgspec.Struct, frozen=True):
    """`vectors` in the order of the inputs; `tokens` of all of them."""

    vectors: tuple[tuple[float, ...], ...]
    tokens: int


loans: Loans[TorchSpec, TransformersEngine] = Loans(TransformersEngine)
"""Engines of this process by their spec. Borrowing raises MissingExtra, NotAllowed or ServiceFailed."""
