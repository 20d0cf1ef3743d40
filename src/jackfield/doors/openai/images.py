"""POST /v1/images/generations and /v1/images/edits: pictures from words, and from pictures."""

import msgspec

from jackfield.core.contracts import Draws, EditsImages
from jackfield.dialects.forms import parse_form
from jackfield.dialects.openai_chat import parse_fields
from jackfield.dialects.openai_images import decode_draw_request, decode_edit_request, encode_images_reply
from jackfield.doors.openai.errands import Errands, form_fields
from jackfield.gateway.client import Client
from jackfield.gateway.errand import Done, Errand


class Generations:
    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    async def __call__(self, client: Client) -> None:
        fields = parse_fields(await client.body())
        request = decode_draw_request(fields)

        async def run(provider: Draws, model: str | None) -> Done:
            reply = await provider.draw(msgspec.structs.replace(request, model=model))
            return Done(encode_images_reply(reply, int(self._errands.now())), reply.usage)

        await self._errands.run(client, fields, lambda _: Errand("images", Draws, run), len(request.prompt))


class Edits:
    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    async def __call__(self, client: Client) -> None:
        form = parse_form(await client.body(), client.headers)
        request = decode_edit_request(form)

        async def run(provider: EditsImages, model: str | None) -> Done:
            reply = await provider.edit_image(msgspec.structs.replace(request, model=model))
            return Done(encode_images_reply(reply, int(self._errands.now())), reply.usage)

        await self._errands.run(
            client, form_fields(form), lambda _: Errand("image edits", EditsImages, run), len(request.prompt)
        )
