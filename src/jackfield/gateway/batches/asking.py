"""One line of a batch asked as a client would ask it: by the handler of its path, so that it takes every step of a request.

Knows handlers and bytes, not what is in them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from jackfield.core.errors import JackfieldError, Malformed, TimedOut
from jackfield.core.redaction import redact
from jackfield.gateway.batches.again import may_help, pause_s
from jackfield.gateway.batches.line_gate import LineGate
from jackfield.gateway.door import Handler
from jackfield.gateway.inside import InnerClient
from jackfield.store.result_file import Failure, Response, ResultLine

logger = logging.getLogger("jackfield.gateway")
TOO_MANY = 429


class Asking:
    """`handlers` by path. `patience_s` is the longest that one try may take; `retries` tries come after the first at most,
    those not counted for which a source or a limit said when to come back.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        encode_error: Callable[[JackfieldError], bytes],
        gate: LineGate,
        *,
        retries: int,
        patience_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.handlers = handlers
        self.gate = gate
        self._encode_error = encode_error
        self._retries = retries
        self._patience_s = patience_s
        self._sleep = sleep

    async def answer(self, url: str, key_name: str, custom_id: str, body: bytes) -> ResultLine:
        """The line for the file of answers, good or not. Only a cancellation passes."""
        tried = waited = 0
        while True:
            async with self.gate.place():
                response, error = await self._ask(url, key_name, body)
            if error is None:
                return ResultLine.of(custom_id, response)
            after_s = error.retry_after_s or 0.0
            is_told = error.status == TOO_MANY and after_s > 0
            if not may_help(error.status, after_s) or (tried == self._retries and not is_told):
                return ResultLine.of(custom_id, response, Failure(error.code, redact(str(error))))
            await self._sleep(pause_s(tried + waited, after_s))
            tried, waited = (tried, waited + 1) if is_told else (tried + 1, waited)

    async def _ask(self, url: str, key_name: str, body: bytes) -> tuple[Response, JackfieldError | None]:
        client = InnerClient(key_name, body)
        try:
            async with asyncio.timeout(self._patience_s):
                await self.handlers[url](client)
            return Response(client.status, client.request_id, _whole(b"".join(client.pieces))), None
        except JackfieldError as error:
            return self._refused(error)
        except TimeoutError:
            return self._refused(TimedOut(f"no answer came within {self._patience_s:g} s"))
        except Exception as error:
            logger.error("a line of a batch failed: %s", redact(repr(error)), exc_info=True)
            return self._refused(JackfieldError("something went wrong inside the gateway; its log says more"))

    def _refused(self, error: JackfieldError) -> tuple[Response, JackfieldError]:
        return Response(error.status, error.request_id, msgspec.Raw(self._encode_error(error))), error


def _whole(body: bytes) -> msgspec.Raw:
    """An answer on one line. Raises Malformed."""
    try:
        return msgspec.Raw(msgspec.json.format(body, indent=-1))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Malformed("the answer is not JSON") from None
