"""A stand-in for providers/torch_model.py's TorchModel, where PyTorch is not installed: a token is a character.

It answers as the other fakes do, keeps to the same calls, and computes nothing. The real one is tried in tests/engines.
"""

import importlib.machinery
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from jackfield.core.requests import Generation
from jackfield.providers import torch_model
from jackfield.providers.torch_device import Device
from jackfield.providers.torch_model import TorchModel, TorchSpec, Turn

END = 0x10FFFF
PIECE = 3
"""So many characters are written between two looks at whether it is over."""


class FakeTorchModel(TorchModel):
    """`answered` are the wishes that it was asked with; `is_free` once its memory was given back."""

    def __init__(self, spec: TorchSpec) -> None:
        self.spec = spec
        self.device = Device("cpu", "cpu")
        self.has_template = "plain" not in spec.name
        self.ends = frozenset({END})
        self.longest = None
        self.answered: list[Generation] = []
        self.written: list[int] = []
        self.is_free = False

    def encode(self, text: str) -> list[int]:
        return list(map(ord, text))

    def encode_turns(self, turns: Sequence[Turn], *, goes_on: bool) -> list[int]:
        return self.encode(str(turns[-1]["content"]))

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))

    def write(
        self, prompt: Sequence[int], max_tokens: int, wish: Generation, take: Callable[[int], None], is_over: Callable[[], bool]
    ) -> None:
        self.answered.append(wish)
        for token in [*self.encode(said(self.decode(list(prompt)))), END][:max_tokens]:
            self.written.append(token)
            take(token)
            if is_over():
                return

    def embed(self, batch: Sequence[Sequence[int]]) -> list[list[float]]:
        return [[1.0, float(len(each))] for each in batch]

    def free(self) -> None:
        self.is_free = True


def said(prompt: str) -> str:
    count = re.search(r"[Cc]ount to (\d+)", prompt)
    return ", ".join(map(str, range(1, int(count[1]) + 1))) if count else "pong"


def without_torch(patch: pytest.MonkeyPatch) -> list[FakeTorchModel]:
    """From now on the libraries look installed and models are fakes: those that were loaded, in the list."""
    loaded: list[FakeTorchModel] = []

    def load(spec: TorchSpec) -> FakeTorchModel:
        loaded.append(FakeTorchModel(spec))
        return loaded[-1]

    for name in ("torch", "transformers"):
        module = ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        patch.setitem(sys.modules, name, module)
    patch.setattr(torch_model, "load", load)
    return loaded


def model_folder(folder: Path, **config: object) -> Path:
    """A folder that looks like a model's, with nothing to load in it."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 2048, **config}
    (folder / "config.json").write_text(json.dumps(known), encoding="utf-8")
    return folder
