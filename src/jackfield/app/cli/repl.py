"""The conversation behind `jackfield chat`: lines in, answers out, /commands that switch slot, provider, model or system.

Works the same from a terminal and from a pipe; only a terminal sees prompts and menus. Answers go to stdout, all else to
stderr. A failed answer ends neither the conversation nor what was said before.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from jackfield.app.cli import answers, output, panel_view
from jackfield.app.cli.consent import with_consent
from jackfield.app.cli.failures import GatewayUnreachable
from jackfield.app.cli.gateway import Gateway
from jackfield.core.errors import BadRequest, Conflict, JackfieldError, NotFound
from jackfield.core.redaction import redact

HELP = """\
/slot [N]         answer from slot N; without N, show the slots
/provider [ID]    answer from this provider, plugging it into a free slot if need be; without ID, choose from a list
/model [NAME]     ask for this model; without NAME, list the models
/system [TEXT]    set the system prompt; without TEXT, drop it
/clear            forget the conversation so far
/help             this list
/quit             leave (also Ctrl-D)"""


class Leave(Exception):
    """The person wants to go."""


class Conversation:
    """What has been said, and who answers next. `target` is a model name for the gateway, None for its first chat slot."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        target: str | None = None,
        system: str | None = None,
        yes: bool = False,
        as_json: bool = False,
    ) -> None:
        self._gateway = gateway
        self._target = target
        self._provider: str | None = None
        self._system = system
        self._yes = yes
        self._as_json = as_json
        self._turns: list[dict[str, str]] = []
        self._commands: dict[str, Callable[[str], None]] = {
            "slot": self._slot,
            "provider": self._switch_provider,
            "model": self._model,
            "system": self._set_system,
            "clear": lambda _: self._turns.clear(),
            "help": lambda _: output.note(HELP),
            "quit": self._quit,
            "exit": self._quit,
        }

    @property
    def target(self) -> str:
        """Who answers next. Raises NotFound where nothing is plugged."""
        if self._target is None:
            self._target = answers.first_chat_slot(self._gateway)
        return self._target

    def take(self, line: str) -> None:
        """One line of a person: a command or a question. Raises Leave, or what went wrong."""
        text = line.strip()
        if text.startswith("/"):
            self._command(text)
        elif text:
            self._ask(text)

    def _command(self, text: str) -> None:
        name, _, argument = text[1:].partition(" ")
        command = self._commands.get(name)
        if command is None:
            raise BadRequest(f"there is no /{name}: /help lists what there is")
        command(argument.strip())

    def _ask(self, text: str) -> None:
        turns = [*self._turns, {"role": "user", "content": text}]
        system = [{"role": "system", "content": self._system}] if self._system else []
        with output.Flow() as flow:
            on_text = _nothing if self._as_json else flow.piece
            answer = answers.ask(self._gateway, [*system, *turns], self.target, {}, on_text)
        self._turns = [*turns, {"role": "assistant", "content": answer.text}]
        if self._as_json:
            output.result(answer)

    def _slot(self, argument: str) -> None:
        if not argument:
            panel_view.show(self._gateway.get("slots")["slots"], to_stderr=True)
            return
        if not argument.isdecimal():
            raise BadRequest(f"a slot has a number, got {argument!r}")
        slot = self._gateway.get(f"slots/{argument}")
        if slot["state"] != "plugged":
            raise NotFound(f"slot {argument} is {panel_view.state(slot)}")
        self._answer_from(slot)

    def _switch_provider(self, argument: str) -> None:
        wanted = argument or self._chosen_provider()
        card = self._gateway.get(f"providers/{wanted}")["card"]
        slots = self._gateway.get("slots")["slots"]
        plugged = [slot for slot in slots if slot["state"] == "plugged" and slot["provider"] == card["id"]]
        self._answer_from(plugged[0] if plugged else self._plugged_in(card["id"], slots))

    def _plugged_in(self, provider_id: str, slots: list[dict[str, Any]]) -> dict[str, Any]:
        free = next((slot["number"] for slot in slots if slot["state"] == "empty"), None)
        if free is None:
            raise Conflict("every slot is taken: jackfield slots unplug N")
        body = {"provider": provider_id}
        slot: dict[str, Any] = with_consent(
            lambda consent: self._gateway.post(f"slots/{free}/plug", {**body, "consent": consent}), yes=self._yes
        )
        return slot

    def _chosen_provider(self) -> str:
        """A numbered menu of what is plugged; the answer may also be any provider's id."""
        slots = [slot for slot in self._gateway.get("slots")["slots"] if slot["state"] == "plugged"]
        names = list(dict.fromkeys(str(slot["provider"]) for slot in slots))
        for index, name in enumerate(names, 1):
            output.note(f"  {index}  {name}")
        if not output.can_ask():
            raise BadRequest("say which: /provider ID")
        sys.stderr.write("number or provider id: ")
        sys.stderr.flush()
        said = sys.stdin.readline().strip()
        if said.isdecimal() and 1 <= int(said) <= len(names):
            return names[int(said) - 1]
        if not said:
            raise BadRequest("nothing chosen; the same source goes on answering")
        return said

    def _answer_from(self, slot: dict[str, Any]) -> None:
        self._target = str(slot["model_id"])
        self._provider = str(slot["provider"])
        model = panel_view.model(slot)
        output.note(f"slot {slot['number']} ({slot['provider']}{f', {model}' if model else ''}) answers now")

    def _model(self, argument: str) -> None:
        if not argument:
            for model in self._gateway.get("models")["models"]:
                output.note(f"  {model['id']}  (slot {model['slot']}, {model['provider']})")
            return
        provider = self._provider
        self._target = f"{provider}/{argument}" if provider and "/" not in argument else argument
        output.note(f"{self._target} answers now")

    def _set_system(self, argument: str) -> None:
        self._system = argument or None
        output.note("the system prompt is set" if argument else "no system prompt from now on")

    def _quit(self, _: str) -> None:
        raise Leave


def _nothing(_: str) -> None:
    """With --json the whole answer is printed at its end."""


def run(conversation: Conversation) -> JackfieldError | None:
    """Reads lines until they end; gives back the last failure, already said. Raises GatewayUnreachable."""
    is_terminal = output.can_ask()
    failure: JackfieldError | None = None
    if is_terminal:
        output.note(f"{conversation.target} answers. /help lists commands, /quit leaves.")
    for line in _lines(is_terminal):
        try:
            conversation.take(line)
        except Leave:
            break
        except GatewayUnreachable:
            raise
        except JackfieldError as error:
            output.note(f"jackfield: {redact(str(error))}")
            failure = error
        except KeyboardInterrupt:
            if not is_terminal:
                raise
            output.note("(stopped)")
    return failure


def _lines(is_terminal: bool) -> Iterator[str]:
    if not is_terminal:
        yield from iter(sys.stdin.readline, "")  # from stdin itself, leaving early would close it
        return
    _history()
    while True:
        try:
            yield input("> ")
        except EOFError:
            output.note()
            return
        except KeyboardInterrupt:
            output.note("(type /quit to leave)")


def _history() -> None:
    """Line editing, where this Python has it."""
    try:
        import readline  # noqa: F401 - importing it is what switches it on
    except ImportError:
        return
