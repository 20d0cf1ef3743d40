"""A JSON answer over HTTP as a checked type: read, judged, closed, its faults told with a remedy. Once for every small call."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec

from jackfield.core.contracts import RawReply
from jackfield.core.errors import JackfieldError, Malformed
from jackfield.providers.http_source import Calls

MAX_PAGES = 20
Kind = TypeVar("Kind")
Made = TypeVar("Made")


async def read_reply(
    source: Calls, reply: RawReply, decode: Callable[[bytes], Made], operation: str, model: str | None
) -> Made:
    """What `decode` makes of the whole body. The reply is closed; an error gets the provider's name and remedy."""
    try:
        return decode(await reply.read())
    except JackfieldError as error:
        raise source.failed(error, operation, model) from error.__cause__
    finally:
        await reply.aclose()


async def all_pages(page: Callable[[str], Awaitable[tuple[Sequence[Made], str | None]]], query: str, token: str) -> list[Made]:
    """The items of a list that comes in pages, MAX_PAGES at most.

    `page` asks one query; it gives that page's items and where the next one begins, which the parameter `token` then says.
    """
    items: list[Made] = []
    asked = query
    for _ in range(MAX_PAGES):
        found, following = await page(asked)
        items += found
        if not following:
            break
        asked = f"{query}&{token}={path_part(following)}"
    return items


def decoded(body: bytes, kind: type[Kind], what: str) -> Kind:
    """`body` as `kind`. Raises Malformed naming `what` it should have been."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{what} is not what it should be: {error}") from None


def path_part(value: str) -> str:
    """An id as one step of a path: nothing in it can lead elsewhere."""
    return quote(value, safe="")
