"""May this request come in at all? Key, host and origin, checked once for every door on the matched route.

Without keys the gateway serves loopback only, and then also refuses foreign Host and Origin headers, so that no web page can
reach it through the user's browser (DNS rebinding).
"""

import hmac
from collections.abc import Collection, Mapping
from urllib.parse import unquote_to_bytes

from jackfield.core.errors import AuthFailed, NotAllowed

KEY_HEADERS = (b"x-api-key", b"x-goog-api-key")
LOOPBACK_HOSTS = frozenset({b"127.0.0.1", b"localhost", b"[::1]", b"::1"})


class Admission:
    """`keys` by name; empty means that none is asked for. `hosts`: further Host header values that are ours (no port).

    `origins`: pages of these are let in though they are not local.
    """

    def __init__(
        self,
        keys: Mapping[str, str] | None = None,
        hosts: Collection[str] = (),
        *,
        check_hosts: bool = True,
        origins: Collection[str] = (),
    ) -> None:
        self._keys = tuple((name, key.encode()) for name, key in (keys or {}).items())
        self._hosts = LOOPBACK_HOSTS | {host.lower().encode() for host in hosts}
        self._check_hosts = check_hosts
        self._origins = frozenset(origin.lower().encode() for origin in origins)

    def admit(self, headers: Mapping[bytes, bytes], query: bytes = b"", *, is_open: bool = False) -> str:
        """The name of the key that was shown, "" where none is needed. `query` is the raw query string.

        Raises AuthFailed for a missing (401) or wrong (403) key, NotAllowed for a foreign host or origin.
        """
        if self._check_hosts:
            self._admit_host(headers)
        return self._key_name(headers, query) if self._keys and not is_open else ""

    def _admit_host(self, headers: Mapping[bytes, bytes]) -> None:
        host = headers.get(b"host", b"localhost")
        if _without_port(host) not in self._hosts:
            raise NotAllowed(
                f"this gateway does not answer to the host {host.decode('latin-1')!r}; use 127.0.0.1 or localhost",
                code="foreign_host",
            )
        origin = headers.get(b"origin")
        if origin is not None and origin.lower() in self._origins:
            return
        if origin is not None and origin != b"null" and _without_port(origin.partition(b"://")[2]) not in self._hosts:
            raise NotAllowed(
                f"pages from {origin.decode('latin-1')!r} may not use this gateway: it answers to local pages only",
                code="foreign_origin",
            )
        if origin == b"null":
            raise NotAllowed("pages without an origin may not use this gateway", code="foreign_origin")

    def _key_name(self, headers: Mapping[bytes, bytes], query: bytes) -> str:
        key = shown_key(headers, query)
        if key is None:
            raise AuthFailed("this gateway asks for a key: send it after Bearer in the header Authorization, or as x-api-key")
        named = [name for name, known in self._keys if hmac.compare_digest(key, known)]
        if not named:
            raise AuthFailed("the key is not one of this gateway's", status=403)
        return named[0]


def shown_key(headers: Mapping[bytes, bytes], query: bytes = b"") -> bytes | None:
    """The key in whatever form a client has: Authorization, x-api-key, x-goog-api-key, or `?key=`, the first that is not empty.

    Clients that have no key send an empty one.
    """
    given = headers.get(b"authorization")
    if given and (key := _without_scheme(given)):
        return key
    for name in KEY_HEADERS:
        if key := headers.get(name, b"").strip():
            return key
    return next((unquote_to_bytes(pair[4:]) for pair in query.split(b"&") if pair.startswith(b"key=") and pair[4:]), None)


def _without_scheme(given: bytes) -> bytes:
    scheme, _, rest = given.partition(b" ")
    return rest.strip() if scheme.lower() == b"bearer" else given.strip()


def _without_port(host: bytes) -> bytes:
    name, colon, port = host.lower().rpartition(b":")
    return name if colon and name and (port.isdigit() or not port) else host.lower()
