"""The `opencode` command, asked once, with the AI SDK's package for OpenAI-compatible servers and with Anthropic's."""

import json
from pathlib import Path

from checks import GATEWAY, KEY, MODEL, check, expect_answered, program


def opencode(package):
    options = {"baseURL": f"{GATEWAY}/v1", "apiKey": KEY}
    provider = {"npm": package, "name": "gateway", "options": options, "models": {MODEL: {"name": MODEL}}}
    config = {"provider": {"gateway": provider}, "autoupdate": False, "share": "disabled"}
    Path("opencode.json").write_text(json.dumps(config), encoding="utf-8")
    return program("opencode", "run", "-m", f"gateway/{MODEL}", "ping", OPENCODE_DISABLE_MODELS_FETCH="1")


@check("openai-compatible")
def by_openai():
    expect_answered(opencode("@ai-sdk/openai-compatible"))


@check("anthropic")
def by_anthropic():
    expect_answered(opencode("@ai-sdk/anthropic"))
