"""One Hugging Face model in PyTorch: loaded from a folder, writing tokens, giving vectors, freed again.

The only file that touches `torch` and `transformers` (extra `[transformers]`), which take seconds to import: call `load` in a
thread. Everything is read from the disk; nothing here may reach the network, and a model's own Python code runs only where the
spec says so.
"""

import gc
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from jackfield.core.errors import JackfieldError, MissingExtra, NotAllowed, NotSupported, RequestRejected, ServiceFailed
from jackfield.core.requests import Generation
from jackfield.providers.hf_models import Pooling, read_pooling
from jackfield.providers.torch_device import Device, TorchSays, pick_device

PIP_LINE = "pip install 'jackfield[transformers]'"
TYPES = ("auto", "float32", "float16", "bfloat16")
_NO_LIMIT = 1 << 30
"""A tokenizer that knows no limit says a number far above this."""
_SEED_MASK = (1 << 63) - 1
Turn = Mapping[str, str]
"""A message as chat templates take it: `role` and `content`."""


class TorchSpec(msgspec.Struct, frozen=True):
    """What tells one loaded model from another: equal specs share one."""

    path: str
    name: str
    device: str = "auto"
    dtype: str = "auto"
    embedding: bool = False
    trust_remote_code: bool = False


def load_libraries() -> tuple[Any, Any]:
    """The torch and transformers modules. Raises MissingExtra."""
    try:
        return importlib.import_module("torch"), importlib.import_module("transformers")
    except ImportError:
        raise MissingExtra(f"PyTorch and transformers are not installed: {PIP_LINE}") from None


def what_torch_says(torch: Any) -> TorchSays:
    mps = getattr(torch.backends, "mps", None)
    return TorchSays(
        cuda=torch.cuda.is_available(),
        hip=getattr(torch.version, "hip", None),
        mps=mps is not None and mps.is_available(),
        gpus=torch.cuda.device_count(),
    )


def check_hardware(hardware: str) -> None:
    """Blocking. Raises NotSupported where PyTorch as it is installed sees none of it, and MissingExtra."""
    torch, _ = load_libraries()
    try:
        pick_device(what_torch_says(torch), hardware)
    except ServiceFailed as error:
        raise NotSupported(error.message, param="hardware") from None


def load(spec: TorchSpec) -> "TorchModel":
    """Raises MissingExtra, NotAllowed where the model wants to run its own code, ServiceFailed where it cannot be loaded."""
    torch, transformers = load_libraries()
    transformers.utils.logging.disable_progress_bar()
    device = pick_device(what_torch_says(torch), spec.device)
    pooling = read_pooling(Path(spec.path)) if spec.embedding else "mean"
    kind = transformers.AutoModel if spec.embedding else transformers.AutoModelForCausalLM
    given = {"local_files_only": True, "trust_remote_code": spec.trust_remote_code}
    dtype = spec.dtype if spec.dtype == "auto" else getattr(torch, spec.dtype)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(spec.path, **given)
        model = kind.from_pretrained(spec.path, dtype=dtype, **given).to(device.name).eval()
    except Exception as error:  # readers of many formats, and perhaps the model's own code: anything may come
        raise _unloadable(spec, error) from error
    return TorchModel(torch, tokenizer, model, device, pooling)


def _unloadable(spec: TorchSpec, error: Exception) -> JackfieldError:
    if "trust_remote_code" in str(error) and not spec.trust_remote_code:
        return NotAllowed(
            f"{spec.name} comes with Python code of its own, which is not run: read the .py files in its folder, and set "
            "trust_remote_code: true if you trust them",
            param="trust_remote_code",
        )
    said = (str(error).strip().splitlines() or [""])[0][:300]
    return ServiceFailed(
        f"{spec.name} could not be loaded ({type(error).__name__}: {said}): is its folder whole, and is there enough memory?"
    )


class TorchModel:
    """A loaded model, for one thread at a time. `ends` are the tokens that end an answer, `longest` the tokenizer's limit."""

    def __init__(self, torch: Any, tokenizer: Any, model: Any, device: Device, pooling: Pooling) -> None:
        self._torch = torch
        self._tokenizer = tokenizer
        self._model = model
        self._pooling = pooling
        self.device = device
        longest = getattr(tokenizer, "model_max_length", None)
        self.longest: int | None = longest if isinstance(longest, int) and longest < _NO_LIMIT else None
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        own = getattr(model, "generation_config", None)
        self.ends = frozenset({*_numbers(getattr(own, "eos_token_id", None)), *_numbers(tokenizer.eos_token_id)})
        self._defaults = _take_defaults(own)

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text)["input_ids"])

    def encode_turns(self, turns: Sequence[Turn], *, goes_on: bool) -> list[int]:
        """Tokens by the model's template; with `goes_on` the last turn is left open. Raises RequestRejected if it refuses."""
        try:
            text = self._tokenizer.apply_chat_template(
                [dict(turn) for turn in turns],
                tokenize=False,
                add_generation_prompt=not goes_on,
                continue_final_message=goes_on,
            )
        except Exception as error:  # a template is the model's own program, and raises whatever it likes
            raise RequestRejected(f"the model's chat template refused the messages: {error}") from error
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def write(
        self, prompt: Sequence[int], max_tokens: int, wish: Generation, take: Callable[[int], None], is_over: Callable[[], bool]
    ) -> None:
        """Gives every new token to `take`; asks after each whether it is over. Raises ServiceFailed, for want of memory."""
        torch = self._torch
        tokens = torch.tensor([list(prompt)], device=self.device.name)
        end = min(self.ends) if self.ends else 0
        try:
            with torch.inference_mode():
                self._model.generate(
                    tokens,
                    attention_mask=torch.ones_like(tokens),
                    max_new_tokens=max_tokens,
                    do_sample=False,
                    eos_token_id=sorted(self.ends) or None,
                    pad_token_id=end,
                    streamer=_Taker(take),
                    stopping_criteria=[_Over(torch, is_over)],
                    logits_processor=[_Chooser(torch, wish, self._defaults, len(prompt), self.device.name)],
                )
        except (RuntimeError, ValueError, IndexError) as error:
            raise self._failed(error) from None

    def embed(self, batch: Sequence[Sequence[int]]) -> list[list[float]]:
        """One vector of length 1 for each list of tokens."""
        torch = self._torch
        longest = max(map(len, batch))
        tokens = torch.tensor([[*each, *[0] * (longest - len(each))] for each in batch], device=self.device.name)
        mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in batch], device=self.device.name)
        try:
            with torch.inference_mode():
                states = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
                weights = mask.unsqueeze(-1).float()
                mean = (states * weights).sum(1) / weights.sum(1)
                chosen = mean if self._pooling == "mean" else states[:, 0]
                vectors: list[list[float]] = torch.nn.functional.normalize(chosen, dim=-1).cpu().tolist()
        except (RuntimeError, ValueError, IndexError) as error:
            raise self._failed(error) from None
        except AttributeError:
            raise NotSupported("this model gives no hidden states to make a vector of: use an embedding model") from None
        return vectors

    def _failed(self, error: Exception) -> ServiceFailed:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        return ServiceFailed(f"PyTorch failed on {self.device.hardware} ({said}): is there enough memory?")

    def free(self) -> None:
        """Gives the memory back, the GPU's too."""
        self._model = self._tokenizer = None
        gc.collect()
        if self.device.hardware in ("cuda", "rocm"):
            self._torch.cuda.empty_cache()
        elif self.device.hardware == "mps":
            self._torch.mps.empty_cache()


def _numbers(value: Any) -> list[int]:
    return [] if value is None else [value] if isinstance(value, int) else list(value)


def _take_defaults(own: Any) -> Generation:
    """How the model's maker says it should write. Taken out of `own`, as the choice is made here and not by `generate`."""
    if own is None:
        return Generation(temperature=0.0)
    samples = bool(own.do_sample)
    wish = Generation(
        temperature=(1.0 if own.temperature is None else float(own.temperature)) if samples else 0.0,
        top_p=own.top_p if samples else None,
        top_k=own.top_k if samples else None,
    )
    own.do_sample, own.temperature, own.top_p, own.top_k = False, None, None, None
    return wish


class _Taker:
    """What `generate` calls a streamer: told the prompt first, then each token."""

    def __init__(self, take: Callable[[int], None]) -> None:
        self._take = take
        self._has_prompt = False

    def put(self, value: Any) -> None:
        if self._has_prompt:
            self._take(int(value.reshape(-1)[0]))
        self._has_prompt = True

    def end(self) -> None:
        """Nothing is held back here."""


class _Over:
    """What `generate` calls a stopping criterion."""

    def __init__(self, torch: Any, is_over: Callable[[], bool]) -> None:
        self._torch = torch
        self._is_over = is_over

    def __call__(self, tokens: Any, scores: Any) -> Any:
        return self._torch.full((tokens.shape[0],), self._is_over(), device=tokens.device, dtype=self._torch.bool)


class _Chooser:
    """Chooses the next token and leaves `generate` no other. With a seed of its own: others in this process do not disturb it.

    Stands last among what `generate` calls logits processors.
    """

    def __init__(self, torch: Any, wish: Generation, defaults: Generation, prompt_size: int, device: str) -> None:
        self._torch = torch
        self._prompt_size = prompt_size
        self._temperature = _first(wish.temperature, defaults.temperature, 1.0)
        self._top_p = _first(wish.top_p, defaults.top_p, 1.0)
        self._top_k = int(_first(wish.top_k, defaults.top_k, 0))
        self._frequency, self._presence = wish.frequency_penalty or 0.0, wish.presence_penalty or 0.0
        self._generator = None
        if wish.seed is not None:
            self._generator = torch.Generator(device=device).manual_seed(wish.seed & _SEED_MASK)

    def __call__(self, tokens: Any, scores: Any) -> Any:
        torch = self._torch
        if self._frequency or self._presence:
            counts = torch.bincount(tokens[0, self._prompt_size :], minlength=scores.shape[-1]).to(scores.dtype)
            scores = scores - counts * self._frequency - (counts > 0).to(scores.dtype) * self._presence
        if self._temperature <= 0:
            return scores
        chances = torch.softmax(self._narrowed(scores / self._temperature), dim=-1)
        chosen = torch.multinomial(chances, 1, generator=self._generator)
        return torch.full_like(scores, -torch.inf).scatter(1, chosen, 0.0)

    def _narrowed(self, scores: Any) -> Any:
        """Only the `top_k` best, and of these the best that together have the chance `top_p`; at least one."""
        torch = self._torch
        if 0 < self._top_k < scores.shape[-1]:
            least = torch.topk(scores, self._top_k).values[:, -1:]
            scores = scores.masked_fill(scores < least, -torch.inf)
        if self._top_p < 1:
            ordered, places = torch.sort(scores, descending=True)
            chances = torch.softmax(ordered, dim=-1)
            beyond = chances.cumsum(-1) - chances >= self._top_p
            beyond[:, 0] = False
            scores = scores.masked_fill(beyond.scatter(1, places, beyond), -torch.inf)
        return scores


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
