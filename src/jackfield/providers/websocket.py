"""A remote real-time endpoint over a WebSocket as a source: one message asks, the messages that come back are the answer.

What is sent and where in a message the text stands is config, not code. Chunks come in order; a connection that drops before
there was content is opened anew, later the answer is broken and says so. Needs the extra `[ws]`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from jackfield.core.contracts import ProbeResult, Probes, Provider, ProviderCard, ProviderInfo, ProviderTools, ProviderType
from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    JackfieldError,
    MissingExtra,
    StreamBroken,
    TimedOut,
    Unavailable,
)
from jackfield.core.events import Event
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest, Generation
from jackfield.providers.command_line import asked_of, not_passed_on
from jackfield.providers.command_output import LineOutput
from jackfield.providers.command_rows import LineRule
from jackfield.providers.config import merge_generation, read_config
from jackfield.providers.fit import check_fit
from jackfield.providers.remedies import failed
from jackfield.transport.endpoint import Endpoint
from jackfield.transport.gated import gated_socket

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

CONNECT_WITHIN_S = 10.0
CLOSE_WITHIN_S = 2.0
MESSAGE_MAX_BYTES = 4 * 1024 * 1024
_SENT: Mapping[str, Any] = {"type": "inference", "stream": True, "model": "{model}", "system": "{system}", "prompt": "{prompt}"}
_RULES = (
    LineRule(when={"type": "chunk"}, text="content"),
    LineRule(when={"type": "error"}, error="message"),
    LineRule(when={"type": "complete"}, whole="content"),
)
_HTTP = {"ws": "http", "wss": "https"}


class SocketConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is ws:// or wss://. `send` is the message that asks: JSON in which {prompt}, {system}, {model}, {max_tokens} and
    {temperature} stand for what is asked; an entry whose value is not given is left out.

    `receive` are rules as for programs that write JSON lines; `done` says which message is the last, as {path: value}.
    """

    url: str
    send: dict[str, Any] = msgspec.field(default_factory=lambda: dict(_SENT))
    receive: tuple[LineRule, ...] = _RULES
    done: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "complete"})
    model: str | None = None
    api_key: str | None = None
    headers: dict[str, str] = {}
    reconnects: int = 2
    timeout: float = 300.0
    idle_timeout: float = 60.0
    max_context: int | None = None


class WebSocketSource:
    """One connection a request."""

    card: ClassVar[ProviderCard] = ProviderCard(
        id="websocket",
        type="api",
        display_name="WebSocket endpoint",
        capabilities=Capabilities(tools=False, vision=False, json_mode=False, system_messages=True, protocols=("websocket",)),
        aliases=("ws",),
        hint="start the server, and check the path of url: ws://127.0.0.1:8765/ws",
        limits=("text only, no tools", "token counts only where the endpoint's messages hold them"),
        config_keys=SocketConfig.__struct_fields__,
    )

    def __init__(self, config: SocketConfig, generation: Generation, tools: ProviderTools, key: str | None) -> None:
        self._config = config
        self._generation = generation
        self._gate = tools.http.gate
        self._headers = {**config.headers, **({} if key is None else {"authorization": f"Bearer {key}"})}
        scheme, _, rest = config.url.partition("://")
        if scheme not in _HTTP:
            raise BadRequest(f"url must begin with ws:// or wss://, got {scheme}://", provider=self.card.id, param="url")
        self._endpoint = Endpoint.parse(f"{_HTTP[scheme]}://{rest.partition('?')[0]}")
        self.capabilities = msgspec.structs.replace(
            self.card.capabilities, default_model=config.model, max_context=config.max_context
        )
        hosts = (f"{self._endpoint.host}:{self._endpoint.port}",)
        self.info = ProviderInfo(self.card.id, self.card.type, self.card.display_name, hosts=hosts)

    @classmethod
    def create(cls, config: Mapping[str, Any], tools: ProviderTools) -> Self:
        """No I/O. Raises BadRequest naming the key."""
        read, generation = read_config(SocketConfig, config, cls.card.id, {"base_url": "url"})
        return cls(read, generation, tools, None if read.api_key is None else tools.secrets.resolve(read.api_key))

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Event]]:
        """Leaving the block closes the connection, which is how the other side learns that nobody listens any more."""
        model = request.model or self._config.model
        check_fit(request, model or self.card.id, self.card.id, self.capabilities, None)
        generation = merge_generation(request.generation, self._generation)
        message = self._message(request, generation, model)
        warnings = not_passed_on(generation, "the message (send)", json.dumps(self._config.send))
        events = self._events(message, model or self.card.id, warnings)
        try:
            yield events
        finally:
            await events.aclose()

    async def _events(self, message: str, model: str, warnings: list[str]) -> AsyncGenerator[Event, None]:
        try:
            async with asyncio.timeout(self._config.timeout), aclosing(self._tried(message, model, warnings)) as events:
                async for event in events:
                    yield event
        except TimeoutError:
            late = TimedOut(f"the answer was not whole after {self._config.timeout:g} s", provider=self.card.id)
            raise failed(late, self.card, "chat", model) from None
        except JackfieldError as error:
            raise failed(error, self.card, "chat", model) from error.__cause__

    async def _tried(self, message: str, model: str, warnings: list[str]) -> AsyncGenerator[Event, None]:
        """Asked again over a new connection where the old one was lost before the answer began."""
        left = self._config.reconnects
        while True:
            has_content = False
            try:
                async with aclosing(self._answer(message, model, warnings)) as events:
                    async for event in events:
                        has_content = True
                        yield event
                return
            except StreamBroken:
                if has_content or not left:
                    raise
                left -= 1

    async def _answer(self, message: str, model: str, warnings: list[str]) -> AsyncGenerator[Event, None]:
        output = LineOutput(self._config.receive, model, self.card.id, warnings)
        async with self._connected() as connection:
            await self._exchange(connection.send(message))
            is_last = False
            while not is_last:
                said = await self._exchange(connection.recv())
                raw = said.encode() if isinstance(said, str) else said
                is_last = _is(self._config.done, raw)
                for event in output.feed(raw):
                    yield event
        for event in output.finish():
            yield event

    async def _exchange(self, work: Any) -> Any:
        """Raises StreamBroken when the other side is gone, TimedOut after too long a silence."""
        from websockets.exceptions import ConnectionClosed

        try:
            async with asyncio.timeout(self._config.idle_timeout):
                return await work
        except TimeoutError:
            silence_s = self._config.idle_timeout
            raise TimedOut(f"nothing came for {silence_s:g} s", provider=self.card.id, code="stream_stalled") from None
        except ConnectionClosed as error:
            raise StreamBroken(f"the connection ended before the answer did: {error}", provider=self.card.id) from error

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["ClientConnection"]:
        """Raises EgressDenied, Unavailable, AuthFailed, MissingExtra."""
        try:
            from websockets.asyncio.client import connect
            from websockets.exceptions import InvalidHandshake, InvalidStatus
        except ImportError:
            raise MissingExtra("the WebSocket library is not installed: pip install 'jackfield[ws]'") from None
        sock = await gated_socket(self._gate, self._endpoint, CONNECT_WITHIN_S)
        try:
            connection = await connect(
                self._config.url,
                sock=sock,
                additional_headers=self._headers,
                open_timeout=CONNECT_WITHIN_S,
                close_timeout=CLOSE_WITHIN_S,
                max_size=MESSAGE_MAX_BYTES,
                proxy=None,
            )
        except InvalidStatus as error:
            sock.close()
            status = error.response.status_code
            if status in (401, 403):
                raise AuthFailed("the endpoint refused the key", provider=self.card.id, status=status) from error
            raise Unavailable(f"the endpoint answered {status}: {self.card.hint}", provider=self.card.id) from error
        except (InvalidHandshake, OSError, TimeoutError, EOFError) as error:
            sock.close()
            raise Unavailable(f"it does not speak WebSocket: {self.card.hint}", provider=self.card.id) from error
        except BaseException:
            sock.close()
            raise
        try:
            yield connection
        finally:
            await asyncio.shield(connection.close())

    async def probe(self) -> ProbeResult:
        """Opens a connection and pings it. Asks nothing."""
        began = perf_counter()
        try:
            async with self._connected() as connection, asyncio.timeout(CONNECT_WITHIN_S):
                await (await connection.ping())
        except AuthFailed as error:
            return ProbeResult(False, None, error.message, authorized=False)
        except (JackfieldError, TimeoutError) as error:
            return ProbeResult(False, None, getattr(error, "message", "no pong came"))
        return ProbeResult(True, perf_counter() - began)

    async def aclose(self) -> None:
        """No connection outlives its request."""

    def _message(self, request: ChatRequest, generation: Generation, model: str | None) -> str:
        system, prompt = asked_of(request, self.card.id)
        values: dict[str, Any] = {name: getattr(generation, name) for name in Generation.__struct_fields__}
        values |= {"prompt": prompt, "system": system, "model": model}
        if system is not None and "{system}" not in json.dumps(self._config.send):
            values["prompt"] = f"{system}\n\n{prompt}"
        return json.dumps(_filled(self._config.send, values))


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with each "{name}" replaced by its value, and entries left out whose value is not given."""
    if isinstance(template, dict):
        filled = {name: _filled(value, values) for name, value in template.items()}
        return {name: value for name, value in filled.items() if value is not None}
    if isinstance(template, list):
        return [_filled(value, values) for value in template]
    if isinstance(template, str) and template.startswith("{") and template.endswith("}"):
        return values.get(template[1:-1], template)
    return template


def _is(wanted: Mapping[str, Any], raw: bytes) -> bool:
    try:
        said = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    for path, value in wanted.items():
        found = said
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if found != value:
            return False
    return True


def _satisfies() -> tuple[type[ProviderType], type[Provider], type[Probes]]:
    """Never called: here mypy proves that the class keeps its contracts."""
    return WebSocketSource, WebSocketSource, WebSocketSource
