"""One upstream over HTTP: its requests, headers, times, refusals, remedies and log lines, once for every provider.

Knows where requests go and what is sent with each; bodies are opaque here. What a refusal's body means is told by the
`refuse` that the provider gives, and no model is chosen here.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Protocol

from jackfield.core.contracts import ProviderCard, RawReply
from jackfield.core.errors import JackfieldError, NotFound
from jackfield.providers.http_config import HttpConfig, root_of, timeouts_of
from jackfield.providers.remedies import failed
from jackfield.transport.http1 import Endpoint, HttpClient, RequestHead, Timeouts

_log = logging.getLogger("jackfield.providers")
LOOK_TIMEOUTS = Timeouts(connect_s=3.0, first_byte_s=10.0, idle_s=10.0, total_s=15.0)
"""For looks (models, probe): they are small answers, whatever the slot's own timeouts are."""
MAX_HEADS = 32
FIXED_HEADERS: Mapping[str, str] = {"accept": "application/json, text/event-stream", "user-agent": "jackfield"}

Refuse = Callable[[RawReply], Awaitable[JackfieldError]]
"""From an answer of status 300 or more to its error; reads and closes the answer."""


class Calls(Protocol):
    """What the calls of a provider go through: one source, or several that take turns."""

    async def post(
        self, path: str, body: bytes, *, model: str | None, headers: Mapping[str, str] | None = None
    ) -> RawReply: ...
    async def get(self, path: str, *, operation: str | None = None) -> RawReply: ...
    def failed(self, error: JackfieldError, operation: str, model: str | None) -> JackfieldError: ...
    async def aclose(self) -> None: ...


class HttpSource:
    """The calls of a provider over HTTP. Paths are relative to the API's root, with a leading slash to the server's.

    `headers` are the provider's own; the config's go over them, and `auth` (what tells who we are) over both. `root` and
    `timeouts` take the place of what `root_of` and `timeouts_of` tell; `watch` sees every error on its way out; `secrets`
    are known beside the config's own. `answer_headers` are those of the last answer to a call, `answered_at` when it came, in
    monotonic seconds.
    """

    def __init__(
        self,
        card: ProviderCard,
        config: HttpConfig,
        headers: Mapping[str, str],
        http: HttpClient,
        refuse: Refuse,
        *,
        auth: Mapping[str, str] | None = None,
        root: str | None = None,
        timeouts: Timeouts | None = None,
        secrets: tuple[str, ...] = (),
        watch: Callable[[JackfieldError], None] | None = None,
    ) -> None:
        self._card = card
        self._http = http
        self._refuse = refuse
        self._watch = watch
        self._secrets = (*config.secrets, *secrets)
        self._timeouts = timeouts or timeouts_of(config, card.id)
        self._headers = {
            name.lower(): value for part in (FIXED_HEADERS, headers, config.headers, auth or {}) for name, value in part.items()
        }
        self._heads: dict[str, RequestHead] = {}
        self.answer_headers: Sequence[tuple[bytes, bytes]] = ()
        self.answered_at: float | None = None
        self.endpoint = Endpoint.parse(root or root_of(card, config), verify_tls=config.verify_tls, proxy=config.proxy)

    @property
    def hosts(self) -> tuple[str, ...]:
        """As ProviderInfo wants them: none for a socket on this machine."""
        return () if self.endpoint.unix_path else (f"{self.endpoint.host}:{self.endpoint.port}",)

    def __repr__(self) -> str:
        return f"<{self._card.id} at {self.endpoint.scheme}://{self.endpoint.host}>"

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        model: str | None,
        headers: Mapping[str, str] | None = None,
        missing: str | None = None,
    ) -> RawReply:
        """The answer of a status below 300, its body unread: read or close it. `headers` go over all others, this once.

        Raises the mapped error, with a remedy, for any other status and for a source that cannot be reached. `missing` is what
        a 404 says is not there, told as NotFound: without it a 404 means a wrong address or model.
        """
        head = self._heads.get(path) if headers is None else self._head("POST", path, headers)
        try:
            reply: RawReply = await self._http.send(head or self._kept_head(path), body, self._timeouts)
            self.answer_headers, self.answered_at = reply.headers, monotonic()
            if reply.status >= 300:
                raise await self._refused(reply, missing)
        except JackfieldError as error:
            raise self.failed(error, path, model) from error.__cause__
        self.note(path, model)
        return reply

    async def get(
        self,
        path: str,
        *,
        operation: str | None = None,
        headers: Mapping[str, str] | None = None,
        missing: str | None = None,
    ) -> RawReply:
        """A look, with its own short times. Raises as `post` does; `operation` is its name in the log."""
        return await self._checked("GET", path, b"", operation or path, headers, missing)

    async def fetch(self, path: str, *, operation: str | None = None, missing: str | None = None) -> RawReply:
        """A GET of something large or slow, with the slot's own times. Raises as `post` does."""
        return await self._checked("GET", path, b"", operation or path, None, missing, self._timeouts)

    async def delete(
        self, path: str, body: bytes = b"", *, operation: str | None = None, missing: str | None = None
    ) -> RawReply:
        """Raises as `post` does."""
        return await self._checked("DELETE", path, body, operation or path, None, missing)

    async def look(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts = LOOK_TIMEOUTS,
    ) -> RawReply:
        """Any status comes back, and errors come as they are: for who tells more from them."""
        reply: RawReply = await self._http.send(self._head(method, path, headers), body, timeouts)
        return reply

    async def _checked(
        self,
        method: str,
        path: str,
        body: bytes,
        operation: str,
        headers: Mapping[str, str] | None,
        missing: str | None,
        timeouts: Timeouts = LOOK_TIMEOUTS,
    ) -> RawReply:
        try:
            reply = await self.look(path, method=method, body=body, headers=headers, timeouts=timeouts)
            if reply.status >= 300:
                raise await self._refused(reply, missing)
        except JackfieldError as error:
            raise self.failed(error, operation, None) from error.__cause__
        self.note(operation, None)
        return reply

    async def _refused(self, reply: RawReply, missing: str | None) -> JackfieldError:
        is_missing = missing is not None and reply.status == 404
        error = await self._refuse(reply)
        return NotFound(f"{missing} is not there: it was deleted, or belongs to another key") if is_missing else error

    def failed(self, error: JackfieldError, operation: str, model: str | None) -> JackfieldError:
        """The same error with the provider's id and a remedy, no secret in it, and written to the log."""
        if self._watch is not None:
            self._watch(error)
        return failed(error, self._card, operation, model, self._secrets)

    def note(self, operation: str, model: str | None) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: %s answered", self._card.id, operation, extra=self._extra(operation, model))

    def _extra(self, operation: str, model: str | None) -> dict[str, str | None]:
        return {"provider": self._card.id, "model": model, "operation": operation}

    def _kept_head(self, path: str) -> RequestHead:
        head = self._head("POST", path, None)
        if len(self._heads) < MAX_HEADS:
            self._heads[path] = head
        return head

    def _head(self, method: str, path: str, headers: Mapping[str, str] | None) -> RequestHead:
        endpoint = replace(self.endpoint, base_path="") if path.startswith("/") else self.endpoint
        sent = {**self._headers, "content-type": "application/json"} if method != "GET" else dict(self._headers)
        if headers:
            sent.update({name.lower(): value for name, value in headers.items()})
        return endpoint.head(method, path, sent)

    async def aclose(self) -> None:
        """Forgets its credentials' heads. The connections belong to the shared client, which outlives a slot."""
        self._heads.clear()
