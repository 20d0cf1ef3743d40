"""`jackfield slots`: look at the panel of a running gateway and change it."""

from typing import Annotated, Any

import typer

from jackfield.app.cli.call import Call, Config, Json, Url, Yes

app = typer.Typer(help="Look at the slots of a running gateway and change them.", no_args_is_help=True)

Slot = Annotated[int, typer.Argument(min=0, help="Number of the slot.", show_default=False)]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting; the value is JSON or text. May be repeated.")
]


@app.command("list")
def list_slots(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Empty slots too.")] = False,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """What is plugged where."""
    from jackfield.app.cli import output, panel_view

    call = Call.of(ctx, json=json, config=config, url=url)
    panel = call.gateway.get("slots")
    if call.json:
        output.result(panel)
    else:
        panel_view.show(panel["slots"], with_empty=everything)


@app.command()
def info(ctx: typer.Context, slot: Slot, json: Json = False, config: Config = None, url: Url = None) -> None:
    """Everything about one slot."""
    from jackfield.app.cli import output, panel_view

    call = Call.of(ctx, json=json, config=config, url=url)
    found = call.gateway.get(f"slots/{slot}")
    output.result(found) if call.json else panel_view.details(found)


@app.command()
def plug(
    ctx: typer.Context,
    slot: Slot,
    provider: Annotated[str, typer.Argument(help="Provider id or alias.", show_default=False)],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Model that the slot plays.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the slot.")] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", metavar="URL", help="Where the provider is.")] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option("--api-key-env", metavar="NAME", help="Environment variable of the gateway that holds the key."),
    ] = None,
    settings: Settings = None,
    yes: Yes = False,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Plug a provider into a slot; what was there finishes its answers and goes."""
    from jackfield.app.cli.consent import with_consent
    from jackfield.app.cli.given import provider_config

    call = Call.of(ctx, json=json, config=config, url=url)
    given = provider_config(settings, base_url=base_url, api_key_env=api_key_env)
    body = {"provider": provider, "config": given or None, "model": model, "name": name}
    gateway = call.gateway
    plugged = with_consent(lambda consent: gateway.post(f"slots/{slot}/plug", {**body, "consent": consent}), yes=yes)
    _shown(call, plugged, f"slot {slot}: plugged", [plugged])


@app.command()
def unplug(ctx: typer.Context, slot: Slot, json: Json = False, config: Config = None, url: Url = None) -> None:
    """Empty a slot; running answers finish."""
    call = Call.of(ctx, json=json, config=config, url=url)
    done = call.gateway.post(f"slots/{slot}/unplug")
    _shown(call, done, f"slot {slot}: " + ("unplugged" if done["unplugged"] else "was empty already"), [])


@app.command()
def clone(
    ctx: typer.Context,
    slot: Slot,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many copies.")] = 1,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Copy a slot into the next free ones."""
    call = Call.of(ctx, json=json, config=config, url=url)
    done = call.gateway.post(f"slots/{slot}/clone", {"count": count})
    numbers = ", ".join(str(clone["number"]) for clone in done["slots"])
    _shown(call, done, f"slot {slot}: copied to {numbers}", done["slots"])


@app.command()
def mutate(
    ctx: typer.Context,
    slot: Slot,
    rate: Annotated[float | None, typer.Option("--rate", min=0, max=1, help="Share of settings to touch.")] = None,
    scale: Annotated[float | None, typer.Option("--scale", min=0, max=1, help="How far to move them.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Makes the change repeatable.")] = None,
    settings: Settings = None,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Change a slot's generation settings: a little noise, or --set temperature=0.3."""
    from jackfield.app.cli import output
    from jackfield.app.cli.given import pairs

    call = Call.of(ctx, json=json, config=config, url=url)
    wanted: dict[str, Any] = {"rate": rate, "scale": scale, "seed": seed, "settings": pairs(settings) or None}
    body = {key: value for key, value in wanted.items() if value is not None}
    done = call.gateway.post(f"slots/{slot}/mutate", body)
    if call.json:
        output.result(done)
        return
    for key, change in done["changed"].items():
        before, after = change if isinstance(change, list) else (None, change)
        shown = ("unset" if value is None else value for value in (before, after))
        output.line(f"slot {slot}: {key} {' -> '.join(map(str, shown))}")
    if not done["changed"]:
        output.line(f"slot {slot}: nothing changed")


@app.command()
def swap(
    ctx: typer.Context,
    a: Annotated[int, typer.Argument(min=0, show_default=False)],
    b: Annotated[int, typer.Argument(min=0, show_default=False)],
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Exchange the contents of two slots; running answers finish where they began."""
    call = Call.of(ctx, json=json, config=config, url=url)
    done = call.gateway.post("slots/swap", {"a": a, "b": b})
    _shown(call, done, f"slots {a} and {b}: exchanged", done["slots"])


@app.command()
def rename(
    ctx: typer.Context,
    slot: Slot,
    name: Annotated[str, typer.Argument(show_default=False)],
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Name a slot; clients may use the name as a model."""
    call = Call.of(ctx, json=json, config=config, url=url)
    done = call.gateway.post(f"slots/{slot}/rename", {"name": name})
    _shown(call, done, f"slot {slot}: is now called {done['name']}", [])


@app.command()
def undo(ctx: typer.Context, json: Json = False, config: Config = None, url: Url = None) -> None:
    """Take the last operation back."""
    call = Call.of(ctx, json=json, config=config, url=url)
    done = call.gateway.post("slots/undo")
    _shown(call, done, f"undone: {done['undone']}", done["slots"])


@app.command()
def grab(ctx: typer.Context, slot: Slot, json: Json = False, config: Config = None, url: Url = None) -> None:
    """Keep a slot's content under a key, for `restore`."""
    from jackfield.app.cli import output

    call = Call.of(ctx, json=json, config=config, url=url)
    done = call.gateway.post(f"slots/{slot}/grab")
    output.result(done) if call.json else output.line(done["key"])


@app.command()
def restore(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="As `grab` gave it.", show_default=False)],
    slot: Annotated[int | None, typer.Option("--slot", min=0, help="Where to; else the first free slot.")] = None,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Put back what was grabbed."""
    call = Call.of(ctx, json=json, config=config, url=url)
    done = call.gateway.post("slots/restore", {"key": key, "slot": slot})
    _shown(call, done, f"slot {done['number']}: restored", [done])


@app.command()
def events(
    ctx: typer.Context,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Stop after so many.")] = None,
    json: Json = False,
    config: Config = None,
    url: Url = None,
) -> None:
    """Follow what happens on the panel, until interrupted."""
    from jackfield.app.cli.panel_events import follow

    call = Call.of(ctx, json=json, config=config, url=url)
    follow(call.gateway, count, as_json=call.json)


def _shown(call: Call, answer: Any, sentence: str, slots: list[Any]) -> None:
    from jackfield.app.cli import output, panel_view

    if call.json:
        output.result(answer)
        return
    output.note(sentence)
    if slots:
        panel_view.show(slots, with_empty=True)
