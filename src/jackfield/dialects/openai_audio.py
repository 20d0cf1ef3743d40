"""OpenAI's audio as a client sends and reads it: words to speech, speech to words. Pure."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.requests import SpeakReply, SpeakRequest, TranscribeReply, TranscribeRequest
from jackfield.dialects import sse
from jackfield.dialects.forms import Form
from jackfield.dialects.json_value import field_value, missing, read_optional_text, wrong_type

SPEAK_PATH, TRANSCRIBE_PATH, TRANSLATE_PATH = "audio/speech", "audio/transcriptions", "audio/translations"
JSON_FORMATS = ("json", "verbose_json", "diarized_json")
PLAIN_FORMATS = ("text", "srt", "vtt")
EVENTS_TYPE = b"text/event-stream; charset=utf-8"
_NO_TOKENS = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
"""Sources tell no tokens of speech, and clients read the field."""
_SPEAK_KNOWN = frozenset({"model", "input", "voice", "response_format", "provider", "stream_format"})
_STREAM_FORMATS = (None, "audio", "sse")
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
    if wants_transcript_events(form) and asked in PLAIN_FORMATS:
        raise BadRequest(f"a stream has no response_format {asked}: leave one of the two out", param="stream")
    extra = {name: value for name, value in form.texts.items() if name not in _TRANSCRIBE_KNOWN}
    return TranscribeRequest(files[0].content, files[0].filename, None, form.text("language"), extra)


def encode_transcribe_reply(reply: TranscribeReply, asked: str | None) -> tuple[bytes, bytes]:
    """The body and its media type, as `response_format` asks."""
    if asked in PLAIN_FORMATS:
        return reply.text.encode(), b"text/plain; charset=utf-8"
    body: dict[str, Any] = {"text": reply.text}
    if asked == "verbose_json":
        body["language"] = reply.language or ""
    if asked in ("verbose_json", "diarized_json"):
        body |= {"task": "transcribe", "duration": reply.duration_s or 0.0, "segments": []}
    return msgspec.json.encode({**body, **reply.extra}), b"application/json"


def wants_transcript_events(form: Form) -> bool:
    return (form.text("stream") or "").lower() in ("true", "1")


def encode_transcript_events(reply: TranscribeReply) -> tuple[bytes, bytes]:
    """The transcript as a stream, of which all comes at once, and its media type."""
    usage = {name: value for name, value in reply.extra.items() if name == "usage"}
    return _events(
        {"type": "transcript.text.delta", "delta": reply.text}, {"type": "transcript.text.done", "text": reply.text, **usage}
    )


def wants_sound_events(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Raises BadRequest for a `stream_format` that there is not."""
    asked = field_value("stream_format", fields["stream_format"]) if "stream_format" in fields else None
    if asked not in _STREAM_FORMATS:
        raise BadRequest("stream_format must be audio or sse", param="stream_format")
    return bool(asked == "sse")


def encode_sound_events(reply: SpeakReply) -> tuple[bytes, bytes]:
    """The sound as a stream of events, of which all comes at once, and its media type."""
    return encode_sound_event(reply.audio) + SOUND_ENDED, EVENTS_TYPE


def encode_sound_event(sound: bytes) -> bytes:
    """A piece of the sound."""
    return _event({"type": "speech.audio.delta", "audio": b64encode(sound).decode()})


def _events(*told: dict[str, Any]) -> tuple[bytes, bytes]:
    return b"".join(map(_event, told)), EVENTS_TYPE


def _event(told: dict[str, Any]) -> bytes:
    return sse.encode(msgspec.json.encode(told))


SOUND_ENDED = _event({"type": "speech.audio.done", "usage": _NO_TOKENS})
"""After the last piece of the sound."""
