"""Turns what a person writes in a call (`prompt`, keyword arguments) into a request, and says what it could not place.

Knows the keyword arguments of the handle; the parameters' names and ranges are core/parameters.py's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.messages import ImagePart, Message, Part, TextPart, format_messages
from jackfield.core.parameters import SYNONYMS, did_you_mean, normalise
from jackfield.core.requests import ChatRequest, Tool
from jackfield.dialects.openai_chat import decode_request

_OWN = ("model", "messages", "images", "tools", "tool_choice", "user", "timeout", "timeout_s", "strict")

TIMEOUT_MAX_S = 1e9
"""As good as no limit."""


class Asked(msgspec.Struct, frozen=True):
    """`format` is text, json or embedding; `unknown` names go to the provider as they are, with a warning."""

    request: ChatRequest
    format: str
    unknown: tuple[str, ...]
    timeout_s: float | None
    is_strict: bool

    @property
    def warnings(self) -> list[str]:
        known = [*SYNONYMS, *_OWN]
        return [f"{name} is no parameter known here{did_you_mean(name, known)}: passed on as it is" for name in self.unknown]


def asked(prompt: str, given: Mapping[str, Any], *, stream: bool = False) -> Asked:
    """Raises BadRequest for a wrong type, a value out of range, or, with strict=True, an unknown name."""
    own = {name: given[name] for name in _OWN if name in given}
    parameters = normalise({name: value for name, value in given.items() if name not in own})
    result = Asked(
        ChatRequest(
            messages=_messages(prompt, parameters.system_prompt, own),
            model=_text(own, "model"),
            generation=parameters.generation,
            tools=_tools(own),
            tool_choice=_wire(own).tool_choice,
            response_format=parameters.response_format,
            stream=stream,
            include_usage=stream,
            user=_text(own, "user"),
            extra=dict(parameters.unknown),
        ),
        parameters.format,
        tuple(parameters.unknown),
        _timeout(own),
        bool(own.get("strict", False)),
    )
    if result.is_strict and result.unknown:
        raise BadRequest(result.warnings[0].replace(": passed on as it is", ""), param=result.unknown[0])
    return result


def _messages(prompt: str, system_prompt: str | None, own: Mapping[str, Any]) -> tuple[Message, ...]:
    if own.get("messages") is not None:
        return messages_of(own["messages"], system_prompt)
    if not isinstance(prompt, str):
        raise BadRequest(f"prompt must be text, got {type(prompt).__name__}", param="prompt")
    opening = format_messages(prompt, system_prompt)
    images = own.get("images") or ()
    if not images:
        return opening
    if not isinstance(images, list | tuple):
        raise BadRequest(f"images must be a list, got {type(images).__name__}", param="images")
    parts: tuple[Part, ...] = (TextPart(prompt), *(_image(image) for image in images))
    return (*opening[:-1], Message("user", parts))


def messages_of(messages: Sequence[Any], system_prompt: str | None = None) -> tuple[Message, ...]:
    """Messages given as core values or as OpenAI's objects. Raises BadRequest."""
    opening = format_messages("", system_prompt)[:-1]
    if messages and _are_all(messages, Message):
        return (*opening, *messages)
    return (*opening, *decode_request({"messages": _raw(messages, "messages")}).messages)


def _image(image: Any) -> ImagePart:
    if isinstance(image, ImagePart):
        return image
    if not isinstance(image, str):
        raise BadRequest("an image is given as a URL, a data URL, or an ImagePart", param="images")
    if image.startswith("data:") and ";base64," in image:
        head, _, data = image.partition(";base64,")
        return ImagePart(data=data, media_type=head[5:])
    return ImagePart(url=image)


def _tools(own: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools = own.get("tools") or ()
    return tuple(tools) if _are_all(tools, Tool) else _wire(own).tools


def _are_all(values: Any, kind: type) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, kind) for value in values)


def _wire(own: Mapping[str, Any]) -> ChatRequest:
    """Tools in OpenAI's own shape, read by its dialect."""
    if "tools" not in own and "tool_choice" not in own:
        return ChatRequest(())
    fields = {"messages": _raw([{"role": "user", "content": ""}], "messages")}
    for name in ("tools", "tool_choice"):
        value = own.get(name)
        if value is not None and not (name == "tools" and _are_all(value, Tool)):
            fields[name] = _raw(value, name)
    return decode_request(fields)


def _raw(value: Any, name: str) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.encode(value))
    except TypeError as error:
        raise BadRequest(f"{name} is not plain JSON: {error}", param=name) from None


def _text(own: Mapping[str, Any], name: str) -> str | None:
    value = own.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} must be text, got {type(value).__name__}", param=name)
    return value


def _timeout(own: Mapping[str, Any]) -> float | None:
    value = own.get("timeout_s", own.get("timeout"))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise BadRequest(f"timeout must be seconds above 0, got {value!r}", param="timeout")
    return float(min(value, TIMEOUT_MAX_S))
