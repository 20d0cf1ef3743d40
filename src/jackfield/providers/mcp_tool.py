"""A remote MCP server's tool as a source: the prompt goes in as one of its arguments, its text comes out as the answer.

The only provider that knows the MCP SDK (extra `[mcp]`), which is loaded when a slot first talks to its server. One session
is kept for a slot, by a task of its own, since the SDK's contexts must be left by the task that entered them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from jackfield.core.contracts import ProbeResult, Probes, Provider, ProviderCard, ProviderInfo, ProviderTools, ProviderType
from jackfield.core.errors import AuthFailed, BadRequest, JackfieldError, Malformed, MissingExtra, TimedOut, Unavailable
from jackfield.core.events import Event
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest
from jackfield.providers.command_line import asked_of, environ_of, not_passed_on
from jackfield.providers.command_output import Pieces
from jackfield.providers.config import read_config
from jackfield.providers.fit import check_fit
from jackfield.providers.remedies import failed
from jackfield.transport.endpoint import Endpoint
from jackfield.transport.gated import gated_client

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult

CONNECT_WITHIN_S = 20.0


class McpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`url` of a server over HTTP, or the `command` that starts one. `tool` may be left out where it has only one.

    The prompt is its argument `prompt_argument`, a system prompt `system_argument` where that is named, the model
    `model_argument`; `arguments` are sent along. `hosts`: where a command's prompts go, [] where they stay here.
    """

    url: str | None = None
    command: tuple[str, ...] | None = None
    tool: str | None = None
    prompt_argument: str = "prompt"
    system_argument: str | None = None
    model_argument: str | None = None
    arguments: dict[str, Any] = {}
    model: str | None = None
    hosts: tuple[str, ...] | None = None
    environ: tuple[str, ...] = ()
    api_key: str | None = None
    timeout: float = 300.0
    max_context: int | None = None


class McpTool:
    """One tool of one server."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="mcp",
        type="api",
        display_name="MCP tool",
        capabilities=Capabilities(
            streaming=False, tools=False, vision=False, json_mode=False, system_messages=True, protocols=("mcp",)
        ),
        aliases=("mcp-tool",),
        docs="https://modelcontextprotocol.io",
        hint="give the server's url, or the command that starts it: config url: http://127.0.0.1:8601/mcp",
        limits=("the answer comes in one piece", "no token counts", "no tools and no images"),
        config_keys=McpConfig.__struct_fields__,
    )

    def __init__(self, config: McpConfig, tools: ProviderTools, key: str | None) -> None:
        self._config = config
        self._tools = tools
        self._key = key
        self._session: _Session | None = None
        self._opening = asyncio.Lock()
        self._hosts = _hosts(config)
        self.capabilities = msgspec.structs.replace(self.card.capabilities, max_context=config.max_context)
        self.info = ProviderInfo(self.card.id, self.card.type, self.card.display_name, hosts=self._hosts)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key."""
        read, _ = read_config(McpConfig, config, cls.card.id, {"base_url": "url", "argv": "command"})
        if (read.url is None) == (read.command is None):
            raise BadRequest("give either url or command, not both and not neither", provider=cls.card.id, param="url")
        if read.command is not None and (not read.command or read.hosts is None):
            what = "command is empty" if not read.command else "hosts is missing: where its prompts go, [] if they stay here"
            raise BadRequest(what, provider=cls.card.id, param="hosts" if read.command else "command")
        return cls(read, tools, None if read.api_key is None else tools.secrets.resolve(read.api_key))

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """One call of the tool, made on entering; leaving early cancels it at the server."""
        system, prompt = asked_of(request, self.card.id)
        model = request.model or self._config.model
        check_fit(request, model or self.card.id, self.card.id, self.capabilities, None)
        try:
            async with asyncio.timeout(self._config.timeout):
                session = await self._connected()
                result = await session.call(await self._tool(session), self._arguments(model, system, prompt))
        except TimeoutError:
            late = TimedOut(f"the tool did not answer within {self._config.timeout:g} s", provider=self.card.id)
            raise failed(late, self.card, "chat", None) from None
        except JackfieldError as error:
            raise failed(error, self.card, "chat", None) from error.__cause__
        warnings = not_passed_on(request.generation, "the tool")
        yield _events(_text_of(result), model or self._config.tool or self.card.id, warnings)

    async def probe(self) -> ProbeResult:
        """Is the server there, and does it have the tool? Calls no tool."""
        began = perf_counter()
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                session = await self._connected()
                tool = await self._tool(session)
        except TimeoutError:
            return ProbeResult(False, None, f"no answer within {CONNECT_WITHIN_S:g} s")
        except AuthFailed as error:
            return ProbeResult(False, None, error.message, authorized=False)
        except JackfieldError as error:
            return ProbeResult(False, None, error.message)
        return ProbeResult(True, perf_counter() - began, f"tool {tool}")

    async def aclose(self) -> None:
        """Ends the session, and a server that was started for it. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.aclose()

    async def _connected(self) -> "_Session":
        async with self._opening:
            if self._session is not None and self._session.has_ended:
                await self.aclose()
            if self._session is None:
                for host in self._hosts:
                    self._tools.http.gate.check(host.rpartition(":")[0])
                self._session = await _Session.open(self._config, self._tools, self._key)
            return self._session

    async def _tool(self, session: "_Session") -> str:
        if self._config.tool is not None and self._config.tool in session.tools:
            return self._config.tool
        if self._config.tool is None and len(session.tools) == 1:
            return session.tools[0]
        known = ", ".join(session.tools) or "none"
        raise BadRequest(f"tool must name one of the server's tools: {known}", provider=self.card.id, param="tool")

    def _arguments(self, model: str | None, system: str | None, prompt: str) -> dict[str, Any]:
        config = self._config
        given = dict(config.arguments)
        if system is not None and config.system_argument is None:
            prompt = f"{system}\n\n{prompt}"
        elif system is not None and config.system_argument is not None:
            given[config.system_argument] = system
        if config.model_argument is not None and model is not None:
            given[config.model_argument] = model
        return {**given, config.prompt_argument: prompt}


class _Session:
    """An open session; a task of its own holds it. `tools` are the server's, by name; `status` is its last answer's."""

    def __init__(self) -> None:
        self.tools: tuple[str, ...] = ()
        self.status: int | None = None
        self._client: Client | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leave = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, config: McpConfig, tools: ProviderTools, key: str | None) -> "_Session":
        """Raises MissingExtra, Unavailable, AuthFailed, EgressDenied."""
        session = cls()
        session._task = asyncio.create_task(session._hold(config, tools, key), name="MCP session")
        try:
            await asyncio.shield(session._ready)
        except BaseException:
            await session.aclose()
            raise
        return session

    @property
    def has_ended(self) -> bool:
        return self._task is None or self._task.done() or self._leave.is_set()

    async def call(self, tool: str, arguments: dict[str, Any]) -> "CallToolResult":
        """Raises Unavailable when the server goes away in the middle, or refuses."""
        from mcp import MCPError

        assert self._client is not None
        assert self._task is not None
        calling = asyncio.create_task(self._client.call_tool(tool, arguments))
        try:
            await asyncio.wait((calling, self._task), return_when=asyncio.FIRST_COMPLETED)
            if not calling.done():
                raise Unavailable("the server ended in the middle of the call")
            return calling.result()
        except MCPError as error:
            self._leave.set()  # the connection may be gone: the next call opens a new one
            raise Unavailable(f"the server refused the call: {error}") from error
        finally:
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)

    async def aclose(self) -> None:
        self._leave.set()
        if self._task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await asyncio.gather(self._task, return_exceptions=True)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _hold(self, config: McpConfig, tools: ProviderTools, key: str | None) -> None:
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S) as limit, _client(config, tools, key, self._note) as client:
                listed = await client.list_tools()
                limit.reschedule(None)
                self.tools = tuple(tool.name for tool in listed.tools)
                self._client = client
                self._ready.set_result(None)
                await self._leave.wait()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a task's outermost handler: whoever waits is told
            if not self._ready.done():
                self._ready.set_exception(_failure(error, self.status))
                self._ready.exception()

    def _note(self, status: int) -> None:
        self.status = status


@asynccontextmanager
async def _client(
    config: McpConfig, tools: ProviderTools, key: str | None, on_status: Callable[[int], None]
) -> AsyncIterator["Client"]:
    try:
        from mcp import Client, StdioServerParameters
        from mcp.client.streamable_http import streamable_http_client
    except ImportError:
        raise MissingExtra("the MCP SDK is not installed: pip install 'jackfield[mcp]'") from None
    if config.command is not None:
        environ = environ_of(tools.environ, config.environ)
        program, *arguments = config.command
        server = StdioServerParameters(command=program, args=arguments, env=environ)
        async with Client(server) as client:
            yield client
        return
    assert config.url is not None
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with (
        gated_client(tools.http.gate, headers=headers, timeout_s=config.timeout, on_status=on_status) as http,
        Client(streamable_http_client(config.url, http_client=http)) as client,
    ):
        yield client


def _failure(error: BaseException, status: int | None) -> JackfieldError:
    """What really happened: the SDK wraps it in groups of groups, and keeps the `status` of a refusal to itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, JackfieldError):
        return error
    if isinstance(error, TimeoutError | asyncio.CancelledError):
        return Unavailable(f"the server was not ready within {CONNECT_WITHIN_S:g} s")
    if status in (401, 403):
        return AuthFailed("the server refused the key", status=status)
    return Unavailable(f"the server cannot be reached or does not speak MCP: {type(error).__name__}: {str(error)[:200]}")


def _text_of(result: "CallToolResult") -> str:
    text = "".join(block.text for block in result.content if block.type == "text")
    if result.is_error:
        raise Unavailable(f"the tool failed: {text[:400] or 'it did not say why'}")
    if not text and result.structured_content is not None:
        text = msgspec.json.encode(result.structured_content).decode()
    if not text:
        raise Malformed("the tool gave no text")
    return text


async def _events(text: str, model: str, warnings: list[str]) -> AsyncIterator[Event]:
    pieces = Pieces(model, warnings)
    for event in (*pieces.text(text), *pieces.end()):
        yield event


def _hosts(config: McpConfig) -> tuple[str, ...]:
    if config.hosts is not None:
        return config.hosts
    endpoint = Endpoint.parse(config.url or "")
    return (f"{endpoint.host}:{endpoint.port}",)


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[Probes]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return McpTool, McpTool, McpTool
