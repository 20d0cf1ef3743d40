"""Qwen Code's `qwen` command, headless."""

from checks import GATEWAY, KEY, MODEL, check, expect_answered, program


@check("openai")
def by_openai():
    said = program(
        "qwen",
        "-p",
        "ping",
        "--auth-type",
        "openai",
        OPENAI_BASE_URL=f"{GATEWAY}/v1",
        OPENAI_API_KEY=KEY,
        OPENAI_MODEL=MODEL,
    )
    expect_answered(said)
