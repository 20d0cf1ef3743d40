"""Sound over OpenAI's calls: words spoken, and speech written down. Traits of rows that say so.

Knows both calls' bytes. Which model and voice, and where the calls go, the adapter that they are mixed into tells.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from jackfield.core.contracts import RawReply, Speaks, SpeechStream, StreamsSpeech, Transcribes, TranslatesSpeech
from jackfield.core.errors import BadRequest, JackfieldError, Malformed
from jackfield.core.requests import SpeakReply, SpeakRequest, TranscribeReply, TranscribeRequest, Upload
from jackfield.dialects.multipart import encode_form
from jackfield.providers.http_json import decoded, read_reply
from jackfield.providers.http_source import HttpSource

SPEAK_PATH = "audio/speech"
TRANSCRIBE_PATH = "audio/transcriptions"
TRANSLATE_PATH = "audio/translations"
_MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


class SpeaksAloud:
    _source: HttpSource
    _model_for: Callable[[str, str | None], Awaitable[str]]
    _voice: str | None

    async def speak(self, request: SpeakRequest) -> SpeakReply:
        """Raises BadRequest where neither request nor row names a voice, the mapped error, Malformed for silence."""
        model, reply = await self._spoken(request)
        kind = media_type(reply, request.format)
        return await read_reply(self._source, reply, lambda sound: SpeakReply(_heard(sound, kind), kind), "speak", model)

    async def stream_speech(self, request: SpeakRequest) -> SpeechStream:
        """As `speak`, once the first of the sound has come. Close what it gives."""
        model, reply = await self._spoken(request)
        sound = Sound(self._source, reply, media_type(reply, request.format), model)
        try:
            await sound.begin()
        except BaseException:
            await sound.aclose()
            raise
        return sound

    async def _spoken(self, request: SpeakRequest) -> tuple[str, RawReply]:
        """The model, and its answer unread."""
        model = await self._model_for("speech", request.model)
        body = encode_speak(request, model, request.voice or self._voice)
        return model, await self._source.post(SPEAK_PATH, body, model=model)


class Sound:
    """Sound as the source sends it. Faults have the provider's name and remedy."""

    def __init__(self, source: HttpSource, reply: RawReply, media_type: str, model: str) -> None:
        self.media_type = media_type
        self._source = source
        self._reply = reply
        self._model = model
        self._first = b""

    async def begin(self) -> None:
        """Waits for the first of it. Raises Malformed for an answer that is no sound."""
        self._first = await self._taken(lambda came: _heard(came, self.media_type))

    async def chunk(self) -> bytes:
        if first := self._first:
            self._first = b""
            return first
        return await self._taken(lambda came: came)

    async def _taken(self, read: Callable[[bytes], bytes]) -> bytes:
        try:
            return read(await self._reply.chunk())
        except JackfieldError as error:
            raise self._source.failed(error, "speak", self._model) from error.__cause__

    async def aclose(self) -> None:
        await self._reply.aclose()


def _heard(sound: bytes, kind: str) -> bytes:
    if not sound or kind.startswith(("application/json", "text/")):
        raise Malformed(f"the answer is no sound but {kind or 'nothing'}")
    return sound


class WritesDown:
    _source: HttpSource
    _model_for: Callable[[str, str | None], Awaitable[str]]

    async def transcribe(self, request: TranscribeRequest) -> TranscribeReply:
        """Raises BadRequest for an empty recording, the mapped error, Malformed for an answer without text."""
        model = await self._model_for("transcription", request.model)
        return await _written(self._source, TRANSCRIBE_PATH, request, model, "transcribe")


class WritesDownInEnglish:
    _source: HttpSource
    _model_for: Callable[[str, str | None], Awaitable[str]]

    async def translate_speech(self, request: TranscribeRequest) -> TranscribeReply:
        """Raises as `transcribe` does."""
        model = await self._model_for("translation", request.model)
        return await _written(self._source, TRANSLATE_PATH, request, model, "translate")


async def _written(source: HttpSource, path: str, request: TranscribeRequest, model: str, operation: str) -> TranscribeReply:
    body, kind = encode_transcribe(request, model)
    reply = await source.post(path, body, model=model, headers={"content-type": kind})
    is_json = _content_type(reply).startswith("application/json")
    return await read_reply(source, reply, decode_transcript if is_json else _plain_transcript, operation, model)


def encode_speak(request: SpeakRequest, model: str, voice: str | None) -> bytes:
    if voice is None:
        raise BadRequest("name a voice: this source has no usual one", param="voice")
    body = {**request.extra, "model": model, "input": request.text, "voice": voice}
    if request.format is not None:
        body["response_format"] = request.format
    return msgspec.json.encode(body)


def encode_transcribe(request: TranscribeRequest, model: str) -> tuple[bytes, str]:
    if not request.audio:
        raise BadRequest("the recording is empty", param="file")
    file = Upload(request.filename, request.audio)
    return encode_form({**request.extra, "model": model, "language": request.language, "file": file}.items())


_TOLD = frozenset({"text", "language", "duration", "task"})


class _Transcript(msgspec.Struct):
    text: str
    language: str | None = None
    duration: float | None = None


def decode_transcript(body: bytes) -> TranscribeReply:
    """Raises Malformed for an answer without text."""
    told = decoded(body, _Transcript, "the transcription")
    whole = decoded(body, dict[str, Any], "the transcription")
    extra = {name: value for name, value in whole.items() if name not in _TOLD and value is not None}
    return TranscribeReply(told.text, told.language, told.duration, extra)


def _plain_transcript(body: bytes) -> TranscribeReply:
    """Subtitles and plain text, which come as they are when `response_format` asks for them."""
    return TranscribeReply(body.decode("utf-8", "replace"))


def _content_type(reply: RawReply) -> str:
    return next((value.decode("latin-1") for name, value in reply.headers if name == b"content-type"), "")


def media_type(reply: RawReply, asked: str | None) -> str:
    """As the source tells it; where it tells nothing of use, as the format that was asked for."""
    told = _content_type(reply).partition(";")[0].strip()
    return told if told not in ("", "application/octet-stream") else _MEDIA_TYPES.get(asked or "mp3", "audio/mpeg")


def _satisfies() -> tuple[type[Speaks], type[StreamsSpeech], type[Transcribes], type[TranslatesSpeech]]:
    return SpeaksAloud, SpeaksAloud, WritesDown, WritesDownInEnglish
