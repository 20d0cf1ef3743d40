"""`jackfield doctor llama-cpp`: are the paths of llama.cpp's program and its model right, and does the program start?"""

from typing import Annotated

import typer

from jackfield.app.cli.call import Call, Config, Json


def llama_cpp(
    ctx: typer.Context,
    program: Annotated[str | None, typer.Option("--program", metavar="FILE", help="Program to look at.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="FILE", help="GGUF file, or its name in models_dir.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """llama.cpp's program and model: paths for this system (WSL, Windows), files there, program executable; else exit 1."""
    from jackfield.app.cli import output
    from jackfield.app.cli.findings import show_checks
    from jackfield.app.doctoring.check import has_failed
    from jackfield.app.doctoring.llama_cpp import look_at, system_here
    from jackfield.app.doctoring.llama_places import given_place, places
    from jackfield.app.settings_providers import installed
    from jackfield.providers.llama_direct import program_environ

    call = Call.of(ctx, json=json, config=config)
    settings = call.load().settings
    wanted = [given_place(program, model, settings)] if program or model else None
    wanted = wanted or places(settings, installed(settings.presets, settings.plugins))
    system, environ = system_here(), program_environ(call.environ)
    looked = [look_at(place, system, environ) for place in wanted]
    if call.json:
        output.result(looked)
    else:
        for each in looked:
            output.line(each.where)
            show_checks(each.checks)
    if any(has_failed(each.checks) for each in looked):
        raise typer.Exit(1)
