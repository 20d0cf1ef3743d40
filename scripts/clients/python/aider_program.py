"""The `aider` command, asked once in an empty folder."""

from checks import GATEWAY, KEY, MODEL, check, expect_answered, program

QUIET = (
    *("--no-git", "--yes-always", "--no-auto-commits", "--no-check-update", "--no-show-model-warnings", "--no-pretty"),
    *("--analytics-disable", "--no-show-release-notes", "--no-detect-urls", "--map-tokens", "0", "--no-gitignore"),
)


def aider(*words):
    return program(
        "aider",
        *QUIET,
        "--model",
        f"openai/{MODEL}",
        *words,
        OPENAI_API_BASE=f"{GATEWAY}/v1",
        OPENAI_API_KEY=KEY,
        LITELLM_LOCAL_MODEL_COST_MAP="True",
    )


@check("plain")
def plain():
    expect_answered(aider("--no-stream", "--message", "ping"))


@check("stream")
def stream():
    expect_answered(aider("--message", "ping"))
