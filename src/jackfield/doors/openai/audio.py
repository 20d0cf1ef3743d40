"""POST /v1/audio/speech and /v1/audio/transcriptions: words to sound, and back."""

import msgspec

from jackfield.core.contracts import Speaks, Transcribes
from jackfield.dialects.forms import parse_form
from jackfield.dialects.openai_audio import decode_speak_request, decode_transcribe_request, encode_transcribe_reply
from jackfield.dialects.openai_chat import parse_fields
from jackfield.doors.openai.errands import Errands, form_fields
from jackfield.gateway.client import Client
from jackfield.gateway.errand import Done, Errand


class Speech:
    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    async def __call__(self, client: Client) -> None:
        fields = parse_fields(await client.body())
        request = decode_speak_request(fields)

        async def run(provider: Speaks, model: str | None) -> Done:
            reply = await provider.speak(msgspec.structs.replace(request, model=model))
            return Done(reply.audio, content_type=reply.media_type.encode("latin-1", "replace"))

        await self._errands.run(client, fields, lambda _: Errand("speech", Speaks, run), len(request.text))


class Transcriptions:
    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    async def __call__(self, client: Client) -> None:
        form = parse_form(await client.body(), client.headers)
        request, wanted_as = decode_transcribe_request(form), form.text("response_format")

        async def run(provider: Transcribes, model: str | None) -> Done:
            reply = await provider.transcribe(msgspec.structs.replace(request, model=model))
            body, content_type = encode_transcribe_reply(reply, wanted_as)
            return Done(body, content_type=content_type)

        await self._errands.run(client, form_fields(form), lambda _: Errand("transcription", Transcribes, run), 0)
