"""Makes sentence-embedding models for llama.cpp: a tiny one out of nothing, or a BERT folder converted.

This is how tests/models/tiny-embed.gguf and tests/models/hf-embed were made. It is not run by the tests. `--convert` needs
`pip install numpy gguf safetensors`; `--tiny` needs torch, transformers and tokenizers besides. The tiny model has random
weights: its vectors are stable and of the right shape, and mean nothing. Another run gives another file: the tokenizer's
trainer breaks ties at random.

    python scripts/make_bert_gguf.py --tiny build/embed
    python scripts/make_bert_gguf.py --convert path/to/bert-folder out.gguf --type q8_0
"""

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FILE_TYPES = {
    "f32": gguf.LlamaFileType.ALL_F32,
    "f16": gguf.LlamaFileType.MOSTLY_F16,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}
HEAD_NAMES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
LAYER_NAMES = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
ALWAYS_F32 = {"position_embd.weight", "token_types.weight"}


def read_vocabulary(folder: Path) -> list[str]:
    plain = folder / "vocab.txt"
    if plain.exists():
        return plain.read_text(encoding="utf-8").splitlines()
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return sorted(vocabulary, key=vocabulary.__getitem__)


def write_facts(writer: gguf.GGUFWriter, config: dict[str, Any], name: str, dtype: str, vocab_size: int) -> None:
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_vocab_size(vocab_size)
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_file_type(FILE_TYPES[dtype])


def write_tokenizer(writer: gguf.GGUFWriter, vocabulary: list[str]) -> None:
    def spelled(token: str) -> str:  # llama.cpp marks the start of a word, BERT its continuation
        if token in SPECIALS:
            return token
        return token[2:] if token.startswith("##") else "\u2581" + token

    def type_of(token: str) -> gguf.TokenType:
        if token == "[UNK]":
            return gguf.TokenType.UNKNOWN
        return gguf.TokenType.CONTROL if token in SPECIALS else gguf.TokenType.NORMAL

    number = {token: index for index, token in enumerate(vocabulary)}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([spelled(token) for token in vocabulary])
    writer.add_token_types([type_of(token) for token in vocabulary])
    writer.add_bos_token_id(number["[CLS]"])
    writer.add_sep_token_id(number["[SEP]"])
    writer.add_eos_token_id(number["[SEP]"])
    writer.add_unk_token_id(number["[UNK]"])
    writer.add_pad_token_id(number["[PAD]"])
    writer.add_mask_token_id(number["[MASK]"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def tensor_names(layers: int) -> dict[str, str]:
    names = dict(HEAD_NAMES)
    for layer in range(layers):
        for theirs, ours in LAYER_NAMES.items():
            for part in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{theirs}.{part}"] = f"blk.{layer}.{ours}.{part}"
    return names


def write_weights(writer: gguf.GGUFWriter, weights: dict[str, np.ndarray], layers: int, dtype: str) -> None:
    for theirs, ours in tensor_names(layers).items():
        weight = weights[theirs].astype(np.float32)
        if weight.ndim < 2 or ours in ALWAYS_F32 or dtype == "f32":
            writer.add_tensor(ours, weight)
        elif dtype == "q8_0" and weight.shape[-1] % 32 == 0:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(ours, gguf.quants.quantize(weight, kind), raw_dtype=kind)
        else:
            writer.add_tensor(ours, weight.astype(np.float16))


def convert(folder: Path, out: Path, dtype: str = "f16") -> None:
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = {name.removeprefix("bert."): weight for name, weight in load_file(folder / "model.safetensors").items()}
    vocabulary = read_vocabulary(folder)
    writer = gguf.GGUFWriter(str(out), "bert")
    write_facts(writer, config, out.stem, dtype, len(vocabulary))
    write_tokenizer(writer, vocabulary)
    write_weights(writer, weights, config["num_hidden_layers"], dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_tokenizer() -> Any:
    """A WordPiece tokenizer that knows every ASCII character, as a word's start and inside a word."""
    from make_tiny_llm import DEFAULT_REPLY, FACTS, WORDS
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    characters = [chr(code) for code in range(33, 127)]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=1000,
        show_progress=False,
        special_tokens=SPECIALS,
        initial_alphabet=characters,
        continuing_subword_prefix="##",
    )
    tokenizer.train_from_iterator([DEFAULT_REPLY, " ".join(WORDS), *FACTS.values(), *FACTS] * 20, trainer)
    body = json.loads(tokenizer.to_str())
    vocabulary = body["model"]["vocab"]
    known = set(vocabulary)
    for character in characters:
        for prefix in ("", "##"):
            if prefix + character.lower() not in known:
                vocabulary.setdefault(prefix + character, len(vocabulary))
    tokenizer = Tokenizer.from_str(json.dumps(body))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def write_sentence_transformer(folder: Path) -> None:
    """The small files by which sentence-transformers knows how to pool."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    pooling = {f"pooling_mode_{mode}": mode == "mean_tokens" for mode in ("mean_tokens", "cls_token", "max_tokens")}
    (folder / "1_Pooling").mkdir(exist_ok=True)
    files: dict[str, object] = {
        "1_Pooling/config.json": {"word_embedding_dimension": 64, **pooling, "pooling_mode_mean_sqrt_len_tokens": False},
        "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for index, (path, kind) in enumerate(modules)
        ],
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def make_tiny(out: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = out / "hf-embed"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_max_length=256,
    )
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(fast),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=256,
        initializer_range=0.15,
    )
    BertModel(config).eval().save_pretrained(folder)
    fast.save_pretrained(folder)
    vocabulary = tokenizer.get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n", encoding="utf-8")
    write_sentence_transformer(folder)
    convert(folder, out / "tiny-embed.gguf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", type=Path, metavar="OUT", help="make the tiny model in this folder")
    parser.add_argument("--convert", nargs=2, type=Path, metavar=("FOLDER", "GGUF"))
    parser.add_argument("--type", choices=sorted(FILE_TYPES), default="f16")
    options = parser.parse_args()
    if options.tiny:
        make_tiny(options.tiny)
    if options.convert:
        convert(*options.convert, options.type)


if __name__ == "__main__":
    main()
