"""OpenAI's images as a client asks for and reads them: drawn from words, or changed from images. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.errors import BadRequest
from jackfield.core.requests import DrawnImage, ImageEditRequest, ImageReply, ImageRequest
from jackfield.core.usage import Usage
from jackfield.dialects.forms import Form
from jackfield.dialects.json_value import field_value, missing, wrong_type

DRAW_PATH, EDIT_PATH = "images/generations", "images/edits"
_KNOWN = frozenset({"model", "prompt", "n", "size", "provider"})
COUNT_MAX = 10


def decode_draw_request(fields: Mapping[str, msgspec.Raw]) -> ImageRequest:
    """Raises BadRequest naming the field."""
    given = {name: field_value(name, raw) for name, raw in fields.items() if name != "model"}
    if given.get("stream"):
        raise _not_streamed()
    extra = {name: value for name, value in given.items() if name not in _KNOWN and name != "stream"}
    return ImageRequest(_prompt(given.get("prompt")), None, _count(given.get("n")), _size(given.get("size")), extra)


def decode_edit_request(form: Form) -> ImageEditRequest:
    """Raises BadRequest naming the field."""
    images = (*form.files("image"), *form.files("image[]"))
    if not images:
        raise BadRequest("image is missing: send at least one file under that name", param="image")
    if (form.text("stream") or "").lower() in ("true", "1"):
        raise _not_streamed()
    masks = form.files("mask")
    known = _KNOWN | {"image", "image[]", "mask", "stream"}
    return ImageEditRequest(
        _prompt(form.text("prompt")),
        images,
        masks[0] if masks else None,
        None,
        _count(form.whole("n")),
        form.text("size"),
        {name: value for name, value in form.texts.items() if name not in known},
    )


def _not_streamed() -> BadRequest:
    return BadRequest("images are not streamed here: leave stream out", param="stream")


def _prompt(value: Any) -> str:
    if value is None or value == "":
        raise missing("prompt")
    if not isinstance(value, str):
        raise wrong_type("prompt", "a string", value)
    return value


def _count(value: Any) -> int:
    if value is None:
        return 1
    if type(value) is not int or not 1 <= value <= COUNT_MAX:
        raise BadRequest(f"n must be a whole number from 1 to {COUNT_MAX}, got {value!r}", param="n")
    return value


def _size(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise wrong_type("size", 'a string such as "1024x1024"', value)
    return value


def encode_images_reply(reply: ImageReply, created: int) -> bytes:
    body: dict[str, Any] = {"created": created, "data": [_image(image) for image in reply.images]}
    used = reply.usage
    if used != Usage():
        body["usage"] = {
            "input_tokens": used.prompt_tokens,
            "output_tokens": used.completion_tokens,
            "total_tokens": used.total_tokens,
            "input_tokens_details": {"text_tokens": used.prompt_tokens, "image_tokens": 0},
        }
    return msgspec.json.encode(body)


def _image(image: DrawnImage) -> dict[str, str]:
    said = {"url": image.url, "b64_json": image.data, "revised_prompt": image.revised_prompt}
    return {name: value for name, value in said.items() if value is not None}
