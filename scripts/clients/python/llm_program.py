"""The `llm` command: by its file of OpenAI-compatible models, and by its plugin for Ollama."""

import json
from pathlib import Path

from checks import COUNT, COUNTED, EMBED_MODEL, GATEWAY, KEY, MODEL, WEATHER, check, expect, expect_said, program

HOME = Path.home() / "llm"
HOME.mkdir()
ENTRY = {
    "model_id": "gateway",
    "model_name": MODEL,
    "api_base": f"{GATEWAY}/v1",
    "api_key_name": "gateway",
    "supports_tools": True,
}
(HOME / "extra-openai-models.yaml").write_text(json.dumps([ENTRY]), encoding="utf-8")
(HOME / "keys.json").write_text(json.dumps({"gateway": KEY}), encoding="utf-8")


CODE = 'def get_weather(city: str) -> str:\n    "Weather of a city"\n    return "sunny"'
WEATHER_TOOL = ("--functions", CODE)


def llm(*words):
    return program("llm", *words, LLM_USER_PATH=str(HOME), OLLAMA_HOST=GATEWAY).strip()


@check("plain")
def plain():
    expect(llm("prompt", "--no-log", "--no-stream", "-m", "gateway", "ping"), "pong")


@check("stream")
def stream():
    expect(llm("prompt", "--no-log", "-m", "gateway", COUNT), COUNTED)


@check("tools", if_real=True)  # the script would call it for ever
def tools():
    expect_said(llm("prompt", "--no-log", "-m", "gateway", *WEATHER_TOOL, WEATHER), "sunny")


@check("llm-ollama: models")
def ollama_models():
    expect_said(llm("ollama", "models"), MODEL)


@check("llm-ollama: plain")
def ollama_plain():
    expect(llm("prompt", "--no-log", "--no-stream", "-m", f"ollama/{MODEL}", "ping"), "pong")


@check("llm-ollama: stream")
def ollama_stream():
    expect(llm("prompt", "--no-log", "-m", f"ollama/{MODEL}", COUNT), COUNTED)


@check("llm-ollama: tools", if_real=True)
def ollama_tools():
    expect_said(llm("prompt", "--no-log", "-m", f"ollama/{MODEL}", *WEATHER_TOOL, WEATHER), "sunny")


@check("llm-ollama: embeddings", if_real=True)  # a scripted slot is for answers
def ollama_embeddings():
    assert len(json.loads(llm("embed", "-m", f"ollama/{EMBED_MODEL}", "-c", "one"))) > 1
