"""A GGUF model played by llama.cpp's own program, one run a request: no server, no library in this process.

Knows the program's options and how to learn which of them it has; running it is command_process.py's. Options that an older
build does not know are left out with a warning, never passed on to fail.
"""

import os
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Self

import msgspec

from jackfield.core.contracts import (
    ListsModels,
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
)
from jackfield.core.errors import BadRequest, JackfieldError, Unavailable
from jackfield.core.events import Event
from jackfield.core.profiles import Capabilities, ModelProfile
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.command_line import asked_of, environ_of
from jackfield.providers.command_output import TextOutput
from jackfield.providers.command_process import Run, running
from jackfield.providers.config import check_counts, merge_generation, read_config
from jackfield.providers.fit import check_fit
from jackfield.providers.gguf import list_models, read_facts, resolve_model
from jackfield.providers.left_out import with_warnings
from jackfield.providers.llama_engine import check_cache_types
from jackfield.providers.local_llama import LLAMA_ALIASES
from jackfield.providers.remedies import failed
from jackfield.providers.wsl_paths import path_here

ARGUMENT_MAX_BYTES = 100_000
"""A longer prompt goes through a file: the system takes no longer argument."""
ALL_LAYERS = 999
END_MARK = "[end of text]"
HELP_WITHIN_S = 15.0
_OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
_NOT_SENT = ("logprobs", "top_logprobs", "parallel_tool_calls", "reasoning_effort", "stop")


def program_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What the program is given of the person's variables."""
    return environ_of(environ, ("GGML_*", "LD_LIBRARY_PATH", "CUDA_*", "HIP_*", "ROCR_*"))


class DirectConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`model` is a file, or a name in `models_dir`. Unset: `threads` all cores, `gpu_layers` the program's own choice.

    `gpu_layers` 999 puts all of them on the GPU. `extra` are further arguments, as they are.
    """

    model: str | None = None
    models_dir: str | None = None
    program: str | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    context_length: int | None = None
    flash_attention: bool | None = None
    cache_type_k: str | None = None
    cache_type_v: str | None = None
    extra: tuple[str, ...] = ()
    timeout: float = 600.0
    idle_timeout: float = 120.0


class LlamaDirect:
    """`programs` are tried in their order; newer builds call the plain one llama-completion, older ones llama-cli."""

    programs: ClassVar[tuple[str, ...]] = ("llama-completion", "llama-cli")
    card: ClassVar[ProviderCard] = ProviderCard(
        id="llama-cli",
        type="local",
        display_name="llama.cpp (program)",
        capabilities=Capabilities(
            tools=False,
            vision=False,
            json_mode=False,
            system_messages=True,
            hardware_types=("cpu", "cuda", "rocm", "metal"),
            protocols=("process",),
        ),
        aliases=("llama-cpp-direct", "llama_cli"),
        docs="https://github.com/ggml-org/llama.cpp/tree/master/tools/completion",
        hint="put llama.cpp's programs on the PATH: https://github.com/ggml-org/llama.cpp/releases",
        limits=("loads the model for every request", "text only, no tools", "no token counts"),
        config_keys=DirectConfig.__struct_fields__,
        config_aliases=dict(LLAMA_ALIASES),
    )

    def __init__(self, config: DirectConfig, generation: Generation, tools: ProviderTools) -> None:
        self._config = config
        self._generation = generation
        self._models_dir = config.models_dir or tools.models_dir
        self._environ = program_environ(tools.environ)
        self._options: frozenset[str] | None = None
        self._takes_flash_value = False
        self.info = ProviderInfo(self.card.id, "local", self.card.display_name)
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities, max_context=config.context_length, default_model=_name_of(config.model)
        )

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key."""
        read, generation = read_config(DirectConfig, config, cls.card.id, LLAMA_ALIASES)
        if not read.model:
            raise BadRequest("it needs a model: a GGUF file, or its name in models_dir", provider=cls.card.id, param="model")
        check_counts(read, ("threads", "context_length"), cls.card.id)
        check_cache_types(read, cls.card.id)
        return cls(read, generation, tools)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """One run of the program; leaving the block ends its process group."""
        generation = merge_generation(request.generation, self._generation)
        system, prompt = asked_of(request, self.card.id)
        name = _name_of(self._config.model) or self.card.id
        check_fit(request, name, self.card.id, self.capabilities, None)
        async with AsyncExitStack() as stack:
            try:
                model = resolve_model(str(self._config.model), self._models_dir)
                warnings = [*self._window_warnings(model), *_not_sent(generation)]
                argv = await self._argv(model, generation, system, warnings)
                last = stack.enter_context(_prompt_arguments(prompt))
                run = await stack.enter_async_context(self._running([*argv, *last]))
            except JackfieldError as error:
                raise failed(error, self.card, "chat", name) from error.__cause__
            async with aclosing(self._events(run, name, warnings)) as events:
                yield events

    async def _events(self, run: Run, model: str, warnings: list[str]) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(self._told(run, model, warnings)) as events:
                async for event in events:
                    yield event
        except JackfieldError as error:
            raise failed(error, self.card, "chat", model) from error.__cause__

    async def _told(self, run: Run, model: str, warnings: list[str]) -> AsyncGenerator[Event, None]:
        output = TextOutput(model, end_mark=END_MARK)
        async for chunk in run.chunks():
            for event in output.feed(chunk):
                yield with_warnings(event, warnings)
        await run.check()
        for event in output.finish():
            yield event

    async def probe(self) -> ProbeResult:
        """Is the program there, and the model's file? Loads no model."""
        began = perf_counter()
        try:
            model = resolve_model(str(self._config.model), self._models_dir)
            read_facts(model)
            await self._known_options()
        except JackfieldError as error:
            return ProbeResult(False, None, error.message, code=error.code)
        return ProbeResult(True, perf_counter() - began, models=(_name_of(str(model)) or "",))

    async def list_models(self) -> tuple[ModelProfile, ...]:
        """GGUF files in the models folder, and the one that is set."""
        found = [path.stem for path in list_models(self._models_dir)]
        own = _name_of(self._config.model)
        return tuple(ModelProfile(name, source="disk") for name in dict.fromkeys([*filter(None, [own]), *found]))

    async def aclose(self) -> None:
        """Nothing outlives a request."""

    def _program(self) -> str:
        for wanted in (self._config.program,) if self._config.program else self.programs:
            found = shutil.which(wanted, path=self._environ.get("PATH"))
            if found is not None:
                return found
        wanted = self._config.program or " or ".join(self.programs)
        raise Unavailable(f"{wanted} is not on the PATH: {self.card.hint}", provider=self.card.id, code="program_missing")

    @asynccontextmanager
    async def _running(self, argv: list[str], within_s: float | None = None) -> AsyncIterator[Run]:
        config = self._config
        idle_s, total_s = (config.idle_timeout, config.timeout) if within_s is None else (within_s, within_s)
        async with running(argv, b"", environ=self._environ, idle_s=idle_s, total_s=total_s) as run:
            yield run

    async def _known_options(self) -> frozenset[str]:
        """What the program's own help names; asked once."""
        if self._options is None:
            async with self._running([self._program(), "--help"], HELP_WITHIN_S) as run:
                text = b"".join([chunk async for chunk in run.chunks()]).decode(errors="replace")
            self._options = frozenset(_OPTION.findall(text + " " + run.complaint))
            self._takes_flash_value = re.search(r"--flash-attn\s*\[?(?:on|\{)", text) is not None
        return self._options

    async def _argv(self, model: Path, generation: Generation, system: str | None, warnings: list[str]) -> list[str]:
        known = await self._known_options()
        config = self._config
        argv = [self._program(), "-m", str(model), "-t", str(config.threads or os.cpu_count() or 1)]
        wanted: list[tuple[str, str | None]] = [
            ("-c", _number(generation.context_length or config.context_length)),
            ("-ngl", _number(config.gpu_layers)),
            ("-n", _number(generation.max_tokens)),
            ("--temp", _number(generation.temperature)),
            ("--top-p", _number(generation.top_p)),
            ("--top-k", _number(generation.top_k)),
            ("--seed", _number(generation.seed)),
            ("--frequency-penalty", _number(generation.frequency_penalty)),
            ("--presence-penalty", _number(generation.presence_penalty)),
            ("-ctk", config.cache_type_k),
            ("-ctv", config.cache_type_v),
            ("-sys", system),
        ]
        for option, value in wanted:
            if value is not None and _has(known, option, warnings):
                argv += [option, value]
        if config.flash_attention is not None and _has(known, "-fa", warnings):
            argv += self._flash(config.flash_attention)
        argv += [option for option in _QUIETLY if option in known]
        return [*argv, *config.extra]

    def _flash(self, is_on: bool) -> list[str]:
        """Newer builds take on or off, older ones only know the flag."""
        if self._takes_flash_value:
            return ["-fa", "on" if is_on else "off"]
        return ["-fa"] if is_on else []

    def _window_warnings(self, model: Path) -> list[str]:
        trained, asked = read_facts(model).context_length, self._config.context_length
        if trained is None or asked is None or asked <= trained:
            return []
        return [f"context_length {asked} is more than the {trained} that {model.name} was trained for"]


_QUIETLY = ("-cnv", "-st", "--jinja", "--no-display-prompt", "--simple-io", "--no-escape", "--no-warmup")
"""One turn by the model's own template, nothing printed but the answer, and the prompt taken as it is written."""


def _has(known: frozenset[str], option: str, warnings: list[str]) -> bool:
    if option in known:
        return True
    warnings.append(f"{option} is not known to this build of llama.cpp: left out")
    return False


def _number(value: float | None) -> str | None:
    return None if value is None else str(value)


def _not_sent(generation: Generation) -> list[str]:
    said = [name for name in _NOT_SENT if getattr(generation, name) is not None]
    return [f"{name} is not passed on: the program has no setting for it" for name in said]


@contextmanager
def _prompt_arguments(prompt: str) -> Iterator[list[str]]:
    """The prompt as the last arguments; a long one in a file of its own, gone afterwards."""
    written = prompt.replace("\0", "\ufffd").encode(errors="replace")
    if len(written) <= ARGUMENT_MAX_BYTES:
        yield ["-p", written.decode()]
        return
    with tempfile.NamedTemporaryFile(prefix="jackfield-prompt-") as file:
        file.write(written)
        file.flush()
        yield ["-f", file.name]


def _name_of(model: str | None) -> str | None:
    return None if model is None else path_here(model).name.removesuffix(".gguf")


class BitnetDirect(LlamaDirect):
    """1.58-bit models, by the program that BitNet builds of llama.cpp."""

    card: ClassVar[ProviderCard] = msgspec.structs.replace(
        LlamaDirect.card,
        id="bitnet-cli",
        display_name="BitNet (program)",
        aliases=("bitnet-direct",),
        docs="https://github.com/microsoft/BitNet",
        hint="build BitNet (python setup_env.py) and put its build/bin on the PATH, or set program to its llama-cli",
        limits=("1.58-bit models, on the CPU", *LlamaDirect.card.limits),
    )
    programs: ClassVar[tuple[str, ...]] = ("llama-cli",)


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[Probes], type[ListsModels]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return LlamaDirect, LlamaDirect, LlamaDirect, LlamaDirect
