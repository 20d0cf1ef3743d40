"""Continue's `cn` command, headless, with OpenAI's and with Ollama's API."""

import json
from pathlib import Path

from checks import GATEWAY, KEY, MODEL, check, expect_answered, program


def cn(**model):
    config = {"name": "test", "version": "0.0.1", "schema": "v1", "models": [{"name": "gateway", "model": MODEL, **model}]}
    file = Path.home() / "config.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")
    return program("cn", "--config", str(file), "-p", "ping", CONTINUE_TELEMETRY_ENABLED="0")


@check("openai")
def by_openai():
    expect_answered(cn(provider="openai", apiBase=f"{GATEWAY}/v1", apiKey=KEY))


@check("anthropic")
def by_anthropic():
    expect_answered(cn(provider="anthropic", apiBase=f"{GATEWAY}/v1", apiKey=KEY))
