"""The laws that every provider keeps, as checks that anybody can run: plugin authors, and our own tests over every row.

Knows the contract and how to watch it from outside (a fake upstream, the log); it knows no provider. No pytest here: a
broken law is a `ConformanceFailed`, an AssertionError whose text begins with the law's name.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import Any

import msgspec

from jackfield.core import errors
from jackfield.core.contracts import (
    PROVIDER_KINDS,
    Embeds,
    ListsModels,
    PassesThrough,
    Probes,
    Provider,
    ProviderCard,
    RawCall,
)
from jackfield.core.errors import JackfieldError, NotSupported
from jackfield.core.events import ChatReply, Event, Finished, Started, fold, fold_events
from jackfield.core.messages import ImagePart, Message, TextPart, ToolResultPart, text_message
from jackfield.core.profiles import Capabilities
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation, Tool
from jackfield.testing.fake_server import Behaviour, FakeServer

WITHIN_S = 10.0
WEATHER = Tool("get_weather", "The weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}})
STATUS_CLASSES: Mapping[int, type[JackfieldError]] = MappingProxyType(
    {
        400: errors.BadRequest,
        401: errors.AuthFailed,
        402: errors.BudgetSpent,
        403: errors.NotAllowed,
        404: errors.Upstream,
        408: errors.TimedOut,
        409: errors.Upstream,
        413: errors.RequestRejected,
        422: errors.RequestRejected,
        429: errors.RateLimited,
        500: errors.Upstream,
        501: errors.NotSupported,
        502: errors.Upstream,
        503: errors.Overloaded,
        504: errors.TimedOut,
        529: errors.Overloaded,
    }
)
"""What a status means when the body says nothing more precise."""


class ConformanceFailed(AssertionError):
    """A provider broke a law; the text names it."""


class Subject(msgspec.Struct, frozen=True):
    """Who is checked. `make` gives a fresh provider that has touched nothing yet, each time.

    With `upstream` (an HTTP provider pointed at it, with `canary` as its key) faults are provoked there too. `question` and
    `answer` are a pair that the provider is known to give; `long_question` has an answer of several pieces. `keeps_limits`
    says that `max_tokens` counts: None means that it does with an upstream, and is not checked without one.
    """

    make: Callable[[], Provider]
    upstream: FakeServer | None = None
    canary: str | None = None
    question: str = "ping"
    answer: str | None = "pong"
    long_question: str = "Count to 20"
    weather_question: str = "What is the weather in Paris?"
    keeps_limits: bool | None = None


Law = Callable[[Subject], Awaitable[None]]


async def check_provider(make: Callable[[], Provider], **known: Any) -> None:
    """Runs every law on fresh providers; the keywords are the other fields of `Subject`. Raises ConformanceFailed."""
    await check_subject(Subject(make, **known))


async def check_subject(subject: Subject) -> None:
    for name, law in LAWS.items():
        await check_law(name, law, subject)


async def check_law(name: str, law: Law, subject: Subject) -> None:
    """One law, within `WITHIN_S` a step; whatever it raises is told as a breach of this law."""
    if subject.upstream is not None:
        subject.upstream.behaviour = Behaviour()
        subject.upstream.script.clear()
    try:
        await law(subject)
    except ConformanceFailed:
        raise
    except (AssertionError, JackfieldError, TimeoutError) as error:
        raise ConformanceFailed(f"{name}: {type(error).__name__}: {error}") from error


@asynccontextmanager
async def _provider(subject: Subject) -> AsyncIterator[Provider]:
    provider = subject.make()
    try:
        yield provider
    finally:
        await provider.aclose()


def card_of(provider: Provider) -> ProviderCard | None:
    card = getattr(type(provider), "card", None)
    return card if isinstance(card, ProviderCard) else None


def capabilities_of(provider: Provider) -> Capabilities:
    """The instance's own record if it has one, else its card's."""
    own = getattr(provider, "capabilities", None)
    if isinstance(own, Capabilities):
        return own
    card = card_of(provider)
    return card.capabilities if card else Capabilities()


def _ask(text: str, *, stream: bool, **more: Any) -> ChatRequest:
    generation = more.pop("generation", Generation(temperature=0.0))
    return ChatRequest((text_message("user", text),), stream=stream, generation=generation, **more)


async def _events(provider: Provider, request: ChatRequest) -> list[Event]:
    async with asyncio.timeout(WITHIN_S), provider.open(request) as events:
        return [event async for event in events]


async def _reply(provider: Provider, request: ChatRequest) -> ChatReply:
    async with asyncio.timeout(WITHIN_S), provider.open(request) as events:
        return await fold(events)


async def _refusal(work: Awaitable[object]) -> JackfieldError:
    try:
        async with asyncio.timeout(WITHIN_S):
            await work
    except JackfieldError as error:
        return error
    raise AssertionError("it should have been refused, but was answered")


@contextmanager
def captured_log() -> Iterator[list[str]]:
    """Everything that jackfield logs inside the block, at every level, with the fields given beside the text."""
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.getMessage()} {record.__dict__}")

    logger = logging.getLogger("jackfield")
    keeper, level = Keeper(), logger.level
    logger.addHandler(keeper)
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.removeHandler(keeper)
        logger.setLevel(level)


async def facts_need_no_contact(subject: Subject) -> None:
    """Card, info and capabilities are there before anything is connected."""
    before = subject.upstream.connections if subject.upstream else 0
    async with _provider(subject) as provider:
        info, card = provider.info, card_of(provider)
        assert info.id, "info.id is empty"
        assert info.display_name, "info.display_name is empty"
        assert info.type in PROVIDER_KINDS, f"info.type is {info.type!r}"
        if card is not None:
            assert (card.id, card.type) == (info.id, info.type), "the card and the instance tell different ids or types"
        record = capabilities_of(provider)
        assert {type(getattr(record, name)) for name in ("streaming", "embeddings", "images")} == {bool}
        assert record.max_context is None or record.max_context > 0
    assert subject.upstream is None or subject.upstream.connections == before, "it connected before it was asked anything"


async def streams_keep_the_laws(subject: Subject) -> None:
    """Started first, Finished last, parts in order; a longer answer comes in several pieces."""
    async with _provider(subject) as provider:
        events = await _events(provider, _ask(subject.long_question, stream=True))
    fold_events(events)
    assert isinstance(events[0], Started), f"the first event is {type(events[0]).__name__}"
    assert isinstance(events[-1], Finished), f"the last event is {type(events[-1]).__name__}"
    assert events[0].model, "Started tells no model"
    if capabilities_of(provider).streaming:
        pieces = [event for event in events if type(event).__name__ in ("TextDelta", "ReasoningDelta", "ToolCallDelta")]
        assert len(pieces) >= 2, f"it streams, but the answer came in {len(pieces)} piece(s)"


async def plain_is_the_folded_stream(subject: Subject) -> None:
    """With and without `stream` the answer is the same."""
    async with _provider(subject) as provider:
        for text in (subject.question, subject.long_question):
            plain = await _reply(provider, _ask(text, stream=False))
            streamed = await _reply(provider, _ask(text, stream=True))
            assert plain.text == streamed.text, f"plain {plain.text!r}, streamed {streamed.text!r}"
            assert plain.finish_reason == streamed.finish_reason
            # Servers exist that tell another name in a stream than outside one: only a fake is held to one.
            assert plain.model == streamed.model or (subject.upstream is None and plain.model and streamed.model)
            if plain.usage and streamed.usage:
                assert plain.usage.completion_tokens == streamed.usage.completion_tokens, "usage differs"
        if subject.answer is not None:
            reply = await _reply(provider, _ask(subject.question, stream=False))
            assert reply.text.strip() == subject.answer, f"answered {reply.text!r}"


async def limits_are_kept(subject: Subject) -> None:
    """`max_tokens` shortens the answer, and says so."""
    if not (subject.upstream is not None if subject.keeps_limits is None else subject.keeps_limits):
        return
    async with _provider(subject) as provider:
        request = _ask(subject.long_question, stream=True, generation=Generation(max_tokens=3, temperature=0.0))
        reply = await _reply(provider, request)
    assert reply.finish_reason == "length", f"finish_reason is {reply.finish_reason}"


async def tools_are_called(subject: Subject) -> None:
    """A tool call comes whole, streamed or not; a tool's result is taken back."""
    async with _provider(subject) as provider:
        if capabilities_of(provider).tools is not True:
            return
        for stream in (True, False):
            asked = _ask(subject.weather_question, stream=stream, tools=(WEATHER,))
            reply = await _reply(provider, asked)
            assert reply.finish_reason == "tool_calls", f"finish_reason is {reply.finish_reason}"
            (call,) = reply.message.tool_calls
            assert call.name == WEATHER.name
            assert call.id, "the call has no id"
            assert msgspec.json.decode(call.arguments) == {"city": "Paris"}, f"arguments are {call.arguments!r}"
        result = Message("tool", (ToolResultPart(call.id, (TextPart("sunny"),)),))
        again = msgspec.structs.replace(asked, messages=(*asked.messages, reply.message, result))
        assert (await _reply(provider, again)).text, "no answer after the tool's result"


async def embeddings_are_as_told(subject: Subject) -> None:
    """The flag is true and vectors of one length come, or NotSupported names the provider."""
    async with _provider(subject) as provider:
        told = capabilities_of(provider).embeddings
        if not isinstance(provider, Embeds):
            assert not told, "it says that it embeds, but has no embed()"
            return
        request = EmbedRequest(("one", "two three"))
        if not told:
            error = await _refusal(provider.embed(request))
            assert isinstance(error, NotSupported)
            assert error.provider == provider.info.id
            return
        async with asyncio.timeout(WITHIN_S):
            reply = await provider.embed(request)
        assert len(reply.vectors) == 2
        assert len(reply.vectors[0]) == len(reply.vectors[1]) > 0


async def images_are_as_told(subject: Subject) -> None:
    """Without the flag an image is refused before any contact; with it the upstream gets the image."""
    picture = ImagePart(data="iVBORw0KGgo=", media_type="image/png")
    request = ChatRequest((Message("user", (TextPart("what is this"), picture)),))
    async with _provider(subject) as provider:
        record = capabilities_of(provider)
        if record.images and record.vision is not False:
            if subject.upstream is not None:
                await _reply(provider, request)
                assert b"iVBORw0KGgo=" in subject.upstream.last.body, "the image did not reach the upstream"
            return
        completions = subject.upstream.completions if subject.upstream else 0
        error = await _refusal(_reply(provider, request))
        assert isinstance(error, NotSupported), f"refused with {type(error).__name__}"
        assert error.provider == provider.info.id
        assert subject.upstream is None or subject.upstream.completions == completions, "it asked the upstream first"


async def models_are_listed(subject: Subject) -> None:
    async with _provider(subject) as provider:
        if isinstance(provider, ListsModels):
            async with asyncio.timeout(WITHIN_S):
                models = await provider.list_models()
            assert models, "an empty list, and no error"
            assert all(model.id for model in models)
            assert len({model.id for model in models}) == len(models), "a model is listed twice"


async def looking_spends_nothing(subject: Subject) -> None:
    """A probe says that it is ready, and no completion was asked for."""
    completions = subject.upstream.completions if subject.upstream else 0
    async with _provider(subject) as provider:
        if isinstance(provider, Probes):
            async with asyncio.timeout(WITHIN_S):
                result = await provider.probe()
            assert result.is_ready, f"not ready: {result.detail}"
    assert subject.upstream is None or subject.upstream.completions == completions, "the probe asked for a completion"


async def leaving_stops_the_answer(subject: Subject) -> None:
    """Leaving in the middle returns at once and leaves the provider fit for the next request; closing twice is fine."""
    async with _provider(subject) as provider:
        async with asyncio.timeout(WITHIN_S), provider.open(_ask(subject.long_question, stream=True)) as events:
            async for _ in events:
                break
        reply = await _reply(provider, _ask(subject.question, stream=True))
        assert reply.finish_reason in ("stop", "length")
        await provider.aclose()
        await provider.aclose()


async def splits_do_not_matter(subject: Subject) -> None:
    """Cut at every byte, the stream tells the same."""
    if subject.upstream is None:
        return
    async with _provider(subject) as provider:
        request = _ask("say something in unicode", stream=True)
        whole = await _reply(provider, request)
        subject.upstream.behaviour = Behaviour(split_bytes=1)
        split = await _reply(provider, request)
    assert (whole.text, whole.finish_reason) == (split.text, split.finish_reason)
    subject.upstream.behaviour = Behaviour(ignores_stream=True)
    async with _provider(subject) as provider:
        assert (await _reply(provider, request)).text == whole.text, "a plain answer to a stream request was not understood"


async def cancelling_closes_upstream(subject: Subject) -> None:
    """Cancelled before the first byte or in the middle, the upstream sees the client leave within a second."""
    upstream = subject.upstream
    if upstream is None:
        return
    for hang in ("before", "inside"):
        for stream in (True, False):
            if hang == "inside" and not stream:
                continue
            async with _provider(subject) as provider:
                if isinstance(provider, ListsModels):
                    await provider.list_models()  # a model not chosen yet is chosen now: only the completion shall hang
                upstream.behaviour = Behaviour(hang=hang)
                upstream.arrived.clear()
                upstream.disconnected.clear()
                task = asyncio.create_task(_reply(provider, _ask(subject.long_question, stream=stream)))
                async with asyncio.timeout(WITHIN_S):
                    await upstream.arrived.wait()
                task.cancel()
                async with asyncio.timeout(1.0):
                    await asyncio.gather(task, return_exceptions=True)
                    await upstream.disconnected.wait()
                assert task.cancelled(), f"cancelling ({hang}) ended in {task.exception()!r}"
                upstream.behaviour = Behaviour()


async def statuses_mean_what_they_say(subject: Subject) -> None:
    """Every refusal becomes one error class, with the provider's id, a remedy, and the time to wait where it is told."""
    upstream = subject.upstream
    if upstream is None:
        return
    async with _provider(subject) as provider:
        await _reply(provider, _ask(subject.question, stream=False))
        for status, kind in STATUS_CLASSES.items():
            upstream.behaviour = Behaviour(status=status, message="no", retry_after="7" if status in (429, 503) else None)
            for stream in (True, False):
                error = await _refusal(_reply(provider, _ask(subject.question, stream=stream)))
                assert isinstance(error, kind), f"status {status} became {type(error).__name__}"
                _check_told(error, provider)
                assert status not in (429, 503) or error.retry_after_s == 7, f"status {status}: retry-after was lost"
            upstream.behaviour = Behaviour()
            # a model that was chosen from the list may have to be chosen again
            await _reply(provider, _ask(subject.question, stream=False))


def _check_told(error: JackfieldError, provider: Provider) -> None:
    assert error.provider == provider.info.id, f"{type(error).__name__} does not name the provider"
    assert str(error).startswith(provider.info.id), f"the text does not begin with the provider's id: {error}"
    assert any(mark in error.message for mark in (";", ": ", "(")), f"no remedy in: {error}"


async def broken_streams_are_told(subject: Subject) -> None:
    """Cut off or ended by an error in the stream: an error, after the events so far, and never a Finished."""
    upstream = subject.upstream
    if upstream is None:
        return
    for fault in (Behaviour(cut_after=3), Behaviour(error_after=3, message="engine died"), Behaviour(error_after=0)):
        async with _provider(subject) as provider:
            upstream.behaviour = fault
            seen: list[Event] = []

            async def read(provider: Provider = provider, seen: list[Event] = seen) -> None:
                async with provider.open(_ask(subject.long_question, stream=True)) as events:
                    async for event in events:
                        seen.append(event)

            error = await _refusal(read())
            assert not any(isinstance(event, Finished) for event in seen), "a broken stream had a Finished"
            assert error.may_fall_back, f"{type(error).__name__} forbids another slot to take over"
            _check_told(error, provider)
            upstream.behaviour = Behaviour()


async def no_key_is_told(subject: Subject) -> None:
    """A refused key shows nowhere: not in the error, not in the log, not in a repr; and the probe says what is wrong."""
    upstream, canary = subject.upstream, subject.canary
    if upstream is None or canary is None:
        return
    known, upstream.require_key = upstream.require_key, "another-key-entirely"
    try:
        with captured_log() as lines:
            async with _provider(subject) as provider:
                error = await _refusal(_reply(provider, _ask(subject.question, stream=True, model="fake-model")))
                assert isinstance(error, errors.AuthFailed), f"a refused key became {type(error).__name__}"
                told = [str(error), repr(error), repr(provider), repr(error.__context__), *map(str, error.args)]
                if isinstance(provider, Probes):
                    result = await provider.probe()
                    assert not result.is_ready, "a refused key counts as ready"
                    assert "key" in result.detail, f"the probe does not say that it is the key: {result.detail}"
                    told.append(result.detail)
        for text in (*told, *lines):
            assert canary not in text, "the key was shown"
        assert any(provider.info.id in line for line in lines), "nothing was logged"
    finally:
        upstream.require_key = known


async def absence_is_told(subject: Subject) -> None:
    """With nobody there: Unavailable with what to do, a probe that is not ready, and no empty list of models."""
    upstream = subject.upstream
    if upstream is None:
        return
    await upstream.stop()
    try:
        async with _provider(subject) as provider:
            error = await _refusal(_reply(provider, _ask(subject.question, stream=True, model="fake-model")))
            assert isinstance(error, errors.Unavailable), f"a refused connection became {type(error).__name__}"
            _check_told(error, provider)
            card = card_of(provider)
            assert card is None or card.hint is None or card.hint in error.message, f"the hint is missing in: {error}"
            if isinstance(provider, Probes):
                result = await provider.probe()
                assert not result.is_ready
                assert result.detail, "the probe does not say why"
    finally:
        await upstream.__aenter__()


async def passing_through_keeps_the_bytes(subject: Subject) -> None:
    """Raw requests get the upstream's own bytes; unknown fields travel; a refusal is raised."""
    upstream = subject.upstream
    if upstream is None:
        return
    async with _provider(subject) as provider:
        if not isinstance(provider, PassesThrough):
            return
        call = upstream.raw_question(subject.question)
        assert call is not None, "it passes requests through, but its upstream knows no raw call"
        path, asked = call
        fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in asked.items()}
        fields["x_unknown"] = msgspec.Raw(b'{"kept": [1, 2.50]}')
        async with asyncio.timeout(WITHIN_S):
            reply = await provider.pass_through(RawCall(path, fields, None, stream=False))
            text = upstream.raw_answer(await reply.read())
        assert text == subject.answer, f"answered {text!r}"
        assert b'"x_unknown":{"kept": [1, 2.50]}' in upstream.last.body, "an unknown field was lost or rewritten"
        async with asyncio.timeout(WITHIN_S):
            streamed = await provider.pass_through(RawCall(path, {**fields, "stream": msgspec.Raw(b"true")}, None, stream=True))
            data = await streamed.read()
        assert upstream.ends_stream(data), "the stream's bytes are not whole"
        upstream.behaviour = Behaviour(status=429, retry_after="3")
        error = await _refusal(provider.pass_through(RawCall(path, fields, None, stream=True)))
        assert isinstance(error, errors.RateLimited)
        assert error.retry_after_s == 3


LAWS: Mapping[str, Law] = MappingProxyType(
    {
        law.__name__: law
        for law in (
            facts_need_no_contact,
            streams_keep_the_laws,
            plain_is_the_folded_stream,
            limits_are_kept,
            tools_are_called,
            embeddings_are_as_told,
            images_are_as_told,
            models_are_listed,
            looking_spends_nothing,
            leaving_stops_the_answer,
            splits_do_not_matter,
            cancelling_closes_upstream,
            statuses_mean_what_they_say,
            broken_streams_are_told,
            no_key_is_told,
            absence_is_told,
            passing_through_keeps_the_bytes,
        )
    }
)
"""Every law by name, so that each can be a test of its own."""
