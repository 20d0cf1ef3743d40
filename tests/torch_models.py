"""PyTorch and transformers for tests, where scripts/transformers could get them; and tiny models with random weights.

The libraries are in a folder of their own, so that no other test finds them. A test that needs them asks `libraries()` first.
"""

import importlib
import importlib.util
import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine_servers import REPOSITORY, engines_folder

TRAINED = REPOSITORY / "tests/models/tiny-hf"
EMBEDDER = REPOSITORY / "tests/models/hf-embed"
TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"


def libraries() -> tuple[Any, Any]:
    """The torch and transformers modules. Skips the test where scripts/transformers wrote why there are none."""
    folder = engines_folder() / "transformers"
    packages = str(folder / "packages")
    if importlib.util.find_spec("torch") is None and Path(packages).is_dir() and packages not in sys.path:
        sys.path.append(packages)
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        missing = folder / "MISSING"
        if missing.exists():
            pytest.skip(f"no PyTorch: {missing.read_text(encoding='utf-8').strip()}")
        pytest.fail(f"no PyTorch in {packages}: run scripts/transformers, or set JACKFIELD_ENGINES", pytrace=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they deprecate among themselves is not ours
        torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    torch.set_num_threads(1)
    return torch, transformers


def random_model(
    folder: Path, architecture: str, shape: Mapping[str, int], *, dtype: str = "float32", template: str | None = TEMPLATE
) -> Path:
    """A model of that architecture with weights of no meaning, and a tokenizer trained on a line of text."""
    torch, transformers = libraries()
    made = importlib.import_module("tokenizers")
    text = made.Tokenizer(made.models.BPE())
    text.pre_tokenizer = made.pre_tokenizers.ByteLevel(add_prefix_space=False)
    text.decoder = made.decoders.ByteLevel()
    alphabet = made.pre_tokenizers.ByteLevel.alphabet()
    trainer = made.trainers.BpeTrainer(vocab_size=300, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False)
    text.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 4, trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=text, eos_token="<end>", pad_token="<end>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, pad_token_id=0, **shape
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    return folder


def with_own_code(folder: Path, marker: Path) -> Path:
    """A model folder whose code, if it is run, leaves `marker`."""
    random_model(folder, "Llama", SMALL)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {
        "model_type": "foreign",
        "auto_map": {"AutoConfig": "foreign.ForeignConfig", "AutoModelForCausalLM": "foreign.ForeignModel"},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "foreign.py").write_text(
        "from pathlib import Path\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        f"Path({str(marker)!r}).touch()\n"
        "class ForeignConfig(LlamaConfig):\n    model_type = 'foreign'\n"
        "class ForeignModel(LlamaForCausalLM):\n    config_class = ForeignConfig\n",
        encoding="utf-8",
    )
    return folder


SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
"""The shape of a model as small as can be."""
