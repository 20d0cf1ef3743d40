"""Chat Completions messages to core messages and back.

Knows the `messages` array: roles, content parts, tool calls and results, reasoning. Reading is strict and names the place;
fields without a core name stay in `extra`, in which an inner object's leftovers keep that object's name. The retired
`function` role and `function_call` are read as tool traffic and never written.
"""

from collections.abc import Sequence
from typing import Any, assert_never, cast

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
from jackfield.dialects.openai_chat_quirks import ChatQuirks

REASONING_FIELDS = ("reasoning_content", "reasoning")
SIGNATURE_FIELD = "reasoning_signature"
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_PART_TYPES = ("text", "image_url", "input_audio", "file", "refusal")
_ASSISTANT_FIELDS = ("role", "content", "name", "refusal", "audio", "tool_calls", "function_call", SIGNATURE_FIELD)


def decode_messages(value: Any) -> tuple[Message, ...]:
    """Raises BadRequest or NotSupported whose `param` is the place, such as messages[0].content[1].type."""
    items = read_array(value, "messages")
    if not items:
        raise BadRequest("messages must hold at least one message", param="messages")
    reader = _Reader()
    return tuple(reader.read(item, f"messages[{index}]") for index, item in enumerate(items))


class _Reader:
    """Reads messages in order, because a retired `function` message answers the call before it."""

    def __init__(self) -> None:
        self._last_function_call = ""

    def read(self, value: Any, at: str) -> Message:
        item = read_object(value, at)
        role = required_text(item, "role", at)
        match role:
            case "assistant":
                return self._assistant(item, at)
            case "tool":
                return self._tool_result(item, at, required_text(item, "tool_call_id", at))
            case "function":
                return self._tool_result(item, at, self._last_function_call or f"call_{required_text(item, 'name', at)}")
            case "system" | "developer" | "user":
                name = read_optional_text(item.get("name"), f"{at}.name")
                parts = _content(item.get("content"), f"{at}.content")
                return Message(cast("Role", role), parts, name, rest(item, ("role", "content", "name")))
        raise BadRequest(f"{at}.role must be one of {', '.join(_ROLES)}, got {role[:40]!r}", param=f"{at}.role")

    def _assistant(self, item: Object, at: str) -> Message:
        parts: list[Part] = []
        for field in REASONING_FIELDS:
            reasoning = item.get(field)
            if isinstance(reasoning, str) and reasoning:
                signature = read_optional_text(item.get(SIGNATURE_FIELD), f"{at}.{SIGNATURE_FIELD}")
                parts.append(ReasoningPart(reasoning, signature))
                break
        if item.get("content") is not None:
            parts += _content(item["content"], f"{at}.content")
        if item.get("refusal") is not None:
            parts.append(RefusalPart(read_text(item["refusal"], f"{at}.refusal")))
        if item.get("audio") is not None:
            audio = read_object(item["audio"], f"{at}.audio")
            parts.append(AudioPart(id=required_text(audio, "id", f"{at}.audio"), extra=rest(audio, ("id",))))
        if item.get("tool_calls") is not None:
            calls = read_array(item["tool_calls"], f"{at}.tool_calls")
            parts += [_tool_call(call, f"{at}.tool_calls[{index}]") for index, call in enumerate(calls)]
        if item.get("function_call") is not None:
            parts.append(self._function_call(item["function_call"], at))
        name = read_optional_text(item.get("name"), f"{at}.name")
        read = [field for field in REASONING_FIELDS if not isinstance(item.get(field), dict | list)]
        return Message("assistant", tuple(parts), name, rest(item, (*_ASSISTANT_FIELDS, *read)))

    def _function_call(self, value: Any, at: str) -> ToolCallPart:
        place = f"{at}.function_call"
        call = read_object(value, place)
        self._last_function_call = f"call_{at.removeprefix('messages[').removesuffix(']')}"
        name, arguments = required_text(call, "name", place), required_text(call, "arguments", place)
        return ToolCallPart(self._last_function_call, name, arguments)

    def _tool_result(self, item: Object, at: str, call_id: str) -> Message:
        content = _content(item.get("content"), f"{at}.content")
        name = read_optional_text(item.get("name"), f"{at}.name")
        result = ToolResultPart(call_id, content, name)
        return Message("tool", (result,), extra=rest(item, ("role", "content", "name", "tool_call_id")))


def _content(value: Any, at: str) -> tuple[ContentPart, ...]:
    if value is None:
        raise missing(at)
    if isinstance(value, str):
        return (TextPart(value),)
    if not isinstance(value, list):
        raise wrong_type(at, "a string or an array of parts", value)
    if not value:
        raise BadRequest(f"{at} must hold at least one part", param=at)
    return tuple(_part(part, f"{at}[{index}]") for index, part in enumerate(value))


def _part(value: Any, at: str) -> ContentPart:
    part = read_object(value, at)
    kind = required_text(part, "type", at)
    match kind:
        case "text":
            return TextPart(required_text(part, "text", at), rest(part, ("type", "text")))
        case "refusal":
            return RefusalPart(required_text(part, "refusal", at), rest(part, ("type", "refusal")))
        case "image_url":
            return _image(part, at)
        case "input_audio":
            audio = read_object(part.get("input_audio"), f"{at}.input_audio")
            data = required_text(audio, "data", f"{at}.input_audio")
            format_ = read_optional_text(audio.get("format"), f"{at}.input_audio.format")
            return AudioPart(data, format_, extra=_part_extra(part, kind, audio, ("data", "format")))
        case "file":
            return _file(part, at)
    raise BadRequest(f"{at}.type must be one of {', '.join(_PART_TYPES)}, got {kind[:40]!r}", param=f"{at}.type")


def _part_extra(part: Object, kind: str, inner: Object, known: Sequence[str]) -> Object:
    return rest(part, ("type", kind), {kind: rest(inner, known)})


def _image(part: Object, at: str) -> ImagePart:
    given = part.get("image_url")
    image = {"url": given} if isinstance(given, str) else read_object(given, f"{at}.image_url")
    url = required_text(image, "url", f"{at}.image_url")
    detail = read_optional_text(image.get("detail"), f"{at}.image_url.detail")
    extra = _part_extra(part, "image_url", image, ("url", "detail"))
    head, marker, data = url.partition(";base64,")
    if marker and head.startswith("data:"):
        return ImagePart(data=data, media_type=head.removeprefix("data:") or None, detail=detail, extra=extra)
    return ImagePart(url, detail=detail, extra=extra)


def _file(part: Object, at: str) -> FilePart:
    file = read_object(part.get("file"), f"{at}.file")
    file_id = read_optional_text(file.get("file_id"), f"{at}.file.file_id")
    data = read_optional_text(file.get("file_data"), f"{at}.file.file_data")
    if file_id is None and data is None:
        raise BadRequest(f"{at}.file needs file_id or file_data", param=f"{at}.file")
    filename = read_optional_text(file.get("filename"), f"{at}.file.filename")
    extra = _part_extra(part, "file", file, ("file_id", "file_data", "filename"))
    return FilePart(file_id, data, filename, extra=extra)


def _tool_call(value: Any, at: str) -> ToolCallPart:
    call = read_object(value, at)
    if call.get("type", "function") != "function":
        raise NotSupported(f"{at}.type: only function calls are understood here", param=f"{at}.type")
    function = read_object(call.get("function"), f"{at}.function")
    return ToolCallPart(
        required_text(call, "id", at),
        required_text(function, "name", f"{at}.function"),
        required_text(function, "arguments", f"{at}.function"),
        rest(call, ("id", "type", "function"), {"function": rest(function, ("name", "arguments"))}),
    )


def encode_messages(messages: Sequence[Message], quirks: ChatQuirks, warnings: list[str]) -> list[Object]:
    """The `messages` array. A message with tool results becomes one `tool` message for each. Adds to `warnings`.

    Raises BadRequest for a tool message without a result.
    """
    items: list[Object] = []
    for index, message in enumerate(messages):
        text = _only_text(message)
        if text is None:
            items += _encode(message, index, quirks, warnings)
        else:
            items.append({"role": _wire_role(message.role, quirks), "content": text})
    return items


def _only_text(message: Message) -> str | None:
    """The text of a turn that is a role and a text, as nearly every one is; None for any other, and for tool messages."""
    if len(message.parts) != 1 or message.name is not None or message.extra or message.role == "tool":
        return None
    part = message.parts[0]
    return part.text if type(part) is TextPart and not part.extra else None


def _encode(message: Message, index: int, quirks: ChatQuirks, warnings: list[str]) -> list[Object]:
    results = [part for part in message.parts if isinstance(part, ToolResultPart)]
    others = tuple(part for part in message.parts if not isinstance(part, ToolResultPart))
    items = [_encode_result(part, quirks) for part in results]
    warnings += [f"messages[{index}]: is_error is not carried" for part in results if part.is_error]
    if message.role == "tool":
        if not items or others:
            raise BadRequest(f"messages[{index}] is a tool message: it must hold tool results only", param=f"messages[{index}]")
    elif others or not items:
        items.append(_encode_turn(message, others, index, quirks, warnings))
    with_extra(items[-1], message.extra)
    return items


def _encode_result(part: ToolResultPart, quirks: ChatQuirks) -> Object:
    item: Object = {"role": "tool", "tool_call_id": part.call_id, "content": _encode_content(part.content, quirks) or ""}
    if part.name is not None:
        item["name"] = part.name
    return with_extra(item, part.extra)


def _encode_turn(message: Message, parts: Sequence[Part], index: int, quirks: ChatQuirks, warnings: list[str]) -> Object:
    item: Object = {"role": _wire_role(message.role, quirks)}
    if message.role == "assistant":
        item |= _encode_assistant(parts, index, quirks, warnings)
    else:
        kept = [part for part in parts if isinstance(part, TextPart | RefusalPart | ImagePart | AudioPart | FilePart)]
        if len(kept) != len(parts):
            warnings.append(f"messages[{index}]: reasoning and tool calls of a {message.role} message are not carried")
        content = _encode_content(kept, quirks)
        item["content"] = "" if content is None else content
    if message.name is not None:
        item["name"] = message.name
    return item


def _wire_role(role: Role, quirks: ChatQuirks) -> Role:
    return (quirks.system_role or "system") if role in ("system", "developer") else role


def _encode_assistant(parts: Sequence[Part], index: int, quirks: ChatQuirks, warnings: list[str]) -> Object:
    item: Object = {}
    refusals = [part for part in parts if isinstance(part, RefusalPart)]
    alone = refusals[0] if len(refusals) == 1 and not refusals[0].extra else None
    content = [part for part in parts if isinstance(part, TextPart | RefusalPart | ImagePart | FilePart) and part is not alone]
    item["content"] = _encode_content(content, quirks)
    if alone is not None:
        item["refusal"] = alone.text
    for part in parts:
        if isinstance(part, AudioPart):
            item["audio"] = with_extra({"id": part.id}, part.extra)
    item |= _encode_reasoning(parts, index, quirks, warnings)
    calls = [encode_tool_call(part) for part in parts if isinstance(part, ToolCallPart)]
    if calls:
        item["tool_calls"] = calls
    return item


def _encode_reasoning(parts: Sequence[Part], index: int, quirks: ChatQuirks, warnings: list[str]) -> Object:
    reasoning = [part for part in parts if isinstance(part, ReasoningPart) and not part.redacted]
    if not reasoning:
        return {}
    if quirks.reasoning_field is None:
        warnings.append(f"messages[{index}]: earlier reasoning is left out, the source names no field for it")
        return {}
    return reasoning_fields(reasoning, quirks.reasoning_field)


def reasoning_fields(parts: Sequence[ReasoningPart], field: str) -> Object:
    """Reasoning as message fields. A signature belongs to one part's exact text, so it rides only when there is one part."""
    if not parts:
        return {}
    item: Object = {field: "".join(part.text for part in parts)}
    if len(parts) == 1 and parts[0].signature is not None:
        item[SIGNATURE_FIELD] = parts[0].signature
    return item


def encode_tool_call(part: ToolCallPart) -> Object:
    call: Object = {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
    return with_extra(call, part.extra, "function")


def _encode_content(parts: Sequence[ContentPart], quirks: ChatQuirks) -> str | list[Object] | None:
    if not parts:
        return None
    texts = [part.text for part in parts if isinstance(part, TextPart) and not part.extra]
    if len(texts) == len(parts) == 1:
        return texts[0]
    if quirks.flatten_content and all(isinstance(part, TextPart) for part in parts):
        return "\n".join(part.text for part in parts if isinstance(part, TextPart))
    return [_encode_part(part) for part in parts]


def _encode_part(part: ContentPart) -> Object:
    match part:
        case TextPart(text, extra):
            return with_extra({"type": "text", "text": text}, extra)
        case RefusalPart(text, extra):
            return with_extra({"type": "refusal", "refusal": text}, extra)
        case ImagePart(url, data, media_type, detail, extra):
            image = {"url": url if data is None else f"data:{media_type or ''};base64,{data}"}
            if detail is not None:
                image["detail"] = detail
            return with_extra({"type": "image_url", "image_url": image}, extra, "image_url")
        case AudioPart(data, format_, _, extra):
            audio = {"data": data, "format": format_ or "wav"}
            return with_extra({"type": "input_audio", "input_audio": audio}, extra, "input_audio")
        case FilePart():
            return _encode_file(part)
        case ReasoningPart(text, _, _, extra):
            return with_extra({"type": "text", "text": text}, extra)
        case _:
            assert_never(part)


def _encode_file(part: FilePart) -> Object:
    data = part.data
    if data is not None and part.media_type is not None and not data.startswith("data:"):
        data = f"data:{part.media_type};base64,{data}"
    fields = {"file_id": part.file_id, "file_data": data, "filename": part.filename}
    file = {name: value for name, value in fields.items() if value is not None}
    return with_extra({"type": "file", "file": file}, part.extra, "file")
