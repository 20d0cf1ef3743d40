"""A client of the gateway's WebSocket: many requests on one socket, which comes back by itself after a break.

    async with GatewaySocket("ws://127.0.0.1:7311/ws/me") as gateway:
        async for piece in gateway.stream("slot-0", "Tell me a story"):
            print(piece, end="")

After a break it connects again, more and more slowly, and subscribes anew to what it was subscribed to. Requests that were
running are not asked again by themselves: they end in StreamBroken, and whoever asked decides. One event loop only.
"""

import asyncio
import random as randomness
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from itertools import count
from time import perf_counter
from typing import Any, Self, TypeVar, cast

import msgspec

from jackfield.core.errors import (
    AuthFailed,
    BadRequest,
    JackfieldError,
    Malformed,
    MissingExtra,
    NotFound,
    Overloaded,
    StreamBroken,
    TimedOut,
    Unavailable,
)
from jackfield.core.tasks import TEXT_GENERATION
from jackfield.doors.websocket.messages import (
    Cancel,
    Connection,
    Failure,
    Inference,
    InferenceCancelled,
    InferenceChunk,
    InferenceComplete,
    InferenceError,
    InferenceResult,
    News,
    Ping,
    Pong,
    StatusAsked,
    StatusTold,
    Subscribe,
    Subscribed,
    Told,
    Unsubscribe,
    Unsubscribed,
)

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
except ImportError:
    raise MissingExtra("the WebSocket library is not installed: pip install 'jackfield[ws]'") from None

__all__ = ["GatewaySocket", "InferenceComplete", "InferenceResult", "News", "Reconnecting", "SocketTimeouts"]
CLOSE_WITHIN_S = 2.0
NEWS_MAX = 1024
PIECES_MAX = 16 * 1024
GONE = "the connection to the gateway broke before the answer was whole: ask again"
Inputs = str | Sequence[str] | Sequence[Mapping[str, Any]]
T = TypeVar("T")
_ENDS = (InferenceComplete, InferenceResult, InferenceCancelled, InferenceError, Failure)
_told = msgspec.json.Decoder(Told).decode
_encode = msgspec.json.Encoder().encode


class SocketTimeouts(msgspec.Struct, frozen=True):
    """Seconds. `connect_s` for a connection to come about, also while it is broken; `idle_s` between two messages of an answer.

    A ping every `ping_every_s` keeps the connection open through proxies; without a pong for `ping_within_s` it is given up.
    """

    connect_s: float = 10.0
    reply_s: float = 10.0
    idle_s: float = 120.0
    ping_every_s: float = 20.0
    ping_within_s: float = 20.0


class Reconnecting(msgspec.Struct, frozen=True):
    """The wait before each further try: `first_s`, then twice as long each time up to `most_s`, each a random part shorter."""

    first_s: float = 0.25
    most_s: float = 15.0

    def delay_s(self, tries: int, random: Callable[[], float] = randomness.random) -> float:
        """Before try number `tries`, the first one being 0."""
        longest_s = min(self.most_s, self.first_s * 2.0 ** min(tries, 32))
        return longest_s * (0.5 + 0.5 * random())


class GatewaySocket:
    """`url` ends in /ws/CLIENT_ID. `connections` counts how often it has connected; `on_connect` hears each welcome."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeouts: SocketTimeouts | None = None,
        reconnecting: Reconnecting | None = None,
        on_connect: Callable[[Connection], None] = lambda welcome: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = url
        self.connections = 0
        self.topics: dict[str, None] = {}
        self._headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._timeouts = timeouts or SocketTimeouts()
        self._reconnecting = reconnecting or Reconnecting()
        self._on_connect = on_connect
        self._sleep = sleep
        self._socket: ClientConnection | None = None
        self._is_up = asyncio.Event()
        self._refusal: JackfieldError | None = None
        self._trouble = "it was never reached"
        self._keeper: asyncio.Task[None] | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._ids = count(1)
        self._requests: dict[Any, asyncio.Queue[Told | None]] = {}
        self._pongs: dict[Any, asyncio.Future[Told]] = {}
        self._acks: deque[asyncio.Future[Told]] = deque()
        self._reports: deque[asyncio.Future[Told]] = deque()
        self._news: asyncio.Queue[News] = asyncio.Queue(NEWS_MAX)

    # Life

    async def __aenter__(self) -> Self:
        """Raises AuthFailed, NotFound, and Unavailable where nothing answers within `connect_s`."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="keep a gateway socket")
        try:
            await self._up()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connection, which cancels its requests."""
        ending = [task for task in (self._keeper, self._resuming) if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    @property
    def is_connected(self) -> bool:
        return self._is_up.is_set() and self._refusal is None

    # Asking

    async def stream(
        self, model: str, inputs: Inputs, *, request_id: str | int | None = None, **parameters: Any
    ) -> AsyncGenerator[str, None]:
        """The answer's text in pieces. Leaving the loop early cancels the request. Raises what the gateway tells."""
        asked = self.messages(model, inputs, stream=True, request_id=request_id, parameters=parameters)
        async with aclosing(asked) as answer:
            async for told in answer:
                if isinstance(told, InferenceChunk):
                    yield told.chunk

    async def infer(
        self,
        model: str,
        inputs: Inputs,
        *,
        task: str = TEXT_GENERATION,
        request_id: str | int | None = None,
        **parameters: Any,
    ) -> InferenceResult:
        """A whole answer: text, or for text-embedding vectors. Raises what the gateway tells."""
        last: Told | None = None
        asked = self.messages(model, inputs, task=task, request_id=request_id, parameters=parameters)
        async with aclosing(asked) as answer:
            async for told in answer:
                last = told
        if not isinstance(last, InferenceResult):
            raise StreamBroken(GONE)
        return last

    async def messages(
        self,
        model: str,
        inputs: Inputs,
        *,
        task: str = TEXT_GENERATION,
        stream: bool = False,
        request_id: str | int | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Told, None]:
        """All messages about one request, up to its end. Raises JackfieldError for a failed one, StreamBroken if lost."""
        wanted = request_id if request_id is not None else f"request-{next(self._ids)}"
        if wanted in self._requests:
            raise BadRequest(f"request_id {wanted!r} is in use by a request that still runs", param="request_id")
        heard: asyncio.Queue[Told | None] = asyncio.Queue(PIECES_MAX)
        self._requests[wanted] = heard
        is_over = False
        try:
            await self._send(Inference(wanted, model, task, inputs, dict(parameters or {}), stream))
            while not is_over:
                told = await self._in_time(heard.get(), self._timeouts.idle_s, "the answer")
                is_over = isinstance(told, _ENDS)
                yield _good(told)
        finally:
            self._requests.pop(wanted, None)
            if not is_over:
                with suppress(JackfieldError):
                    await self._say(Cancel(wanted))

    async def cancel(self, request_id: str | int) -> None:
        """The request ends in StreamBroken for whoever waits for it. Does nothing where it has ended."""
        await self._send(Cancel(request_id))

    async def ping(self) -> float:
        """Seconds to the gateway and back, through everything between."""
        ping = Ping(f"ping-{next(self._ids)}")
        pong = self._pongs[ping.id] = self._future()
        began = perf_counter()
        try:
            await self._send(ping)
            await self._in_time(pong, self._timeouts.reply_s, "a pong")
        finally:
            self._pongs.pop(ping.id, None)
        return perf_counter() - began

    async def status(self, details: str = "full") -> dict[str, Any]:
        """The backends, as GET /status has them."""
        report = self._future()
        self._reports.append(report)
        await self._send(StatusAsked(cast("Any", details)))
        told = await self._in_time(report, self._timeouts.reply_s, "the status")
        return dict(cast("StatusTold", told).backend_status)

    # News

    async def subscribe(self, *topics: str) -> None:
        """Also after every reconnection. Raises BadRequest for topics that there are not; the others hold."""
        told = cast("Subscribed", await self._acknowledged(Subscribe(list(topics))))
        self.topics |= dict.fromkeys(told.topics)
        if told.errors:
            raise BadRequest("; ".join(error.message for error in told.errors), param="topics")

    async def unsubscribe(self, *topics: str) -> None:
        """Nothing of these arrives any more."""
        for topic in topics:
            self.topics.pop(topic, None)
        await self._acknowledged(Unsubscribe(list(topics)))

    async def news(self) -> AsyncIterator[News]:
        """What is told of the topics, for ever. Who reads too slowly loses the oldest."""
        while True:
            yield await self._news.get()

    # Inside: out

    async def _acknowledged(self, message: Subscribe | Unsubscribe) -> Told:
        ack = self._future()
        self._acks.append(ack)
        await self._send(message)
        return await self._in_time(ack, self._timeouts.reply_s, "an acknowledgement")

    async def _send(self, message: Any) -> None:
        await self._up()
        await self._say(message)

    async def _say(self, message: Any) -> None:
        if self._socket is None:
            raise Unavailable("the connection to the gateway is broken")
        try:
            await self._in_time(self._socket.send(_encode(message).decode()), self._timeouts.reply_s, "room to send")
        except ConnectionClosed as error:
            raise Unavailable(f"the connection to the gateway broke: {error}") from None

    async def _up(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeouts.connect_s):
                await self._is_up.wait()
        if self._refusal is not None:
            raise self._refusal
        if not self._is_up.is_set():
            raise Unavailable(f"no connection to {_shown(self.url)} within {self._timeouts.connect_s:g} s: {self._trouble}")

    async def _in_time(self, work: Awaitable[T], within_s: float, what: str) -> T:
        try:
            async with asyncio.timeout(within_s):
                return await work
        except TimeoutError:
            raise TimedOut(f"{what} did not come within {within_s:g} s") from None

    def _future(self) -> asyncio.Future[Told]:
        return asyncio.get_running_loop().create_future()

    # Inside: in

    async def _keep(self) -> None:
        """Connects again and again until it is cancelled or refused."""
        tries = 0
        while self._refusal is None:
            before = self.connections
            try:
                await self._connect_and_listen()
            except InvalidStatus as error:
                self._note_status(error.response.status_code)
            except InvalidURI:
                self._refuse(
                    BadRequest(f"{_shown(self.url)} is no WebSocket address: it begins with ws:// or wss://", param="url")
                )
            except JackfieldError as error:
                self._refuse(error)
            except (InvalidHandshake, ConnectionClosed, OSError, TimeoutError, EOFError) as error:
                self._trouble = str(error) or type(error).__name__
            finally:
                self._let_go()
            tries = 0 if self.connections > before else tries + 1
            if self._refusal is None:
                await self._sleep(self._reconnecting.delay_s(tries))

    async def _connect_and_listen(self) -> None:
        timeouts = self._timeouts
        async with connect(
            self.url,
            additional_headers=self._headers,
            open_timeout=timeouts.connect_s,
            ping_interval=timeouts.ping_every_s,
            ping_timeout=timeouts.ping_within_s,
            close_timeout=CLOSE_WITHIN_S,
            max_size=None,
            compression=None,
            proxy=None,
        ) as socket:
            self._socket = socket
            async for message in socket:
                self._hear(_read(message))

    def _hear(self, told: Told) -> None:
        match told:
            case Connection():
                self._welcome(told)
            case News():
                if self._news.full():
                    self._news.get_nowait()
                self._news.put_nowait(told)
            case Pong(_, id):
                _settle(self._pongs.pop(id, None), told)
            case Subscribed() | Unsubscribed():
                _settle(self._acks.popleft() if self._acks else None, told)
            case StatusTold():
                _settle(self._reports.popleft() if self._reports else None, told)
            case _:
                self._hear_of_request(told)

    def _hear_of_request(self, told: Any) -> None:
        heard = self._requests.get(told.request_id)
        if heard is None:
            return
        if heard.full():
            del self._requests[told.request_id]
            heard.get_nowait()
            heard.put_nowait(None)
        else:
            heard.put_nowait(told)

    def _welcome(self, welcome: Connection) -> None:
        self.connections += 1
        self._on_connect(welcome)
        self._is_up.set()
        if self.topics:
            self._resuming = asyncio.get_running_loop().create_task(self._resume(), name="subscribe anew")

    async def _resume(self) -> None:
        with suppress(JackfieldError):  # it broke again: the next welcome tries anew
            await self._acknowledged(Subscribe(list(self.topics)))

    def _let_go(self) -> None:
        """Whoever waits on the connection that is gone learns of it."""
        self._socket = None
        if self._refusal is None:
            self._is_up.clear()
        for heard in self._requests.values():
            if heard.full():
                heard.get_nowait()
            heard.put_nowait(None)
        waiting = [*self._pongs.values(), *self._acks, *self._reports]
        self._acks.clear()
        self._reports.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(Unavailable("the connection to the gateway broke before it answered"))
                future.exception()  # perhaps nobody waits for it any more

    def _note_status(self, status: int) -> None:
        if status in (401, 403):
            self._refuse(AuthFailed("the gateway refused the key, or this address of it: check api_key and url", status=status))
        elif status == 404:
            self._refuse(NotFound(f"{_shown(self.url)} is no WebSocket of a gateway: it ends in /ws/CLIENT_ID"))
        else:
            self._trouble = f"it answered {status}"

    def _refuse(self, error: JackfieldError) -> None:
        """Trying again would not help: whoever waits is told."""
        self._refusal = error
        self._is_up.set()


def _good(told: Told | None) -> Told:
    """Raises what a message says went wrong, StreamBroken for a request whose connection is gone."""
    match told:
        case None | InferenceCancelled():
            raise StreamBroken(
                GONE if told is None else "the request was cancelled", code=None if told is None else "cancelled"
            )
        case InferenceError():
            kind = Overloaded if told.status == 503 else JackfieldError
            raise kind(told.error, status=told.status, code=told.code, param=told.param, retry_after_s=told.retry_after_s)
        case Failure():
            raise BadRequest(told.message, code=told.code, param=told.param)
        case _:
            return told


def _read(message: str | bytes) -> Told:
    try:
        return cast("Told", _told(message))
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Malformed(f"the other side does not speak this gateway's messages: {error}") from None


def _settle(future: "asyncio.Future[Told] | None", told: Told) -> None:
    if future is not None and not future.done():
        future.set_result(told)


def _shown(url: str) -> str:
    """Without its query, which may hold a key."""
    return url.partition("?")[0]
