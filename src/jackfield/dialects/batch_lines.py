"""The lines of OpenAI's batch files, one JSON object each: what is asked, and how it was answered. Pure.

A request is `{"custom_id", "method", "url", "body"}`; an answer `{"id", "custom_id", "response", "error"}`.
"""

from typing import Any

import msgspec

CHAT_URL = "/v1/chat/completions"
_WHOLE = ("custom_id", "method", "url", "body")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_plain = msgspec.json.Decoder().decode


class WrongLine(Exception):
    """Why a line cannot be asked; `param` is the field that is wrong."""

    def __init__(self, message: str, code: str = "invalid_request", param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param


class LineRequest(msgspec.Struct, frozen=True):
    """`custom_id` None where the line has none, which only a bare body may."""

    custom_id: str | None
    body: bytes


def read_line(line: bytes, url: str, *, bare: bool) -> LineRequest:
    """The request in `line`, its body undecoded. `bare`: a body alone will do, as will a line that names no url or method.

    Raises WrongLine.
    """
    try:
        fields = _fields(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise WrongLine(f"not a JSON object ({error})", "invalid_json_line") from None
    if not bare:
        for name in _WHOLE:
            if bytes(fields.get(name, b"null")) == b"null":
                raise WrongLine(f"{name} is missing", "missing_required_parameter", name)
    body = _body(fields, url)
    custom_id = _string(fields, "custom_id")
    if custom_id is None and "body" in fields:
        raise WrongLine("custom_id is missing", "missing_required_parameter", "custom_id")
    return LineRequest(custom_id, body)


def read_body(body: bytes) -> dict[str, Any]:
    """The body of a request that a batch can ask. Raises WrongLine."""
    try:
        plain = _plain(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise WrongLine(f"body cannot be read ({error})", "invalid_json_line", "body") from None
    if not isinstance(plain, dict):
        raise WrongLine("body must be an object", param="body")
    if plain.get("stream"):
        raise WrongLine("stream must not be true: the answers of a batch are whole", param="body.stream")
    return plain


def _body(fields: dict[str, msgspec.Raw], url: str) -> bytes:
    if "body" in fields:
        method, said = _string(fields, "method"), _string(fields, "url")
        if method not in (None, "POST"):
            raise WrongLine(f"method must be POST, not {method!r}", "invalid_method", "method")
        if said not in (None, url):
            raise WrongLine(f"url must be {url}, not {said!r}", "mismatched_url", "url")
        return bytes(fields["body"])
    if "messages" in fields:
        return msgspec.json.encode({name: raw for name, raw in fields.items() if name != "custom_id"})
    raise WrongLine("neither body nor messages is there", "missing_required_parameter", "body")


def _string(fields: dict[str, msgspec.Raw], name: str) -> str | None:
    raw = fields.get(name)
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        text = _text(raw)
    except (msgspec.MsgspecError, UnicodeError):
        raise WrongLine(f"{name} must be a string", param=name) from None
    if not text:
        raise WrongLine(f"{name} is empty", param=name)
    return text
