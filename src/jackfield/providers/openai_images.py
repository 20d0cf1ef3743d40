"""Images over OpenAI's calls: drawn from words, or changed from images. A trait of rows that say so.

Knows both calls' bytes. Which model, and where the calls go, the adapter that it is mixed into tells.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from jackfield.core.contracts import Draws, EditsImages
from jackfield.core.errors import BadRequest, Malformed
from jackfield.core.requests import DrawnImage, ImageEditRequest, ImageReply, ImageRequest
from jackfield.core.usage import IMAGE_TOKENS, IMAGES, Usage
from jackfield.dialects.multipart import encode_form
from jackfield.providers.http_json import decoded, read_reply
from jackfield.providers.http_source import HttpSource

DRAW_PATH = "images/generations"
EDIT_PATH = "images/edits"


class DrawsImages:
    _source: HttpSource
    _model_for: Callable[[str, str | None], Awaitable[str]]

    async def draw(self, request: ImageRequest) -> ImageReply:
        """Raises the mapped error; Malformed for an answer without images."""
        model = await self._model_for("images", request.model)
        reply = await self._source.post(DRAW_PATH, encode_draw(request, model), model=model)
        return await read_reply(self._source, reply, decode_images, "draw", model)


class EditsDrawnImages:
    _source: HttpSource
    _model_for: Callable[[str, str | None], Awaitable[str]]

    async def edit_image(self, request: ImageEditRequest) -> ImageReply:
        """Raises BadRequest without an image, the mapped error, Malformed for an answer without images."""
        model = await self._model_for("image_edits", request.model)
        body, kind = encode_edit(request, model)
        reply = await self._source.post(EDIT_PATH, body, model=model, headers={"content-type": kind})
        return await read_reply(self._source, reply, decode_images, "edit an image", model)


class _Image(msgspec.Struct):
    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None


class _Details(msgspec.Struct):
    image_tokens: int = 0


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: _Details | None = None


class _Images(msgspec.Struct):
    data: list[_Image] | None = None
    usage: _Usage | None = None


def encode_draw(request: ImageRequest, model: str) -> bytes:
    return msgspec.json.encode({**request.extra, **_wishes(request), "model": model})


def encode_edit(request: ImageEditRequest, model: str) -> tuple[bytes, str]:
    if not request.images:
        raise BadRequest("give at least one image to change", param="image")
    images = request.images[0] if len(request.images) == 1 else request.images
    fields = {**request.extra, **_wishes(request), "model": model, "image": images, "mask": request.mask}
    return encode_form(fields.items())


def _wishes(request: ImageRequest | ImageEditRequest) -> dict[str, Any]:
    wishes = {"prompt": request.prompt, "n": request.count if request.count != 1 else None, "size": request.size}
    return {name: value for name, value in wishes.items() if value is not None}


def decode_images(body: bytes) -> ImageReply:
    whole = decoded(body, _Images, "the images answer")
    images = tuple(DrawnImage(image.url, image.b64_json, image.revised_prompt) for image in whole.data or [])
    if not all(image.url or image.data for image in images) or not images:
        raise Malformed("the answer holds no image")
    used = whole.usage or _Usage()
    extra = {IMAGES: len(images)}
    if used.input_tokens_details is not None and used.input_tokens_details.image_tokens > 0:
        extra[IMAGE_TOKENS] = used.input_tokens_details.image_tokens
    return ImageReply(images, Usage(used.input_tokens, used.output_tokens, extra=extra))


def _satisfies() -> tuple[type[Draws], type[EditsImages]]:
    return DrawsImages, EditsDrawnImages
