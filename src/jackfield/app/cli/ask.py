"""`jackfield ask`: one question, one answer, through a running gateway or (with --provider) in this process."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url, Yes

if TYPE_CHECKING:
    from jackfield.app.cli.answers import Answer

STDIN = "-"


def ask(
    ctx: typer.Context,
    text: Annotated[
        str | None, typer.Argument(help="The question; - or nothing reads it from stdin.", show_default=False)
    ] = None,
    slot: Annotated[int | None, typer.Option("--slot", "-s", min=0, help="Ask this slot.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Ask this model: a slot's name, provider/model or a model.")
    ] = None,
    use_case: Annotated[
        str | None, typer.Option("--use-case", help="Ask whoever the rule for this kind of work names: coding, private ...")
    ] = None,
    provider: Annotated[str | None, typer.Option("--provider", "-p", help="Ask this provider without a gateway.")] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", metavar="URL", help="With --provider: where it is.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", metavar="NAME", help="With --provider: the variable that holds its key.")
    ] = None,
    system: Annotated[str | None, typer.Option("--system", help="System prompt.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", "-t", min=0, max=2)] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1)] = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Print the answer when it is whole.")] = False,
    yes: Yes = False,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Ask one question and print the answer."""
    from jackfield.app.cli import output
    from jackfield.app.cli.failures import UsedWrongly

    call = Call.of(ctx, json=json, config=config, url=url)
    if use_case is not None and (model or provider or slot is not None):
        raise UsedWrongly("--use-case stands alone: its rule names providers and models", param="--use-case")
    if slot is not None and (model or provider):
        raise UsedWrongly("--slot stands alone: a slot has its provider and its model", param="--slot")
    if provider is None and (base_url or api_key_env):
        raise UsedWrongly("--base-url and --api-key-env go with --provider", param="--provider")
    prompt = _prompt(text)
    options: dict[str, Any] = {
        key: value for key, value in (("temperature", temperature), ("max_tokens", max_tokens)) if value is not None
    }
    is_whole = call.json or no_stream
    with output.Flow() as flow:
        on_text = None if is_whole else flow.piece
        if provider is not None:
            from jackfield.app.cli.given import provider_config
            from jackfield.app.cli.in_process import ask_provider

            given = provider_config(None, base_url=base_url, api_key_env=api_key_env)
            if system:
                options["system_prompt"] = system
            answer = ask_provider(call, provider, given, model, prompt, options, on_text, yes=yes)
        else:
            name = f"slot-{slot}" if slot is not None else f"use-case/{use_case}" if use_case else model
            answer = _through_gateway(call, name, prompt, system, options, on_text)
    if call.json:
        output.result(answer)
    elif is_whole:
        output.line(answer.text)


def _through_gateway(
    call: Call,
    model: str | None,
    prompt: str,
    system: str | None,
    options: Mapping[str, Any],
    on_text: Callable[[str], object] | None,
) -> "Answer":
    from jackfield.app.cli import answers

    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    name = model or answers.first_chat_slot(call.gateway)
    if on_text is None:
        return answers.ask_whole(call.gateway, messages, name, options)
    return answers.ask(call.gateway, messages, name, options, on_text)


def _prompt(text: str | None) -> str:
    from jackfield.app.cli.failures import UsedWrongly

    if text is not None and text != STDIN:
        prompt = text
    elif sys.stdin.isatty():
        raise UsedWrongly('nothing to ask: jackfield ask "your question", or pipe the question in', param="TEXT")
    else:
        prompt = sys.stdin.read()
    if not prompt.strip():
        raise UsedWrongly("the question is empty", param="TEXT")
    return prompt
