"""Runs the gateway in a process that holds nothing but the gateway: `python -m jackfield.app.serve '{"demo": true}'`.

`jackfield up` becomes this program once its words are understood, so that what only a command line needs (and that is a
fifth of the memory) is not carried along for as long as the gateway runs.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from jackfield.app.cli.failures import OK, exit_code, say
from jackfield.app.settings import Loaded, load_settings, process_environment
from jackfield.core.errors import JackfieldError
from jackfield.store.references import is_secret_key

if TYPE_CHECKING:
    from jackfield.app.compose import House

SECRET_MIN = 8
MODULE = "jackfield.app.serve"


class Wish(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `up` was told. `flags` are settings by dotted key; `yes` answers the question of consent in the settings."""

    config: str | None = None
    flags: dict[str, Any] = {}
    demo: bool = False
    yes: bool = False
    json: bool = False


def command(wish: Wish) -> list[str]:
    """The argv of a process that does what `wish` says."""
    return [sys.executable, "-m", MODULE, msgspec.json.encode(wish).decode()]


def serve(wish: Wish, environ: Mapping[str, str]) -> None:
    """Serves until SIGINT or SIGTERM. Raises SettingsInvalid, PortTaken, NotAllowed and what opening the house raises."""
    from jackfield.app import server
    from jackfield.app.cli.welcome import welcome
    from jackfield.app.logging_setup import set_up_logging

    loaded = settings_for(wish, environ)
    in_environment = environment_secrets(environ)
    houses: list[House] = []
    set_up_logging(loaded.settings.log, lambda: in_environment.union(*(house.secrets.known_values() for house in houses)))

    def on_ready(house: "House") -> None:
        houses.append(house)
        welcome(house, as_json=wish.json)

    server.run(loaded, demo=wish.demo, on_ready=on_ready)


def environment_secrets(environ: Mapping[str, str]) -> frozenset[str]:
    """Values of variables whose names say that they hold a secret, to be kept out of every log line."""
    return frozenset(
        value.strip() for name, value in environ.items() if is_secret_key(name) and len(value.strip()) >= SECRET_MIN
    )


def settings_for(wish: Wish, environ: Mapping[str, str]) -> Loaded:
    """The settings, with consent given where --yes answers what they leave open. Raises SettingsInvalid."""
    file = Path(wish.config) if wish.config else None
    loaded = load_settings(file, environ, wish.flags)
    if not wish.yes:
        return loaded
    slots, providers = loaded.settings.slots, loaded.settings.providers
    asked = [f"slots.{number}.consent" for number, slot in slots.items() if slot.consent == "ask"]
    asked += [f"providers.{name}.consent" for name in providers.wanted if providers.block(name).consent == "ask"]
    return load_settings(file, environ, {**wish.flags, **dict.fromkeys(asked, "allow")})


def main(words: list[str]) -> int:
    wish = msgspec.json.decode(words[0], type=Wish) if words else Wish()
    try:
        serve(wish, process_environment())
    except JackfieldError as error:
        say(error, as_json=wish.json)
        return exit_code(error)
    except KeyboardInterrupt:
        return OK  # Ctrl-C is how a gateway is stopped
    return OK


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
