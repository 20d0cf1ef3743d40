"""Programs on the person's PATH as sources: an assistant's own command line, or any command that answers a prompt.

Runs the vendor's own program and never reads what it keeps of a login. One run a request, its argument list never near a
shell. How a program is called and read is data (commands.toml); what it is called decides nothing here.
"""

import fnmatch
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from time import perf_counter
from typing import Any, ClassVar, Self

import msgspec

from jackfield.core.contracts import (
    ProbeResult,
    Probes,
    Provider,
    ProviderCard,
    ProviderInfo,
    ProviderTools,
    ProviderType,
)
from jackfield.core.errors import BadRequest, JackfieldError, NotSupported, Unavailable
from jackfield.core.events import Event
from jackfield.core.messages import AudioPart, FilePart, ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.command_output import LineOutput, TextOutput
from jackfield.providers.command_process import Run, running
from jackfield.providers.command_rows import CommandRow, command_rows
from jackfield.providers.config import read_config
from jackfield.providers.fit import check_fit
from jackfield.providers.left_out import with_warnings
from jackfield.providers.remedies import failed

OWN_COMMAND = "command-line"
ALWAYS_GIVEN = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_*", "TERM", "TMPDIR", "TEMP", "TMP", "TZ", "XDG_*", "NO_COLOR"),
    *("SSL_CERT_*", "NODE_EXTRA_CA_CERTS"),
    *("SYSTEMROOT", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "USERPROFILE"),
)
"""Variables without which programs do not run; keys of other services are not among them."""
VERSION_WITHIN_S = 10.0


class CommandConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`command` is the whole argument list of a person's own program; a known one needs at most its `program`.

    `prompt` "stdin" or "argv" ({prompt} in `command`). `hosts`: where prompts go, [] where they stay on this machine.
    """

    command: tuple[str, ...] | None = None
    program: str | None = None
    prompt: str | None = None
    model: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    hosts: tuple[str, ...] | None = None
    environ: tuple[str, ...] = ()
    folder: str | None = None
    timeout: float = 300.0
    idle_timeout: float = 120.0
    max_context: int | None = None


class CommandLine:
    """A program. `row` and `card` are set by the subclasses that `command_types` makes; this one runs a person's own."""

    row: ClassVar[CommandRow | None] = None
    card: ClassVar[ProviderCard] = ProviderCard(
        id=OWN_COMMAND,
        type="local",
        display_name="Own command",
        capabilities=Capabilities(tools=False, vision=False, json_mode=False, system_messages=True, protocols=("process",)),
        aliases=("command", "cli"),
        dialect=None,
        limits=("one process a request", "no tools and no images", "generation parameters are not passed on"),
        config_keys=CommandConfig.__struct_fields__,
        hint="name the program: config command: [my-program, --flag], hosts: [] where its prompts stay on this machine",
    )

    def __init__(self, row: CommandRow, config: CommandConfig, tools: ProviderTools, key: str | None) -> None:
        self._row = row
        self._config = config
        self._gate = tools.http.gate
        self._environ = _environ(row, config, tools.environ, key)
        self._path = self._environ.get("PATH")
        self._hosts = row.hosts if config.hosts is None else config.hosts
        if config.base_url is not None and config.hosts is None:
            self._hosts = (_host_of(config.base_url),)
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities, default_model=config.model, max_context=config.max_context
        )
        self.info = ProviderInfo(self.card.id, self.card.type, self.card.display_name, hosts=self._hosts)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key, AuthFailed for a key reference with nothing behind it."""
        read, _ = read_config(CommandConfig, config, cls.card.id, {"argv": "command", "cwd": "folder", "env": "environ"})
        row = cls.row or _own_row(read)
        key = None if read.api_key is None else tools.secrets.resolve(read.api_key)
        return cls(row, read, tools, key)

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """One run of the program; leaving the block ends its process group."""
        model = request.model or self._config.model
        check_fit(request, model or self._row.program, self.card.id, self.capabilities, None)
        system, prompt = asked_of(request, self.card.id)
        if system is not None and not self._row.takes("system"):
            system, prompt = None, f"{system}\n\n{prompt}"
        stdin = prompt.encode(errors="replace") if self._row.prompt == "stdin" else b""
        warnings = not_passed_on(request.generation, "the program")
        async with AsyncExitStack() as stack:
            try:
                run = await stack.enter_async_context(self._running(self._argv(model, system, prompt), stdin))
            except JackfieldError as error:
                raise self._failed(error, model) from error.__cause__
            async with aclosing(self._events(run, model or self._row.program, warnings)) as events:
                yield events

    @asynccontextmanager
    async def _running(self, argv: list[str], stdin: bytes) -> AsyncIterator[Run]:
        self._check_gate()
        config = self._config
        async with running(
            argv,
            stdin,
            environ=self._environ,
            idle_s=config.idle_timeout,
            total_s=config.timeout,
            folder=config.folder,
        ) as run:
            yield run

    def _failed(self, error: JackfieldError, model: str | None) -> JackfieldError:
        return failed(error, self.card, "chat", model or self._row.program)

    async def _events(self, run: Run, model: str, warnings: list[str]) -> AsyncGenerator[Event, None]:
        try:
            async with aclosing(self._told(run, model, warnings)) as events:
                async for event in events:
                    yield event
        except JackfieldError as error:
            raise self._failed(error, model) from error.__cause__

    async def _told(self, run: Run, model: str, warnings: list[str]) -> AsyncGenerator[Event, None]:
        output = LineOutput(self._row.lines, model, self.card.id) if self._row.lines else TextOutput(model)
        pieces = run.lines() if self._row.lines else run.chunks()
        async for piece in pieces:
            for event in output.feed(piece):
                yield with_warnings(event, warnings)
        await run.check()
        for event in output.finish():
            yield event

    async def probe(self) -> ProbeResult:
        """Is the program there, and does it tell its version? Asks no model and spends nothing."""
        began = perf_counter()
        try:
            argv = [self._program(), "--version"]
            async with running(
                argv, b"", environ=self._environ, idle_s=VERSION_WITHIN_S, total_s=VERSION_WITHIN_S, folder=self._config.folder
            ) as run:
                said = b"".join([chunk async for chunk in run.chunks()])
                if self.row is not None:
                    await run.check()
        except JackfieldError as error:
            return ProbeResult(False, None, error.message)
        version = said.decode(errors="replace").strip().partition("\n")[0][:80]
        return ProbeResult(True, perf_counter() - began, version=version or None)

    async def aclose(self) -> None:
        """Nothing outlives a request."""

    def _program(self) -> str:
        """Raises Unavailable, with how to install it, for a program that is not there."""
        wanted = self._config.program or self._row.program
        found = shutil.which(wanted, path=self._path)
        if found is None:
            raise Unavailable(f"{wanted} is not on the PATH: {self.card.hint}", provider=self.card.id, code="program_missing")
        return found

    def _argv(self, model: str | None, system: str | None, prompt: str) -> list[str]:
        values = {"model": model, "system": system, "prompt": prompt, "base_url": self._config.base_url}
        return [self._program(), *self._row.arguments(values)]

    def _check_gate(self) -> None:
        """Prompts leave with the program: the gate is asked as for any socket of ours. Raises EgressDenied."""
        for host in self._hosts:
            self._gate.check(host.rpartition(":")[0] or host)


def asked_of(request: ChatRequest, provider: str) -> tuple[str | None, str]:
    """What there is of a system prompt, and the conversation as one text. Raises NotSupported for what is no text."""
    _refuse_what_is_not_text(request, provider)
    system = "\n\n".join(message.text for message in request.messages if message.role in ("system", "developer"))
    turns = [message for message in request.messages if message.role not in ("system", "developer")]
    return system or None, transcript(turns)


def transcript(turns: Collection[Message]) -> str:
    """One message as it stands; several as a play, with the word who speaks."""
    if len(turns) == 1:
        return next(iter(turns)).text
    lines = [f"{'User' if message.role == 'user' else 'Assistant'}: {message.text}" for message in turns]
    return "\n\n".join([*lines, "Assistant:"])


def _refuse_what_is_not_text(request: ChatRequest, provider: str) -> None:
    if request.tools:
        raise NotSupported("a program cannot be given tools: leave them out", provider=provider, param="tools")
    if request.response_format is not None and request.response_format.kind != "text":
        raise NotSupported("a program has no JSON mode: ask for it in the prompt", provider=provider, param="response_format")
    strange = (ImagePart, AudioPart, FilePart, ToolCallPart, ToolResultPart)
    for message in request.messages:
        if any(isinstance(part, strange) for part in message.parts):
            raise NotSupported("a program takes text only", provider=provider, param="messages")
    if not any(isinstance(part, TextPart) for message in request.messages for part in message.parts):
        raise BadRequest("messages hold no text", provider=provider, param="messages")


def not_passed_on(generation: Generation, asked: str, known: str = "") -> list[str]:
    """Warnings for settings that `asked` ("the program") has no place for: all but those that `known` has as {name}."""
    said = [
        name for name in Generation.__struct_fields__ if getattr(generation, name) is not None and f"{{{name}}}" not in known
    ]
    return [f"{name} is not passed on: {asked} has no setting for it" for name in said]


def _own_row(config: CommandConfig) -> CommandRow:
    provider = OWN_COMMAND
    if not config.command:
        raise BadRequest(
            "command is missing: the argument list, such as [my-program, --flag]", provider=provider, param="command"
        )
    if config.hosts is None:
        raise BadRequest(
            "hosts is missing: say where the program sends prompts, such as [api.example.com:443], or [] if they stay here",
            provider=provider,
            param="hosts",
        )
    if config.prompt not in (None, "stdin", "argv"):
        raise BadRequest(f"prompt must be stdin or argv, got {config.prompt!r}", provider=provider, param="prompt")
    program, *arguments = config.command
    try:
        row = msgspec.convert(
            {"display_name": program, "program": program, "argv": arguments, "prompt": config.prompt or "stdin"}, CommandRow
        )
        row.arguments({})
    except (msgspec.ValidationError, ValueError) as error:
        raise BadRequest(f"command: {error}; write {{{{ for a brace", provider=provider, param="command") from None
    if row.prompt == "argv" and not row.takes("prompt"):
        raise BadRequest("command has no {prompt}, and prompt is argv", provider=provider, param="command")
    return row


def environ_of(environ: Mapping[str, str], further: Collection[str] = ()) -> dict[str, str]:
    """What a program is given of the person's variables: what all programs need, and `further` names or beginnings (ABC_*)."""
    patterns = (*ALWAYS_GIVEN, *further)
    return {name: text for name, text in environ.items() if any(fnmatch.fnmatchcase(name.upper(), each) for each in patterns)}


def _environ(row: CommandRow, config: CommandConfig, environ: Mapping[str, str], key: str | None) -> dict[str, str]:
    given = environ_of(environ, (*row.environ, *config.environ))
    if config.base_url is not None and row.base_url is not None:
        given[row.base_url] = config.base_url
    if key is not None and row.key is not None:
        given[row.key] = key
    return given


def _host_of(base_url: str) -> str:
    from jackfield.transport.http1 import Endpoint

    endpoint = Endpoint.parse(base_url)
    return f"{endpoint.host}:{endpoint.port}"


def command_types() -> list[type[CommandLine]]:
    """A provider type for each row, and the one for a person's own command."""
    made = [
        type(f"CommandLine_{id_}", (CommandLine,), {"row": row, "card": _card(id_, row)}) for id_, row in command_rows().items()
    ]
    return [*made, CommandLine]


def _card(id_: str, row: CommandRow) -> ProviderCard:
    return msgspec.structs.replace(
        CommandLine.card,
        id=id_,
        type="api",
        display_name=row.display_name,
        capabilities=msgspec.structs.replace(CommandLine.card.capabilities, streaming=row.streams),
        aliases=row.aliases,
        is_external=bool(row.hosts),
        key_env=(row.key,) if row.key else (),
        docs=row.docs,
        hint=row.hint,
    )


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[Probes]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return CommandLine, CommandLine, CommandLine
