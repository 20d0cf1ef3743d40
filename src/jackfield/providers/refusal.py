"""From an HTTP answer that says no to the one error that means it, `Retry-After` included.

Knows HTTP statuses and headers; what a body of status 400 means is the dialect's knowledge.
"""

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from time import time

from jackfield.core.contracts import RawReply
from jackfield.core.errors import JackfieldError, Malformed
from jackfield.dialects.openai_chat import decode_error

MAX_WAIT_S = 86_400.0


async def read_refusal(reply: RawReply, provider: str, decode: Callable[..., JackfieldError] = decode_error) -> JackfieldError:
    """The error behind a status of 300 or more. The reply is read (or cut) and closed.

    `decode` is the dialect's own `decode_error(status, body, *, provider, retry_after_s)`.
    """
    headers = dict(reply.headers)
    try:
        body = await reply.read()
    except JackfieldError:
        body = b""
    finally:
        await reply.aclose()
    if reply.status < 400:
        target = headers.get(b"location", b"elsewhere").decode("latin-1").partition("?")[0][:200]
        return Malformed(f"it redirects to {target}: set base_url to the address that it means", provider=provider)
    return decode(reply.status, body, provider=provider, retry_after_s=retry_after_s(headers, time()))


def retry_after_s(headers: dict[bytes, bytes], now: float) -> float | None:
    """Seconds to wait by `retry-after-ms` or `retry-after` (seconds or a date), within a day; None if it does not say."""
    try:
        if b"retry-after-ms" in headers:
            wait = float(headers[b"retry-after-ms"]) / 1000
        elif b"retry-after" in headers:
            wait = _seconds(headers[b"retry-after"].decode("latin-1").strip(), now)
        else:
            return None
    except ValueError:
        return None
    return min(max(wait, 0.0), MAX_WAIT_S) if wait == wait else None


def _seconds(text: str, now: float) -> float:
    try:
        return float(text)
    except ValueError:
        return parsedate_to_datetime(text).timestamp() - now
