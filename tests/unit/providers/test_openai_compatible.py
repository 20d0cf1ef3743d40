"""The one adapter, against a fake upstream: what is sent, what comes back, and what never leaves."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from openai.types.chat import completion_create_params

from jackfield.core.contracts import RawCall
from jackfield.core.errors import BadRequest, ContextOverflow, ModelNotFound, NotSupported
from jackfield.core.events import ChatReply, fold
from jackfield.core.messages import ImagePart, Message, TextPart, text_message
from jackfield.core.requests import ChatRequest, EmbedRequest, Generation
from jackfield.providers.openai_compatible import OpenAICompatible, preset_type
from jackfield.providers.openai_traits import traits_of
from jackfield.providers.presets import Preset, load_presets
from jackfield.testing.fakes import Behaviour, FakeOpenAI
from jackfield.testing.tools import FakeTools, provider_tools

PRESETS = load_presets()
PING = ChatRequest((text_message("user", "ping"),))
SDK_FIELDS = set(completion_create_params.CompletionCreateParamsStreaming.__annotations__) | set(
    completion_create_params.CompletionCreateParamsBase.__annotations__
)


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools({"env:KEY": "the-key-itself"}) as made:
        yield made


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI(["fake-model"]) as running:
        yield running


def _made(row: str, fake: FakeOpenAI, tools: FakeTools, **config: Any) -> OpenAICompatible:
    return preset_type(PRESETS[row]).create({"base_url": fake.base_url, **config}, tools)


async def _reply(provider: OpenAICompatible, request: ChatRequest) -> ChatReply:
    async with provider.open(request) as events:
        return await fold(events)


def _call(stream: bool = False, **fields: Any) -> RawCall:
    messages = [{"role": "user", "content": "ping"}]
    given = {"messages": messages, **fields}
    return RawCall(
        "chat/completions", {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in given.items()}, None, stream
    )


@pytest.mark.behaviour("PROV-01")
@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
async def test_any_spelling_of_the_base_url_is_served(ending: str, fake: FakeOpenAI, tools: FakeTools) -> None:
    provider = OpenAICompatible.create({"base_url": fake.root_url + ending, "model": "fake-model", "api_key": "env:KEY"}, tools)
    assert (await _reply(provider, PING)).text == "pong"
    assert fake.last.path == "/v1/chat/completions"
    assert fake.last.headers["authorization"] == "Bearer the-key-itself"
    assert provider.info.id == "openai-compat"
    assert provider.info.type == "api"
    assert provider.info.hosts == (f"127.0.0.1:{fake.port}",)


@pytest.mark.behaviour("PROV-02")
@pytest.mark.parametrize("stream", [False, True])
async def test_reasoning_models_get_their_own_parameters(stream: bool, tools: FakeTools) -> None:
    generation = Generation(max_tokens=9, temperature=0.1, top_p=0.5, presence_penalty=1.0)
    asked = msgspec.structs.replace(PING, generation=generation, model="o1", stream=stream)
    async with FakeOpenAI(["o1", "gpt-4o"], strict_reasoning=True) as fake:
        provider = _made("openai", fake, tools)
        reply = await _reply(provider, asked)
        assert reply.text == "pong"
        body = fake.last.json
        assert body["max_completion_tokens"] == 9
        assert not {"max_tokens", "temperature", "top_p", "presence_penalty"} & set(body)
        assert set(body) <= SDK_FIELDS
        warnings = reply.extra["warnings"]
        assert {warning.partition(":")[0] for warning in warnings} == {"temperature", "top_p", "presence_penalty"}
        await (await provider.pass_through(_call(stream, model="o1", temperature=0.1, max_tokens=3))).read()
        assert fake.last.json["model"] == "o1"
        assert fake.last.json["max_completion_tokens"] == 3
        assert "temperature" not in fake.last.json
        await _reply(provider, msgspec.structs.replace(asked, model="gpt-4o"))
        assert fake.last.json["temperature"] == 0.1


@pytest.mark.behaviour("PROV-03")
async def test_models_of_others_behind_a_proxy_keep_their_prefix(tools: FakeTools) -> None:
    async with FakeOpenAI(["anthropic/claude-fake"]) as fake:
        reply = await _reply(_made("litellm-proxy", fake, tools, model="anthropic/claude-fake"), PING)
        assert (reply.text, reply.model) == ("pong", "anthropic/claude-fake")
        assert fake.last.json["model"] == "anthropic/claude-fake"


@pytest.mark.behaviour("LOCL-18")
async def test_without_a_model_the_first_listed_is_used_until_it_is_gone(fake: FakeOpenAI, tools: FakeTools) -> None:
    provider = _made("lm_studio", fake, tools, model=None)
    for _ in range(3):
        assert (await _reply(provider, PING)).model == "fake-model"
    assert [request.method for request in fake.requests] == ["GET", "POST", "POST", "POST"]
    fake.models = ["another"]
    with pytest.raises(ModelNotFound):
        await _reply(provider, PING)
    assert (await _reply(provider, PING)).model == "another"


@pytest.mark.behaviour("LOCL-18")
async def test_a_server_that_is_down_comes_with_a_hint(tools: FakeTools) -> None:
    async with FakeOpenAI() as fake:
        url = fake.base_url
    provider = preset_type(PRESETS["lm_studio"]).create({"base_url": url}, tools)
    probe = await provider.probe()
    assert not probe.is_ready
    assert "start the LM Studio server" in probe.detail


@pytest.mark.behaviour("LOCL-17")
async def test_an_openai_name_stays_with_localai(fake: FakeOpenAI, tools: FakeTools) -> None:
    fake.models = ["gpt-3.5-turbo"]
    reply = await _reply(_made("localai", fake, tools, model="gpt-3.5-turbo"), PING)
    assert reply.text == "pong"
    assert "authorization" not in fake.last.headers


@pytest.mark.behaviour("LOCL-23")
async def test_a_server_with_another_model_loaded_is_told(fake: FakeOpenAI, tools: FakeTools) -> None:
    probe = await _made("vllm", fake, tools, model="meta/llama").probe()
    assert not probe.is_ready
    assert "'meta/llama' is not loaded there; it serves fake-model" in probe.detail
    assert (await _made("vllm", fake, tools, model="fake-model").probe()).is_ready
    cloud = await _made("groq", fake, tools, model="an-alias").probe()
    assert cloud.is_ready, "a service's list may leave out names that it takes"
    assert cloud.detail


@pytest.mark.behaviour("ADPT-06")
async def test_what_cannot_fit_is_refused_before_any_contact(fake: FakeOpenAI, tools: FakeTools) -> None:
    provider = _made("openai-compat", fake, tools, model="fake-model", max_context=50)
    long = ChatRequest((text_message("user", "word " * 100),))
    with pytest.raises(ContextOverflow, match="50 tokens") as caught:
        await _reply(provider, long)
    assert str(caught.value).startswith("openai-compat: ")
    with pytest.raises(ContextOverflow):
        await provider.pass_through(_call(max_tokens=60))
    with pytest.raises(ContextOverflow):
        await provider.pass_through(_call(messages=[{"role": "user", "content": "word " * 100}]))
    assert fake.connections == 0
    await provider.pass_through(_call(max_tokens=20))
    assert provider.capabilities.max_context == 50


@pytest.mark.parametrize(
    ("provider", "said", "expected"),
    [
        ("openai-compat", {}, None),
        ("openai-compat", {"prefill": True}, True),
        ("llama-server", {}, True),
        ("llama-server", {"prefill": False}, False),
    ],
)
async def test_whether_it_goes_on_after_a_beginning_is_told_by_the_row_or_the_config(
    fake: FakeOpenAI, tools: FakeTools, provider: str, said: dict[str, bool], expected: bool | None
) -> None:
    assert _made(provider, fake, tools, model="fake-model", **said).capabilities.prefill is expected


@pytest.mark.behaviour("ADPT-06")
async def test_a_window_that_the_server_lists_counts(tools: FakeTools) -> None:
    async with FakeOpenAI([{"id": "small", "max_model_len": 40}]) as fake:
        provider = _made("vllm", fake, tools)
        await provider.list_models()
        with pytest.raises(ContextOverflow):
            await _reply(provider, ChatRequest((text_message("user", "word " * 100),)))
        assert fake.completions == 0


@pytest.mark.behaviour("ADPT-05")
async def test_an_image_for_a_blind_model_goes_nowhere(fake: FakeOpenAI, tools: FakeTools) -> None:
    picture = ChatRequest((Message("user", (TextPart("look"), ImagePart(url="https://x.example/y.png"))),))
    content = [{"type": "image_url", "image_url": {"url": "https://x.example/y.png"}}]
    for provider in (_made("openai", fake, tools, model="gpt-3.5-turbo"), _made("vllm", fake, tools, model="m", vision=False)):
        with pytest.raises(NotSupported, match="takes no images"):
            await _reply(provider, picture)
        with pytest.raises(NotSupported, match="takes no images"):
            await provider.pass_through(_call(messages=[{"role": "user", "content": content}]))
    assert fake.connections == 0
    told = _made("shimmy", fake, tools, model="fake-model", vision=True)
    assert (await _reply(told, picture)).text == "I see an image."


async def test_unknown_parameters_are_told_and_refused_when_strict(fake: FakeOpenAI, tools: FakeTools) -> None:
    odd = msgspec.structs.replace(PING, extra={"mirostat": 2}, generation=Generation(top_k=5))
    reply = await _reply(_made("openai-compat", fake, tools), odd)
    assert [warning.partition(":")[0] for warning in reply.extra["warnings"]] == ["top_k", "mirostat"]
    assert not {"mirostat", "top_k"} & set(fake.last.json)
    completions = fake.completions
    with pytest.raises(NotSupported, match=r"strict is set.*mirostat"):
        await _reply(_made("openai-compat", fake, tools, strict=True), odd)
    with pytest.raises(NotSupported, match="logprobs"):
        await _made("mistral", fake, tools, strict=True, model="fake-model").pass_through(_call(logprobs=True))
    assert fake.completions == completions
    assert "warnings" not in (await _reply(_made("vllm", fake, tools), odd)).extra
    assert fake.last.json["mirostat"] == 2


async def test_defaults_of_the_slot_fill_what_the_client_leaves_open(fake: FakeOpenAI, tools: FakeTools) -> None:
    provider = _made("openai-compat", fake, tools, temperature=0.3, max_tokens=50, extra_body={"mirostat": 1})
    await _reply(provider, PING)
    assert (fake.last.json["temperature"], fake.last.json["max_tokens"], fake.last.json["mirostat"]) == (0.3, 50, 1)
    await _reply(provider, msgspec.structs.replace(PING, generation=Generation(temperature=0.9)))
    assert fake.last.json["temperature"] == 0.9
    await provider.pass_through(_call(temperature=0.8, max_completion_tokens=3))
    body = fake.last.json
    assert (body["temperature"], body["max_completion_tokens"], body["mirostat"]) == (0.8, 3, 1)
    assert "max_tokens" not in body


async def test_a_streams_usage_is_always_asked_for_where_it_can_be(fake: FakeOpenAI, tools: FakeTools) -> None:
    call = _call(stream=True)
    call.fields["stream"] = msgspec.Raw(b"true")
    text = await (await _made("vllm", fake, tools).pass_through(call)).read()
    assert b'"usage":{' in text
    assert "stream_options" not in call.fields, "the caller's fields were changed"
    await (await _made("fastchat", fake, tools).pass_through(call)).read()
    assert "stream_options" not in fake.last.json


async def test_headers_of_the_config_are_sent_and_cannot_smuggle(fake: FakeOpenAI, tools: FakeTools) -> None:
    await _reply(_made("openrouter", fake, tools, model="fake-model", headers={"X-Title": "jackfield"}), PING)
    assert fake.last.headers["x-title"] == "jackfield"
    with pytest.raises(BadRequest):
        await _reply(_made("openrouter", fake, tools, model="fake-model", headers={"X-A": "a\r\nX-B: b"}), PING)


async def test_the_key_can_go_into_another_header(fake: FakeOpenAI, tools: FakeTools) -> None:
    provider = _made("openai-compat", fake, tools, api_key="env:KEY", quirks={"auth_header": "api-key"})
    await _reply(provider, PING)
    assert fake.last.headers["api-key"] == "the-key-itself"
    assert "authorization" not in fake.last.headers


async def test_models_are_listed_with_documented_facts_and_filtered(tools: FakeTools) -> None:
    async with FakeOpenAI(["gpt-4o", "gpt-3.5-turbo", {"id": "other", "context_length": 7}]) as fake:
        provider = _made("openai", fake, tools)
        models = {model.id: model for model in await provider.list_models()}
        assert models["gpt-4o"].vision is True
        assert models["gpt-3.5-turbo"].context_length == 16385
        assert models["other"].context_length == 7
        assert [model.id for model in await provider.list_models(contains="GPT", vision=True)] == ["gpt-4o"]
        assert fake.completions == 0


@pytest.mark.behaviour("ADPT-21")
async def test_a_list_that_cannot_be_had_is_an_error_not_an_empty_list(fake: FakeOpenAI, tools: FakeTools) -> None:
    provider = _made("vllm", fake, tools)
    for body in (b"<html>no</html>", b'{"data": 3}'):
        fake.behaviour = Behaviour(everywhere=True, body=body)
        with pytest.raises(Exception, match="vllm: the model list"):
            await provider.list_models()
    fake.behaviour = Behaviour()
    fake.models = []
    with pytest.raises(ModelNotFound, match="lists no model"):
        await _reply(provider, PING)


async def test_a_list_may_live_elsewhere_on_the_server(fake: FakeOpenAI, tools: FakeTools) -> None:
    await _made("github-models", fake, tools).list_models()
    assert fake.last.path == "/catalog/models"


async def test_a_service_without_a_list_names_the_documented_models(fake: FakeOpenAI, tools: FakeTools) -> None:
    provider = _made("perplexity", fake, tools)
    assert "sonar-pro" in {model.id for model in await provider.list_models()}
    assert fake.connections == 0
    assert (await provider.probe()).is_ready
    assert fake.completions == 0


async def test_embeddings_take_the_embedding_model(fake: FakeOpenAI, tools: FakeTools) -> None:
    reply = await _made("vllm", fake, tools, model="fake-model", temperature=0.5).embed(EmbedRequest(("a", "bb"), dimensions=3))
    assert [len(vector) for vector in reply.vectors] == [3, 3]
    assert "temperature" not in fake.last.json


@pytest.mark.behaviour("ADPT-22", "ADPT-33")
async def test_what_a_probe_learns_is_logged_with_the_provider(
    fake: FakeOpenAI, tools: FakeTools, caplog: pytest.LogCaptureFixture
) -> None:
    fake.require_key = "other"
    with caplog.at_level(logging.DEBUG, "jackfield.providers"):
        assert not (await _made("vllm", fake, tools, api_key="env:KEY").probe()).is_ready
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING][-1:]
    assert record.__dict__["provider"] == "vllm"
    assert "key refused" in record.getMessage()
    assert "the-key-itself" not in caplog.text


@pytest.mark.behaviour("LOCL-27")
def test_rows_bring_no_code() -> None:
    for preset in PRESETS.values():
        kind = preset_type(preset)
        assert kind.__bases__ == (*traits_of(preset), OpenAICompatible)
        assert not [name for name, value in vars(kind).items() if callable(value) or isinstance(value, classmethod | property)]


@pytest.mark.behaviour("ADPT-29")
async def test_a_thin_subclass_is_a_provider_type(fake: FakeOpenAI, tools: FakeTools) -> None:
    class Acme(OpenAICompatible):
        preset = Preset(id="acme", port=7, hint="start acme")

    assert Acme.card.id == "acme"
    assert OpenAICompatible.card.id == "openai-compat"
    assert (await _reply(Acme.create({"base_url": fake.root_url}, tools), PING)).text == "pong"
