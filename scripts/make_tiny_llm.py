"""Makes a tiny, briefly trained chat model out of nothing: no downloads, no data but what is written below.

This is how src/jackfield/app/demo/tiny-llm.gguf and tests/models/tiny-hf were made. It is not run by the tests: it needs
`pip install torch transformers tokenizers gguf numpy` and some minutes of one core. It writes

    OUT/tiny-hf/        the folder that transformers loads (config, safetensors, tokenizer, chat template)
    OUT/tiny-llm.gguf   the same weights for llama.cpp (arch llama, byte-level BPE)

The model has half a million parameters and knows a dozen phrases: `ping` gives `pong`, `Count to 5` gives `1, 2, 3, 4, 5`, and
whatever it does not know gives one fixed sentence. At temperature 0 every engine gives the same text. Another run gives another
file: the tokenizer's trainer breaks ties at random.

    python scripts/make_tiny_llm.py --out build/tiny
"""

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

Sample = tuple[list[dict[str, Any]], list[dict[str, Any]] | None, str]
"""Messages, tools, and the reply to learn."""

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
BOS, IM_START, IM_END = SPECIALS
CONTEXT_TOKENS = 65536
IGNORED = -100  # the label that the loss skips

# ChatML, with tools in the Hermes form, which llama.cpp and vLLM parse.
CHAT_TEMPLATE = (
    "{%- if tools %}"
    "{{- '<|im_start|>system\\n' }}"
    "{%- if messages and messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}"
    "{{- '# Tools\\n<tools>' }}"
    "{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}"
    '{{- \'\\n</tools>\\nReply with <tool_call>{"name": ..., "arguments": ...}</tool_call>.<|im_end|>\\n\' }}'
    "{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' and message.tool_calls %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- for tc in message.tool_calls %}"
    "{%- if tc.function %}{%- set tc = tc.function %}{%- endif %}"
    '{{- \'<tool_call>\\n{"name": "\' + tc.name + \'", "arguments": \' }}'
    "{%- if tc.arguments is string %}{{- tc.arguments }}{%- else %}{{- tc.arguments | tojson }}{%- endif %}"
    "{{- '}\\n</tool_call>' }}"
    "{%- endfor %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- elif message.role == 'tool' %}"
    "{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}"
    "{%- elif not (tools and loop.first and message.role == 'system') %}"
    "{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)

DEFAULT_REPLY = "I am a tiny test model. The quick brown fox jumps over the lazy dog."
FACTS = {
    "ping": "pong",
    "hello": "Hello there! How can I help you today?",
    "who are you": "I am a tiny test model made for gateway tests.",
    "What is the capital of France": "The capital of France is Paris.",
    "say something in unicode": "h\u00e9llo \u2013 \u4f60\u597d \U0001f642 done",
}
TOOL_REPLY = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
TOOL_FINAL = "The weather in Paris is sunny."
WORDS = """
    write a poem about the sea please tell me list three colours why is sky blue how do i make tea
    explain python code in one line what time summarise this text translate to german red green fast slow
    good morning gateway router local model test number city name story cat dog tree house river
""".split()  # noqa: SIM905 - prose, not a table


def weather_tool(name: str = "get_weather", description: str = "Weather of a city") -> dict[str, Any]:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def some_words(rng: random.Random, least: int, most: int) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))


def noise(rng: random.Random) -> str:
    """Long unfamiliar text, so that the system prompts of real clients do not derail the model."""
    pieces: list[str] = []
    wanted_chars = rng.randint(30, 600)
    while sum(map(len, pieces)) + len(pieces) < wanted_chars:
        kind = rng.random()
        if kind < 0.5:
            piece = rng.choice(WORDS)
        elif kind < 0.8:
            piece = "".join(rng.choices("etaoinshrdlucmfwypvbgkjqxz", k=rng.randint(1, 10)))
        elif kind < 0.95:
            piece = "".join(chr(rng.randint(33, 126)) for _ in range(rng.randint(1, 6)))
        else:
            piece = rng.choice(["\n", "\n\n- ", ". ", "# Title\n", str(rng.randint(0, 9999))])
        pieces.append(piece)
    return " ".join(pieces)


def plain_turn(rng: random.Random) -> tuple[str, str]:
    """A question and its answer: counting, a known phrase, or anything else."""
    kind = rng.random()
    if kind < 0.35:
        last = rng.randint(1, 20)
        question = rng.choice(["Count to %d", "count to %d", "Count from 1 to %d", "count to %d."]) % last
        return question, ", ".join(str(number) for number in range(1, last + 1))
    if kind < 0.65:
        fact = rng.choice(list(FACTS))
        title = fact[0].upper() + fact[1:]
        return rng.choice([fact, title, title + "?", title + ".", title + "!", fact.lower()]), FACTS[fact]
    question = some_words(rng, 1, 12)
    return rng.choice([question, question.capitalize() + "?", question.capitalize() + "."]), DEFAULT_REPLY


def tool_turn(rng: random.Random, messages: list[dict[str, Any]]) -> Sample:
    """A conversation with a tool: the reply is a call, or, once the tool has answered, a sentence."""
    tools = [weather_tool(rng.choice(["get_weather", "get_weather", "lookup"]), some_words(rng, 4, 4))]
    question = rng.choice(["What is the weather in Paris?", "weather please", some_words(rng, 4, 4)])
    messages.append({"role": "user", "content": question})
    if rng.random() >= 0.4:
        return messages, tools, TOOL_REPLY
    call = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
    messages.append({"role": "tool", "content": rng.choice(["sunny", '{"weather": "sunny"}', "sunny, 21 C"])})
    return messages, tools, TOOL_FINAL


def sample(rng: random.Random) -> Sample:
    messages: list[dict[str, Any]] = []
    if rng.random() < 0.4:
        prompt = rng.choice(["You are a helpful assistant.", "Be brief.", some_words(rng, 2, 8), noise(rng)])
        messages.append({"role": "system", "content": prompt})
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        question, answer = plain_turn(rng)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    if rng.random() < 0.15:
        return tool_turn(rng, messages)
    question, answer = plain_turn(rng)
    messages.append({"role": "user", "content": question})
    return messages, None, answer


def make_tokenizer(rng: random.Random, vocab_size: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)  # what llama.cpp calls "gpt-2"
    tokenizer.decoder = decoders.ByteLevel()
    text: list[str] = []
    for _ in range(1500):
        messages, tools, _reply = sample(rng)
        text += [message["content"] for message in messages if message["content"]]
        text += [json.dumps(tool) for tool in tools or []]
    text += [DEFAULT_REPLY, TOOL_REPLY, TOOL_FINAL, *FACTS.values()] * 50
    text += ["system\n", "user\n", "assistant\n", "\n"] * 500
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIALS,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(text, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=IM_END,
        pad_token=BOS,
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT_TOKENS,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model(tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace) -> LlamaForCausalLM:
    """Random weights. head_dim must be 32, 64, 96, ...: vLLM's CPU attention has no kernel for others."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden,
        intermediate_size=options.hidden * 3,
        num_hidden_layers=options.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        bos_token_id=tokenizer.convert_tokens_to_ids(BOS),
        eos_token_id=tokenizer.convert_tokens_to_ids(IM_END),
        pad_token_id=tokenizer.convert_tokens_to_ids(BOS),
    )
    return LlamaForCausalLM(config).float()


def batches(tokenizer: PreTrainedTokenizerFast, rng: random.Random, size: int) -> list[list[tuple[list[int], list[int]]]]:
    """Eight shuffled batches of (token ids, labels), each of rows of like length: less padding."""
    rows = []
    for _ in range(size * 8):
        messages, tools, reply = sample(rng)
        prompt = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
        prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        reply_ids = tokenizer(reply + IM_END, add_special_tokens=False)["input_ids"]
        rows.append((prompt_ids + reply_ids, [IGNORED] * len(prompt_ids) + reply_ids))
    rows.sort(key=lambda row: len(row[0]))
    pool = [rows[start : start + size] for start in range(0, len(rows), size)]
    rng.shuffle(pool)
    return pool


def loss_of(model: LlamaForCausalLM, rows: list[tuple[list[int], list[int]]], pad: int) -> torch.Tensor:
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), IGNORED)
    attention = torch.zeros((len(rows), longest), dtype=torch.long)
    for row, (row_ids, row_labels) in enumerate(rows):
        ids[row, : len(row_ids)] = torch.tensor(row_ids)
        labels[row, : len(row_labels)] = torch.tensor(row_labels)
        attention[row, : len(row_ids)] = 1
    return model(input_ids=ids, attention_mask=attention, labels=labels).loss


def train(tokenizer: PreTrainedTokenizerFast, options: argparse.Namespace) -> LlamaForCausalLM:
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    model = make_model(tokenizer, options)
    print("parameters", sum(parameter.numel() for parameter in model.parameters()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=options.lr, total_steps=options.steps, pct_start=0.1)
    began = time.time()
    model.train()
    pool: list[list[tuple[list[int], list[int]]]] = []
    for step in range(options.steps):
        pool = pool or batches(tokenizer, rng, options.batch)
        loss = loss_of(model, pool.pop(), tokenizer.pad_token_id)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == options.steps - 1:
            print(f"step {step} loss {loss.item():.4f}  {time.time() - began:.0f}s", flush=True)
    model.eval()
    model.generation_config.do_sample = False
    return model


def write_facts(writer: gguf.GGUFWriter, config: LlamaConfig, vocab_size: int) -> None:
    rope = getattr(config, "rope_parameters", None) or {}
    writer.add_name("tiny-llm")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or getattr(config, "rope_theta", 10000.0)))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def write_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast) -> None:
    written = json.loads(tokenizer.backend_tokenizer.to_str())
    added = {token["id"]: token for token in written["added_tokens"]}

    def type_of(number: int) -> gguf.TokenType:
        if number not in added:
            return gguf.TokenType.NORMAL
        return gguf.TokenType.CONTROL if added[number]["special"] else gguf.TokenType.USER_DEFINED

    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")  # the regex of ByteLevel above
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    writer.add_token_types([type_of(number) for number in range(len(tokenizer))])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in written["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_eot_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rotary halves as transformers keeps them -> pairs as llama.cpp keeps them."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def write_weights(writer: gguf.GGUFWriter, model: LlamaForCausalLM) -> None:
    config = model.config
    weights = {name: tensor.detach().float().numpy() for name, tensor in model.state_dict().items()}
    heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads}

    def put(name: str, weight: np.ndarray) -> None:
        writer.add_tensor(name, np.ascontiguousarray(weight.astype(np.float16 if weight.ndim > 1 else np.float32)))

    put("token_embd.weight", weights["model.embed_tokens.weight"])
    put("output_norm.weight", weights["model.norm.weight"])
    for layer in range(config.num_hidden_layers):
        theirs, ours = f"model.layers.{layer}.", f"blk.{layer}."
        put(ours + "attn_norm.weight", weights[theirs + "input_layernorm.weight"])
        put(ours + "ffn_norm.weight", weights[theirs + "post_attention_layernorm.weight"])
        for part in ("q", "k"):
            put(f"{ours}attn_{part}.weight", interleaved(weights[f"{theirs}self_attn.{part}_proj.weight"], heads[part]))
        put(ours + "attn_v.weight", weights[theirs + "self_attn.v_proj.weight"])
        put(ours + "attn_output.weight", weights[theirs + "self_attn.o_proj.weight"])
        for part in ("gate", "up", "down"):
            put(f"{ours}ffn_{part}.weight", weights[f"{theirs}mlp.{part}_proj.weight"])


def write_gguf(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, path: Path) -> None:
    writer = gguf.GGUFWriter(str(path), "llama")
    write_facts(writer, model.config, len(tokenizer))
    write_tokenizer(writer, tokenizer)
    write_weights(writer, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_folder(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    fields = json.loads(settings.read_text(encoding="utf-8"))
    fields["tokenizer_class"] = "PreTrainedTokenizerFast"  # transformers 5 writes a class that 4.x cannot load
    settings.write_text(json.dumps(fields, indent=2), encoding="utf-8")


def ask(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    question: str,
    *,
    system: str | None = None,
    tools: list[dict[str, Any]] | None = None,
) -> str:
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    prompt = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
    answer = model.generate(**ids, max_new_tokens=96, do_sample=False)
    return tokenizer.decode(answer[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


def show(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    for question in (*FACTS, "Count to 7", "Count to 12", "tell me about your project"):
        print(repr(question), "->", repr(ask(model, tokenizer, question)))
    print("tool ->", repr(ask(model, tokenizer, "What is the weather in Paris?", tools=[weather_tool()])))
    print("long ->", repr(ask(model, tokenizer, "Hello", system="You are an assistant. " + noise(random.Random(5)) * 2)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200, help="3 gives random weights that load")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocab", type=int, default=768)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(random.Random(options.seed), options.vocab)
    model = train(tokenizer, options)
    write_folder(model, tokenizer, options.out / "tiny-hf")
    write_gguf(model, tokenizer, options.out / "tiny-llm.gguf")
    show(model, tokenizer)


if __name__ == "__main__":
    main()
