"""OpenAI's audio as a client sends and reads it: words to speech, speech to words. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.requests import SpeakRequest, TranscribeReply, TranscribeRequest
from jackfield.dialects.forms import Form
from jackfield.dialects.json_value import field_value, missing, read_optional_text, wrong_type

SPEAK_PATH, TRANSCRIBE_PATH = "audio/speech", "audio/transcriptions"
JSON_FORMATS = ("json", "verbose_json")
PLAIN_FORMATS = ("text", "srt", "vtt")
_SPEAK_KNOWN = frozenset({"model", "input", "voice", "response_format", "provider"})
_TRANSCRIBE_KNOWN = frozenset({"model", "file", "language", "provider", "stream"})


def decode_speak_request(fields: Mapping[str, msgspec.Raw]) -> SpeakRequest:
    """Raises BadRequest naming the field."""
    given = {name: field_value(name, raw) for name, raw in fields.items() if name != "model"}
    text = given.get("input")
    if text is None or text == "":
        raise missing("input")
    if not isinstance(text, str):
        raise wrong_type("input", "a string", text)
    extra = {name: value for name, value in given.items() if name not in _SPEAK_KNOWN}
    spoken_as = read_optional_text(given.get("response_format"), "response_format")
    return SpeakRequest(text, _voice(given.get("voice")), None, spoken_as, extra)


def _voice(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("id")
    return read_optional_text(value, "voice")


def decode_transcribe_request(form: Form) -> TranscribeRequest:
    """Raises BadRequest naming the field."""
    files = form.files("file")
    if not files or not files[0].content:
        raise BadRequest("file is missing or empty: send the recording under that name", param="file")
    asked = form.text("response_format")
    if asked is not None and asked not in (*JSON_FORMATS, *PLAIN_FORMATS):
        raise BadRequest(
            f"response_format must be one of {', '.join((*JSON_FORMATS, *PLAIN_FORMATS))}, got {asked!r}",
            param="response_format",
        )
    if (form.text("stream") or "false").lower() == "true":
        raise BadRequest("transcriptions are not streamed here: leave stream out", param="stream")
    extra = {name: value for name, value in form.texts.items() if name not in _TRANSCRIBE_KNOWN}
    return TranscribeRequest(files[0].content, files[0].filename, None, form.text("language"), extra)


def encode_transcribe_reply(reply: TranscribeReply, asked: str | None) -> tuple[bytes, bytes]:
    """The body and its media type, as `response_format` asks."""
    if asked in PLAIN_FORMATS:
        return reply.text.encode(), b"text/plain; charset=utf-8"
    body: dict[str, Any] = {"text": reply.text}
    if asked == "verbose_json":
        body |= {"task": "transcribe", "language": reply.language or "", "duration": reply.duration_s or 0.0, "segments": []}
    return msgspec.json.encode(body), b"application/json"
