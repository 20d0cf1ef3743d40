"""POST /v1/audio/speech and /v1/audio/transcriptions: words to sound, and back."""

import msgspec

from jackfield.core.contracts import Speaks, Transcribes
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
            reply = await provider.speak(msgspec.structs.replace(request, model=model))
            if as_events:
                body, content_type = openai_audio.encode_sound_events(reply)
                return Done(body, content_type=content_type)
            return Done(reply.audio, content_type=reply.media_type.encode("latin-1", "replace"))

        await self._errands.run(client, fields, lambda _: Errand("speech", Speaks, run), len(request.text))


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
