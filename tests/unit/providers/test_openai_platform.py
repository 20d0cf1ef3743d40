"""OpenAI beside chat: our calls against a fake of the platform, both judged by the official client and its types."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import openai
import pytest
from openai.types import (
    ImageGenerateParams,
    ModerationCreateParams,
    batch_create_params,
)
from openai.types.audio import speech_create_params
from openai.types.fine_tuning import job_create_params
from openai.types.responses import Response
from pydantic import TypeAdapter

from golden.request_judge import responses_judge
from jackfield.core import contracts
from jackfield.core.contracts import BatchTask, RawCall
from jackfield.core.errors import BadRequest, Conflict, Malformed, ModelNotFound, NotFound, RateLimited
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import ReasoningPart, text_message
from jackfield.core.requests import (
    ChatRequest,
    EmbedRequest,
    Generation,
    ImageEditRequest,
    ImageRequest,
    ModerateRequest,
    SpeakRequest,
    Tool,
    TranscribeRequest,
    Upload,
)
from jackfield.dialects import openai_chat
from jackfield.providers.openai_compatible import preset_type
from jackfield.providers.presets import Preset, load_presets
from jackfield.testing.conformance import LAWS, Subject, check_law
from jackfield.testing.fake_openai import PIXEL, SOUND, FakePlatform, read_form
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.tools import FakeTools, provider_tools

KEY = "sk-platform-canary-0123456789"
PICTURE = Upload("cat.png", b"\x89PNG fake")


@pytest.fixture
async def fake() -> AsyncIterator[FakePlatform]:
    async with FakePlatform(["gpt-4o", "gpt-4o-mini", "o3-pro"], require_key=KEY) as running:
        yield running


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:OPENAI_API_KEY": KEY}) as made:
        yield made


@pytest.fixture
def provider(fake: FakePlatform, tools: FakeTools) -> Any:
    return made(fake, tools)


@pytest.fixture
async def official(fake: FakePlatform) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=fake.base_url, api_key=KEY, max_retries=0) as client:
        yield client


def made(fake: FakePlatform, tools: FakeTools, **config: Any) -> Any:
    return preset_type(load_presets()["openai"]).create(
        {"base_url": fake.base_url, "api_key": "env:OPENAI_API_KEY", "model": "gpt-4o", **config}, tools
    )


def judge(kind: Any, body: bytes) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    adapter.validate_json(body)


async def test_openai_has_every_call_and_a_row_without_them_has_none(provider: Any, tools: FakeTools) -> None:
    kinds = (
        contracts.Draws, contracts.EditsImages, contracts.Speaks, contracts.StreamsSpeech, contracts.Transcribes,
        contracts.TranslatesSpeech, contracts.Moderates,
        contracts.KeepsFiles, contracts.Batches, contracts.ListsBatches, contracts.FineTunes,
    )  # fmt: skip
    assert all(isinstance(provider, kind) for kind in kinds)
    plain = preset_type(Preset(id="plain", port=1)).create({}, tools)
    assert not any(isinstance(plain, kind) for kind in kinds)


@pytest.mark.behaviour("PROV-19")
async def test_images_are_drawn_from_words(provider: Any, fake: FakePlatform, official: openai.AsyncOpenAI) -> None:
    reply = await provider.draw(ImageRequest("a cat", count=2, size="1024x1024", extra={"quality": "low"}))
    judge(ImageGenerateParams, fake.last.body)
    assert reply.usage.extra["images"] == 2
    assert [image.data for image in reply.images] == [PIXEL, PIXEL]
    assert reply.usage.completion_tokens == 40
    by_url = await provider.draw(ImageRequest("a cat", model="dall-e-3"))
    assert by_url.images[0].url == f"{fake.root_url}/image.png"
    assert by_url.images[0].revised_prompt == "a cat"
    theirs = await official.images.generate(prompt="a cat", model="gpt-image-1")
    assert theirs.data is not None


async def test_images_are_changed_with_the_form_that_the_official_client_sends(
    provider: Any, fake: FakePlatform, official: openai.AsyncOpenAI
) -> None:
    request = ImageEditRequest("add a hat", (PICTURE, PICTURE), mask=PICTURE, model="gpt-image-1", extra={"quality": "low"})
    reply = await provider.edit_image(request)
    ours = read_form(fake.last)
    picture = (PICTURE.filename, PICTURE.content)
    await official.images.edit(image=[picture, picture], mask=picture, prompt="add a hat", model="gpt-image-1", quality="low")
    assert ours == read_form(fake.last)
    assert reply.images[0].data == PIXEL
    await provider.edit_image(ImageEditRequest("add a hat", (PICTURE,), count=3))
    assert set(read_form(fake.last)) == {"prompt", "n", "model", "image"}
    with pytest.raises(BadRequest):
        await provider.edit_image(ImageEditRequest("add a hat", ()))


async def test_words_are_spoken(provider: Any, fake: FakePlatform, official: openai.AsyncOpenAI) -> None:
    reply = await provider.speak(SpeakRequest("hello", format="mp3"))
    judge(speech_create_params.SpeechCreateParams, fake.last.body)
    assert (reply.audio, reply.media_type) == (SOUND, "audio/mpeg")
    assert fake.last.json["voice"] == "alloy"
    theirs = await official.audio.speech.create(input="hello", model="tts-1", voice="nova")
    assert theirs.content == SOUND
    fake.script.append(Behaviour(body=b'{"oops": 1}'))
    with pytest.raises(Malformed):
        await provider.speak(SpeakRequest("hello"))


async def test_words_are_heard_while_they_are_spoken(provider: Any, fake: FakePlatform) -> None:
    sound = await provider.stream_speech(SpeakRequest("hello", format="mp3"))
    pieces = [piece async for piece in until_empty(sound.chunk)]
    await sound.aclose()
    assert (b"".join(pieces), sound.media_type) == (SOUND, "audio/mpeg")


@pytest.mark.parametrize("body", [b'{"oops": 1}', b""])
async def test_what_is_no_sound_is_told_before_any_of_it_is_given(provider: Any, fake: FakePlatform, body: bytes) -> None:
    fake.script.append(Behaviour(body=body))
    with pytest.raises(Malformed) as caught:
        await provider.stream_speech(SpeakRequest("hello"))
    assert caught.value.provider == "openai"


async def until_empty(chunk: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    while piece := await chunk():
        yield piece


async def test_speech_is_written_down_in_english(provider: Any, fake: FakePlatform) -> None:
    reply = await provider.translate_speech(TranscribeRequest(b"RIFF....", "talk.wav"))
    assert reply.text == "You said 8 bytes in talk.wav."
    assert fake.last.path.endswith("/audio/translations")
    assert read_form(fake.last)["model"] == [(None, b"whisper-1")]


async def test_speech_is_written_down(provider: Any, fake: FakePlatform, official: openai.AsyncOpenAI) -> None:
    reply = await provider.transcribe(TranscribeRequest(b"RIFF....", "talk.wav", language="en"))
    ours = read_form(fake.last)
    theirs = await official.audio.transcriptions.create(
        file=("talk.wav", b"RIFF...."), model="gpt-4o-mini-transcribe", language="en"
    )
    assert ours == read_form(fake.last)
    assert reply.text == theirs.text == "You said 8 bytes in talk.wav."
    told = await provider.transcribe(TranscribeRequest(b"RIFF....", "talk.wav", extra={"response_format": "verbose_json"}))
    assert (told.language, told.duration_s) == ("english", 0.08)
    with pytest.raises(BadRequest):
        await provider.transcribe(TranscribeRequest(b"", "talk.wav"))


@pytest.mark.behaviour("PROV-21")
async def test_texts_are_judged(provider: Any, fake: FakePlatform, official: openai.AsyncOpenAI) -> None:
    reply = await provider.moderate(ModerateRequest(("a kind word", "some violence here")))
    judge(ModerationCreateParams, fake.last.body)
    assert [result.flagged for result in reply.results] == [False, True]
    assert reply.results[1].categories["violence"]
    assert reply.results[1].scores["violence"] == 0.9
    assert reply.model == "omni-moderation-latest"
    assert (await official.moderations.create(input="hate", model="omni-moderation-latest")).results[0].categories.hate


async def test_files_are_kept(provider: Any, fake: FakePlatform, official: openai.AsyncOpenAI) -> None:
    kept = await provider.upload_file(Upload("notes.jsonl", b"{}\n"), "fine-tune")
    ours = read_form(fake.last)
    await official.files.create(file=("notes.jsonl", b"{}\n"), purpose="fine-tune")
    assert ours == read_form(fake.last)
    assert (kept.filename, kept.size_bytes, kept.purpose) == ("notes.jsonl", 3, "fine-tune")
    assert [file.id for file in await provider.list_files()] == [kept.id, "file-2"]
    assert await provider.file_info(kept.id) == kept
    assert await provider.read_file(kept.id) == b"{}\n"
    assert (await official.files.retrieve(kept.id)).filename == "notes.jsonl"
    await provider.delete_file(kept.id)
    with pytest.raises(NotFound, match="file 'file-1' is not there"):
        await provider.file_info(kept.id)
    with pytest.raises(NotFound):
        await provider.read_file("../batches")
    assert fake.last.path.endswith("/files/..%2Fbatches/content")


async def test_a_batch_is_worked_off(provider: Any, fake: FakePlatform, official: openai.AsyncOpenAI) -> None:
    ask = ChatRequest((text_message("user", "ping"),), generation=Generation(max_tokens=5))
    tasks = (BatchTask("one", ask), BatchTask("two", msgspec.structs.replace(ask, model="gone")))
    state = await provider.start_batch(tasks)
    judge(batch_create_params.BatchCreateParams, fake.last.body)
    assert fake.files["file-1"][1] == "batch"
    assert state.state == "running"
    with pytest.raises(Conflict):
        [outcome async for outcome in provider.batch_outcomes(state.id)]
    ended = await provider.batch_state(state.id)
    assert (ended.state, ended.counts) == ("ended", {"completed": 1, "failed": 1})
    outcomes = {outcome.id: outcome async for outcome in provider.batch_outcomes(state.id)}
    assert outcomes["one"].reply.text == "pong"
    assert isinstance(outcomes["two"].error, ModelNotFound)
    assert (await official.batches.retrieve(state.id)).status == "completed"
    assert [batch.id for batch in await provider.list_batches()] == [state.id]
    with pytest.raises(BadRequest):
        await provider.start_batch((tasks[0], tasks[0]))
    with pytest.raises(NotFound):
        await provider.batch_state("batch_9")


async def test_a_batch_can_be_cancelled(provider: Any) -> None:
    state = await provider.start_batch((BatchTask("one", ChatRequest((text_message("user", "ping"),))),))
    assert (await provider.cancel_batch(state.id)).state == "cancelling"


@pytest.mark.behaviour("ROAD-07")
async def test_a_tuned_model_can_be_plugged(
    provider: Any, fake: FakePlatform, tools: FakeTools, official: openai.AsyncOpenAI
) -> None:
    file = await provider.upload_file(Upload("train.jsonl", b"{}\n"), "fine-tune")
    job_id = await provider.start_tuning("gpt-4o-mini", file.id)
    judge(job_create_params.JobCreateParams, fake.last.body)
    status = await provider.tuning_status(job_id)
    assert (status["status"], status["fine_tuned_model"]) == ("running", None)
    assert (await official.fine_tuning.jobs.retrieve(job_id)).status == "succeeded"
    model = (await provider.tuning_status(job_id))["fine_tuned_model"]
    assert await told(made(fake, tools, model=model), ChatRequest((text_message("user", "ping"),))) == "pong"
    with pytest.raises(NotFound):
        await provider.tuning_status("ftjob-9")
    second = await provider.start_tuning("gpt-4o-mini", file.id)
    assert (await provider.cancel_tuning(second))["status"] == "cancelled"


@pytest.mark.behaviour("PROV-20")
@pytest.mark.parametrize(
    ("config", "asked", "expected"),
    [
        ({}, None, "text-embedding-3-small"),
        ({"model": "text-embedding-3-large"}, None, "text-embedding-3-large"),
        ({"call_models": {"embeddings": "text-embedding-ada-002"}}, None, "text-embedding-ada-002"),
        ({}, "mine", "mine"),
    ],
)
async def test_each_call_has_its_own_model(
    config: dict[str, Any], asked: str | None, expected: str, fake: FakePlatform, tools: FakeTools
) -> None:
    await made(fake, tools, **config).embed(EmbedRequest(("x",), model=asked))
    assert fake.last.json["model"] == expected


async def test_an_unknown_call_in_the_config_is_refused(fake: FakePlatform, tools: FakeTools) -> None:
    with pytest.raises(BadRequest):
        made(fake, tools, call_models={"telepathy": "x"})


@pytest.mark.parametrize("call", ["draw", "speak", "moderate", "list_files"])
async def test_errors_of_these_calls_are_mapped_and_hold_no_key(call: str, provider: Any, fake: FakePlatform) -> None:
    given = {"draw": ImageRequest("x"), "speak": SpeakRequest("x"), "moderate": ModerateRequest(("x",))}
    fake.script.append(Behaviour(status=429, message=f"slow down {KEY}", code="rate_limit_exceeded"))
    with pytest.raises(RateLimited) as caught:
        await getattr(provider, call)(*([given[call]] if call in given else []))
    assert caught.value.provider == "openai"
    assert KEY not in str(caught.value)


async def answer(provider: Any, request: ChatRequest) -> ChatReply:
    async with provider.open(request) as events:
        return await fold(events)


async def told(provider: Any, request: ChatRequest) -> str:
    return (await answer(provider, request)).text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_of_the_responses_api_is_asked_there(
    stream: bool, fake: FakePlatform, tools: FakeTools, official: openai.AsyncOpenAI
) -> None:
    request = ChatRequest(
        (text_message("system", "Be brief."), text_message("user", "Count to 3")),
        generation=Generation(temperature=0.5, max_tokens=50, reasoning_effort="low"),
        stream=stream,
    )
    reply = await answer(made(fake, tools, model="o3-pro"), request)
    assert fake.last.path.endswith("/responses")
    responses_judge().validate_json(fake.last.body)
    assert "temperature" not in fake.last.json
    assert reply.text == "1, 2, 3"
    assert reply.extra["warnings"] == ["temperature: left out, the source does not take it"]
    thought = reply.message.parts[0]
    assert isinstance(thought, ReasoningPart)
    assert thought.signature is not None
    theirs = await official.responses.create(model="o3-pro", input="ping")
    assert Response.model_validate(theirs.model_dump()).output_text == "pong"
    async with official.responses.stream(model="o3-pro", input="ping") as events:
        assert [event async for event in events][-1].type == "response.completed"


async def test_such_a_model_is_reached_by_raw_chat_requests_too(fake: FakePlatform, tools: FakeTools) -> None:
    provider = made(fake, tools, model="o3-pro")
    fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"ping"}]')}
    plain = await provider.pass_through(RawCall("chat/completions", fields, None, stream=False))
    assert openai_chat.decode_reply(await plain.read()).text == "pong"
    reply = await provider.pass_through(RawCall("chat/completions", fields, None, stream=True))
    assert dict(reply.headers)[b"content-type"] == b"text/event-stream"
    body = await reply.read()
    assert body.endswith(openai_chat.DONE_EVENT)
    assert b'"content":"pong"' in body
    assert fake.last.path.endswith("/responses")
    cut = await provider.pass_through(RawCall("chat/completions", fields, None, stream=True))
    assert await cut.chunk()
    await cut.aclose()
    await cut.aclose()


async def test_the_laws_hold_over_the_responses_api_too(tools: FakeTools) -> None:
    preset = load_presets()["openai-compat"]
    async with FakePlatform(["fake-model"]) as fake:
        config = {"base_url": fake.root_url, "api_key": "env:OPENAI_API_KEY", "quirks": {"responses_models": ["*"]}}
        subject = Subject(lambda: preset_type(preset).create(config, tools), upstream=fake, canary=KEY)
        for name in LAWS.keys() - {"passing_through_keeps_the_bytes"}:
            await check_law(name, LAWS[name], subject)


@pytest.mark.behaviour("PROV-18")
@pytest.mark.parametrize("model", ["gpt-4o", "o3-pro"])
async def test_a_function_call_comes_typed_with_its_arguments(model: str, fake: FakePlatform, tools: FakeTools) -> None:
    weather = Tool("get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
    reply = await answer(made(fake, tools, model=model), ChatRequest((text_message("user", "weather?"),), tools=(weather,)))
    call = reply.message.tool_calls[0]
    assert (call.name, msgspec.json.decode(call.arguments)) == ("get_weather", {"city": "Paris"})
    assert reply.finish_reason == "tool_calls"


@pytest.mark.behaviour("PROV-17")
async def test_models_are_those_that_the_api_lists_and_facts_fill_in(provider: Any) -> None:
    listed = {model.id: model for model in await provider.list_models()}
    assert set(listed) == {"gpt-4o", "gpt-4o-mini", "o3-pro"}
    assert listed["gpt-4o"].context_length == 128_000
    assert listed["o3-pro"].context_length == 200_000
