"""Messages requests: a ChatRequest to a source's body. What comes in at a door is in anthropic_messages_asked.py.

Knows the request's top-level fields; turns are in anthropic_messages_turns.py. Requests of this dialect for a source of this
dialect do not come here: they pass through (anthropic_messages_splice.py).
"""

from collections.abc import Sequence

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.requests import ChatRequest, Tool
from jackfield.dialects.anthropic_messages_quirks import (
    EFFORTS,
    MIN_THINKING_TOKENS,
    PLAIN,
    THINKING_BUDGETS,
    TOOL_FIELDS,
    MessagesQuirks,
)
from jackfield.dialects.anthropic_messages_turns import encode_system, encode_turns, may_think
from jackfield.dialects.json_value import Object

_encode = msgspec.json.Encoder().encode
_NO_PLACE = (
    "seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "context_length",
)  # fmt: skip
_COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
_SERVICE_TIERS = ("auto", "standard_only")


def encode_request(
    request: ChatRequest, quirks: MessagesQuirks = PLAIN, *, model: str | None = None
) -> tuple[bytes, list[str]]:
    """The body for a source, and a warning for everything in the request that it does not carry.

    `model` overrides the request's. Nothing is dropped silently. Raises BadRequest or NotSupported for a part that has no
    form here.
    """
    body, warnings = _Writer(request, quirks).body(model if model is not None else request.model)
    try:
        return _encode(body), warnings
    except (TypeError, UnicodeEncodeError) as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}") from None


def encode_count(request: ChatRequest, quirks: MessagesQuirks = PLAIN, *, model: str | None = None) -> bytes:
    """The body that asks how many tokens the request's prompt has."""
    body, _ = _Writer(request, quirks).body(model if model is not None else request.model)
    return _encode({name: body[name] for name in _COUNTED if name in body})


class _Writer:
    """One request on its way to a body."""

    def __init__(self, request: ChatRequest, quirks: MessagesQuirks) -> None:
        self._request = request
        self._quirks = quirks
        self._warnings: list[str] = []
        self._body: Object = {}

    def body(self, model: str | None) -> tuple[Object, list[str]]:
        request, generation = self._request, self._request.generation
        if model is not None:
            self._body["model"] = model
        self._body["max_tokens"] = generation.max_tokens or self._quirks.max_tokens
        if (system := encode_system(request.messages, self._warnings)) is not None:
            self._body["system"] = system
        self._body["messages"] = encode_turns(request.messages, self._warnings)
        self._extra()
        if generation.stop:
            self._body["stop_sequences"] = list(generation.stop)
        self._tools()
        self._format()
        self._thinking()
        self._sampling()
        self._warnings += [_left_out(name) for name in _NO_PLACE if getattr(generation, name) is not None]
        if request.stream:
            self._body["stream"] = True
        return self._body, self._warnings

    def _extra(self) -> None:
        for name, value in self._request.extra.items():
            if not self._quirks.takes_field(name) or (name == "service_tier" and value not in _SERVICE_TIERS):
                self._warnings.append(_left_out(name))
            elif name == "metadata":
                self._metadata(value)
            else:
                self._body[name] = value
        if self._request.user is not None:
            self._body["metadata"] = {"user_id": self._request.user}

    def _metadata(self, value: object) -> None:
        given = value if isinstance(value, dict) else {}
        if "user_id" in given:
            self._body["metadata"] = {"user_id": given["user_id"]}
        self._warnings += [_left_out(f"metadata.{name}") for name in given if name != "user_id"]

    def _tools(self) -> None:
        request = self._request
        if request.tools:
            self._body["tools"] = encode_tools(request.tools, self._warnings)
        elif request.tool_choice is not None:
            self._warnings.append("tool_choice: left out, there are no tools")
        choice = _tool_choice(request)
        if choice is not None:
            self._body["tool_choice"] = choice

    def _format(self) -> None:
        wanted = self._request.response_format
        if wanted is None or wanted.kind == "text":
            return
        if wanted.kind == "json_schema" and wanted.schema is not None and self._quirks.schemas:
            self._output("format", {"type": "json_schema", "schema": wanted.schema})
        else:
            self._warnings.append("response_format: left out, the source holds answers to a JSON schema only, or to none")

    def _output(self, name: str, value: object) -> None:
        given = self._body.get("output_config")
        self._body["output_config"] = {name: value} | (given if isinstance(given, dict) else {})

    def _thinking(self) -> None:
        effort = self._request.generation.reasoning_effort
        if effort is None or "thinking" in self._body:
            return
        if effort == "none":
            self._body["thinking"] = {"type": "disabled"}
        elif effort not in EFFORTS or self._quirks.thinking == "none":
            self._warnings.append(_left_out("reasoning_effort"))
        elif self._quirks.thinking == "adaptive":
            self._output("effort", EFFORTS[effort])
            if self._thinks_now():
                self._body["thinking"] = {"type": "adaptive"}
        elif self._thinks_now():
            self._budget(THINKING_BUDGETS[effort])

    def _thinks_now(self) -> bool:
        choice = self._body.get("tool_choice") or {}
        if choice.get("type") in ("any", "tool"):
            self._warnings.append("reasoning_effort: no thinking, the source does not think where a tool is prescribed")
            return False
        if not may_think(self._request.messages):
            self._warnings.append("reasoning_effort: no thinking, the tool's turn began without signed reasoning")
            return False
        return True

    def _budget(self, budget: int) -> None:
        """The budget is part of the answer's length, so an unsaid length grows by it and a said one bounds it."""
        asked = self._request.generation.max_tokens
        if asked is None:
            self._body["max_tokens"] = budget + self._quirks.max_tokens
        elif asked <= MIN_THINKING_TOKENS:
            self._warnings.append(f"reasoning_effort: no thinking, it takes a max_tokens above {MIN_THINKING_TOKENS}")
            return
        else:
            budget = min(budget, asked - 1)
        self._body["thinking"] = {"type": "enabled", "budget_tokens": budget}

    def _sampling(self) -> None:
        generation = self._request.generation
        thinking = self._body.get("thinking")
        thinks = isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
        for name in ("temperature", "top_p", "top_k"):
            value = getattr(generation, name)
            if value is None:
                continue
            if not self._quirks.sampling:
                self._warnings.append(_left_out(name))
            elif thinks and not (name == "temperature" and value == 1):
                self._warnings.append(f"{name}: left out, it cannot be set while the source thinks")
            elif name == "temperature" and value > 1:
                self._warnings.append(f"temperature: {value:g} is sent as 1, the highest that the source takes")
                self._body[name] = 1.0
            else:
                self._body[name] = value


def _left_out(name: str) -> str:
    return f"{name}: left out, the source does not take it"


def encode_tools(tools: Sequence[Tool], warnings: list[str]) -> list[Object]:
    """Adds to `warnings` what of a tool has no place here."""
    return [_tool(tool, f"tools[{index}]", warnings) for index, tool in enumerate(tools)]


def _tool(tool: Tool, at: str, warnings: list[str]) -> Object:
    value: Object = {"name": tool.name}
    if tool.description is not None:
        value["description"] = tool.description
    value["input_schema"] = {"type": "object", **(tool.parameters or {})}
    if tool.strict is not None:
        value["strict"] = tool.strict
    for name, item in tool.extra.items():
        if name in TOOL_FIELDS:
            value[name] = item
        else:
            warnings.append(_left_out(f"{at}.{name}"))
    return value


def _tool_choice(request: ChatRequest) -> Object | None:
    if not request.tools:
        return None
    chosen, is_parallel = request.tool_choice, request.generation.parallel_tool_calls
    match chosen.mode if chosen else "auto":
        case "named":
            value: Object = {"type": "tool", "name": chosen.name if chosen else None}
        case "required":
            value = {"type": "any"}
        case mode:
            value = {"type": mode}
    if is_parallel is not None and value["type"] != "none":
        value["disable_parallel_tool_use"] = not is_parallel
    return value if chosen is not None or is_parallel is False else None
