"""POST /v1/audio/speech, /v1/audio/transcriptions and /v1/audio/translations: words to sound, and back."""

import msgspec

from jackfield.core.contracts import Speaks, SpeechStream, StreamsSpeech, Transcribes, TranslatesSpeech
from jackfield.dialects import openai_audio
from jackfield.dialects.forms import parse_form
from jackfield.dialects.openai_chat import parse_fields
from jackfield.doors.openai.errands import Errands, form_fields
from jackfield.gateway.client import Client
from jackfield.gateway.errand import Done, Errand


class Speech:
    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    async def __call__(self, client: Client) -> None:
        fields = parse_fields(await client.body())
        request, as_events = openai_audio.decode_speak_request(fields), openai_audio.wants_sound_events(fields)

        async def run(provider: Speaks, model: str | None) -> Done:
            asked = msgspec.structs.replace(request, model=model)
            if isinstance(provider, StreamsSpeech):
                return _on_its_way(await provider.stream_speech(asked), as_events=as_events)
            reply = await provider.speak(asked)
            if as_events:
                body, content_type = openai_audio.encode_sound_events(reply)
                return Done(body, content_type=content_type)
            return Done(reply.audio, content_type=_type(reply.media_type))

        await self._errands.run(client, fields, lambda _: Errand("speech", Speaks, run), len(request.text))


class SoundEvents:
    """`sound` as events, one for each piece of it that comes."""

    def __init__(self, sound: SpeechStream) -> None:
        self._sound = sound
        self._has_ended = False

    async def chunk(self) -> bytes:
        if self._has_ended:
            return b""
        if piece := await self._sound.chunk():
            return openai_audio.encode_sound_event(piece)
        self._has_ended = True
        return openai_audio.SOUND_ENDED

    async def aclose(self) -> None:
        await self._sound.aclose()


def _on_its_way(sound: SpeechStream, *, as_events: bool) -> Done:
    if as_events:
        return Done(b"", content_type=openai_audio.EVENTS_TYPE, pieces=SoundEvents(sound), tells_errors=True)
    return Done(b"", content_type=_type(sound.media_type), pieces=sound)


def _type(media_type: str) -> bytes:
    return media_type.encode("latin-1", "replace")


class Transcriptions:
    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    async def __call__(self, client: Client) -> None:
        form = parse_form(await client.body(), client.headers)
        request, wanted_as = openai_audio.decode_transcribe_request(form), form.text("response_format")
        as_events = openai_audio.wants_transcript_events(form)

        async def run(provider: Transcribes, model: str | None) -> Done:
            reply = await provider.transcribe(msgspec.structs.replace(request, model=model))
            told = openai_audio.encode_transcript_events(reply) if as_events else None
            body, content_type = told or openai_audio.encode_transcribe_reply(reply, wanted_as)
            return Done(body, content_type=content_type)

        await self._errands.run(client, form_fields(form), lambda _: Errand("transcription", Transcribes, run), 0)


class Translations:
    """The answer is in English whatever was spoken. It is no stream: OpenAI's own call has none."""

    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    async def __call__(self, client: Client) -> None:
        form = parse_form(await client.body(), client.headers)
        request, wanted_as = openai_audio.decode_transcribe_request(form), form.text("response_format")

        async def run(provider: TranslatesSpeech, model: str | None) -> Done:
            reply = await provider.translate_speech(msgspec.structs.replace(request, model=model))
            body, content_type = openai_audio.encode_transcribe_reply(reply, wanted_as)
            return Done(body, content_type=content_type)

        await self._errands.run(client, form_fields(form), lambda _: Errand("translation", TranslatesSpeech, run), 0)
