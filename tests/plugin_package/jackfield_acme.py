"""A whole provider: an address, the variable of its key, and the laws of the family."""

from jackfield.providers.openai_compatible import OpenAICompatible
from jackfield.providers.presets import Preset
from jackfield.providers.registry import Registrar


class Acme(OpenAICompatible):
    preset = Preset(
        id="acme", display_name="Acme", port=4545, key_env=("ACME_API_KEY",), hint="start acme", aliases=("acme-ai",)
    )


def register(registrar: Registrar) -> None:
    registrar.register(Acme)
