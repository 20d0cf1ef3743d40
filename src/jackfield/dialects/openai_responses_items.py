"""The `input` of a Responses request: items to core messages and back.

Knows messages, function calls and their outputs, and reasoning. Neighbouring items of the assistant's become one message, as
every other dialect wants them. Items of built-in tools, and all others without a core name, keep their place among the
messages: (number of messages before it, item).
"""

import hashlib
from collections.abc import Sequence
from typing import Any, assert_never

from jackfield.core.errors import BadRequest, NotSupported
from jackfield.core.messages import (
    AudioPart,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from jackfield.dialects.json_value import (
    Object,
    missing,
    read_array,
    read_object,
    read_optional_text,
    read_text,
    required_text,
    rest,
    with_extra,
    wrong_type,
)
from jackfield.dialects.plain_turns import plain_turn

OtherItem = tuple[int, Object]
SUMMARY_BREAK = "\n\n"
FREEFORM_CALL = "custom_tool_call"
_ROLES: tuple[Role, ...] = ("user", "assistant", "system", "developer")
_BOOKKEEPING = ("id", "status")
"""Where an item is stored and how far it got: facts of one server's store, of no use to another answer."""


def decode_input(value: Any) -> tuple[list[Message], list[OtherItem]]:
    """Messages, and the items that are none with their places. Raises BadRequest or NotSupported naming the place."""
    if isinstance(value, str):
        return [text_message("user", value)], []
    if not isinstance(value, list):
        raise wrong_type("input", "a string or an array of items", value)
    reader = _Reader()
    for index, item in enumerate(value):
        plain = plain_turn(item, _ROLES)
        if plain is not None:
            reader.take(plain)
        else:
            reader.read(read_object(item, f"input[{index}]"), f"input[{index}]")
    return reader.messages, reader.others


class _Reader:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.others: list[OtherItem] = []
        self._may_join = False

    def read(self, item: Object, at: str) -> None:
        match item.get("type", "message"):
            case "message":
                self._message(item, at)
            case "function_call":
                self._said((_call(item, at),), {})
            case "function_call_output":
                self._add(_call_output(item, at))
            case "reasoning":
                self._said((read_reasoning(item),), {})
            case str():
                self.others.append((len(self.messages), item))
                self._may_join = False
            case kind:
                raise wrong_type(f"{at}.type", "a string", kind)

    def _message(self, item: Object, at: str) -> None:
        role = required_text(item, "role", at)
        if role not in _ROLES:
            raise BadRequest(f"{at}.role must be one of {', '.join(_ROLES)}, got {role[:40]!r}", param=f"{at}.role")
        parts = _content(item.get("content"), f"{at}.content")
        extra = rest(item, ("type", "role", "content", *_BOOKKEEPING))
        self.take(Message(role, parts, extra=extra))

    def take(self, message: Message) -> None:
        if message.role == "assistant":
            self._said(message.parts, message.extra)
        else:
            self._add(message)

    def _add(self, message: Message) -> None:
        self.messages.append(message)
        self._may_join = False

    def _said(self, parts: Sequence[Part], extra: Object) -> None:
        """Joins what the assistant did before, unless both carry facts of their own that differ."""
        last = self.messages[-1] if self._may_join else None
        if last is not None and (not extra or not last.extra or last.extra == extra):
            self.messages[-1] = Message("assistant", (*last.parts, *parts), extra=last.extra or extra)
        else:
            self.messages.append(Message("assistant", tuple(parts), extra=extra))
        self._may_join = True


def _content(value: Any, at: str) -> tuple[ContentPart, ...]:
    if value is None:
        raise missing(at)
    if isinstance(value, str):
        return (TextPart(value),)
    if not isinstance(value, list):
        raise wrong_type(at, "a string or an array of parts", value)
    return tuple(_part(read_object(part, f"{at}[{index}]"), f"{at}[{index}]") for index, part in enumerate(value))


def _part(part: Object, at: str) -> ContentPart:
    kind = required_text(part, "type", at)
    match kind:
        case "input_text" | "output_text" | "text":
            text = required_text(part, "text", at)
            return TextPart(text, rest(part, ("type", "text", "annotations", "logprobs")))
        case "refusal":
            return RefusalPart(required_text(part, "refusal", at), rest(part, ("type", "refusal")))
        case "input_image":
            return _image(part, at)
        case "input_file":
            return _file(part, at)
        case "input_audio":
            audio = read_object(part.get("input_audio"), f"{at}.input_audio")
            data = required_text(audio, "data", f"{at}.input_audio")
            return AudioPart(data, read_optional_text(audio.get("format"), f"{at}.input_audio.format"))
    raise BadRequest(
        f"{at}.type must be input_text, input_image, input_file, output_text or refusal, got {kind[:40]!r}", param=f"{at}.type"
    )


def _image(part: Object, at: str) -> ImagePart:
    url = read_optional_text(part.get("image_url"), f"{at}.image_url")
    if url is None and not isinstance(part.get("file_id"), str):
        raise missing(f"{at}.image_url")
    detail = read_optional_text(part.get("detail"), f"{at}.detail")
    extra = rest(part, ("type", "image_url", "detail"))
    head, marker, data = (url or "").partition(";base64,")
    if marker and head.startswith("data:"):
        return ImagePart(data=data, media_type=head.removeprefix("data:") or None, detail=detail, extra=extra)
    return ImagePart(url, detail=detail, extra=extra)


def _file(part: Object, at: str) -> FilePart:
    file_id = read_optional_text(part.get("file_id"), f"{at}.file_id")
    data = read_optional_text(part.get("file_data"), f"{at}.file_data")
    if file_id is None and data is None and not isinstance(part.get("file_url"), str):
        raise BadRequest(f"{at} needs file_id, file_data or file_url", param=at)
    filename = read_optional_text(part.get("filename"), f"{at}.filename")
    return FilePart(file_id, data, filename, extra=rest(part, ("type", "file_id", "file_data", "filename")))


def _call(item: Object, at: str) -> ToolCallPart:
    return ToolCallPart(
        required_text(item, "call_id", at),
        required_text(item, "name", at),
        required_text(item, "arguments", at),
        rest(item, ("type", "call_id", "name", "arguments", *_BOOKKEEPING)),
    )


def _call_output(item: Object, at: str) -> Message:
    call_id = required_text(item, "call_id", at)
    output = item.get("output")
    content = _content(output if isinstance(output, str | list) else None, f"{at}.output")
    name = read_optional_text(item.get("name"), f"{at}.name")
    extra = rest(item, ("type", "call_id", "output", "name", *_BOOKKEEPING))
    return Message("tool", (ToolResultPart(call_id, content, name, extra=extra),))


def read_reasoning(item: Object) -> ReasoningPart:
    """A reasoning item as one part: its summary, or the reasoning itself where that is told; withheld if there is neither.

    The signature is `encrypted_content`, to be given back as it is.
    """
    texts = [*_texts(item.get("summary")), *_texts(item.get("content"))]
    text = SUMMARY_BREAK.join(texts)
    signature = item.get("encrypted_content")
    extra: Object = {"id": item["id"]} if isinstance(item.get("id"), str) else {}
    return ReasoningPart(text, signature if isinstance(signature, str) else None, not text, extra)


def _texts(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else []
    return [text for part in parts if isinstance(part, dict) and isinstance(text := part.get("text"), str) and text]


def encode_input(messages: Sequence[Message], others: Sequence[OtherItem], warnings: list[str]) -> list[Object]:
    """The `input` array. Adds to `warnings` what has no form here.

    Raises BadRequest for a tool message without a result, NotSupported for sound.
    """
    items: list[Object] = []
    left = list(others)
    for index, message in enumerate(messages):
        while left and left[0][0] <= index:
            items.append(left.pop(0)[1])
        items += _encode(message, index, warnings)
    return items + [item for _, item in left]


def _encode(message: Message, index: int, warnings: list[str]) -> list[Object]:
    results = [part for part in message.parts if isinstance(part, ToolResultPart)]
    others = [part for part in message.parts if not isinstance(part, ToolResultPart)]
    items = [_encode_result(part, f"messages[{index}]") for part in results]
    warnings += [f"messages[{index}]: is_error is not carried" for part in results if part.is_error]
    if message.name is not None:
        warnings.append(f"messages[{index}]: the name is not carried")
    if message.role == "tool":
        if not items or others:
            raise BadRequest(f"messages[{index}] is a tool message: it must hold tool results only", param=f"messages[{index}]")
        return items
    if message.role == "assistant":
        return items + _encode_said(others, message.extra, f"messages[{index}]", warnings)
    if others or not items:
        items.append(_encode_told(message, others, index, warnings))
    return items


def _encode_told(message: Message, parts: Sequence[Part], index: int, warnings: list[str]) -> Object:
    kept = [part for part in parts if isinstance(part, TextPart | RefusalPart | ImagePart | AudioPart | FilePart)]
    if len(kept) != len(parts):
        warnings.append(f"messages[{index}]: reasoning and tool calls of a {message.role} message are not carried")
    content = _encode_content(kept, f"messages[{index}].content")
    return with_extra({"role": message.role, "content": content}, message.extra)


def _encode_content(parts: Sequence[ContentPart], at: str) -> str | list[Object]:
    if not parts:
        return ""
    alone = parts[0]
    if len(parts) == 1 and isinstance(alone, TextPart) and not alone.extra:
        return alone.text
    return [_encode_part(part, f"{at}[{index}]") for index, part in enumerate(parts)]


def _encode_part(part: ContentPart, at: str) -> Object:
    match part:
        case TextPart(text, extra):
            return with_extra({"type": "input_text", "text": text}, extra)
        case RefusalPart(text, _) | ReasoningPart(text):
            return {"type": "input_text", "text": text}
        case ImagePart(url, data, media_type, detail, extra):
            image: Object = {"type": "input_image", "detail": detail or "auto"}
            if data is not None or url is not None:
                image["image_url"] = url if data is None else f"data:{media_type or 'image/png'};base64,{data}"
            return with_extra(image, extra)
        case FilePart():
            return _encode_file(part)
        case AudioPart():
            raise NotSupported(f"{at}: the Responses API takes no sound: use a model that chats", param=at)
        case _:
            assert_never(part)


def _encode_file(part: FilePart) -> Object:
    data = part.data
    if data is not None and part.media_type is not None and not data.startswith("data:"):
        data = f"data:{part.media_type};base64,{data}"
    fields = {"file_id": part.file_id, "file_data": data, "filename": part.filename}
    file: Object = {"type": "input_file", **{name: value for name, value in fields.items() if value is not None}}
    inner = part.extra.get("file")
    return with_extra(file, inner if isinstance(inner, dict) else part.extra)


def _encode_result(part: ToolResultPart, at: str) -> Object:
    item: Object = {"type": "function_call_output", "call_id": part.call_id, "output": _encode_content(part.content, at)}
    return with_extra(item, part.extra)


def _encode_said(parts: Sequence[Part], extra: Object, at: str, warnings: list[str]) -> list[Object]:
    """What the assistant did, in its order: reasoning, messages, calls."""
    items: list[Object] = []
    spoken: list[str] = []
    phase = {"phase": extra["phase"]} if "phase" in extra else {}
    warnings += [f"{at}: {name} is not carried" for name in extra if name != "phase"]

    def close() -> None:
        if spoken:
            items.append({"role": "assistant", "content": "".join(spoken), **phase})
            spoken.clear()

    for part in parts:
        match part:
            case TextPart(text) | RefusalPart(text):
                spoken.append(text)
            case ReasoningPart():
                close()
                if part.signature is None:
                    warnings.append(f"{at}: earlier reasoning is left out, it has no signature to prove it")
                else:
                    items.append(encode_reasoning(part))
            case ToolCallPart():
                close()
                items.append(encode_call(part))
            case _:
                warnings.append(f"{at}: {type(part).__name__} of the assistant is not carried")
    close()
    return items


def encode_reasoning(part: ReasoningPart, made_id: str | None = None) -> Object:
    """A reasoning item. One without an id of its own gets `made_id`, or one made from its signature."""
    proof = hashlib.sha256((part.signature or part.text).encode()).hexdigest()[:32]
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    item: Object = {"type": "reasoning", "id": part.extra.get("id") or made_id or f"rs_{proof}", "summary": summary}
    if part.signature is not None:
        item["encrypted_content"] = part.signature
    return item


def encode_call(part: ToolCallPart) -> Object:
    """A call's item. One whose `extra` says so is that of a freeform tool, its arguments being the plain text."""
    is_freeform = part.extra.get("type") == FREEFORM_CALL
    kind, field = (FREEFORM_CALL, "input") if is_freeform else ("function_call", "arguments")
    item: Object = {"type": kind, "call_id": part.id, "name": part.name, field: part.arguments}
    return with_extra(item, {name: value for name, value in part.extra.items() if name != "function"})


def read_others(value: Any) -> list[OtherItem]:
    """The places and items that `decode_input` found, back from a request's `extra`."""
    return [(int(place), read_object(item, "input_items")) for place, item in read_array(value or [], "input_items")]


def system_text(message: Message) -> str | None:
    """The words of a system message that is nothing but words: such a one can be the `instructions`."""
    part = message.parts[0] if message.parts else None
    plain = message.role == "system" and len(message.parts) == 1 and not message.extra and message.name is None
    return read_text(part.text, "instructions") if plain and isinstance(part, TextPart) and not part.extra else None
