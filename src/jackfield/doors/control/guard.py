"""Who may speak to the control door: programs of this machine's user, not web pages that happen to be open in a browser.

A page of another site can make a browser send requests to 127.0.0.1, and can point its own name there. So a request whose
Origin is foreign is refused, and so is a Host that is a name other than localhost. Whether a key is asked for is decided
before requests come here.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from jackfield.core.errors import BadRequest, NotAllowed

_JSON_TYPES = ("application/json", "text/json")


def refuse_foreign(headers: Mapping[str, str], *, behind_key: bool) -> None:
    """Raises NotAllowed for a request that a page of another site caused.

    `behind_key` says that a key was asked for already: then any Host name is accepted, a foreign Origin still is not.
    """
    host = headers.get("host", "")
    if not behind_key and not _cannot_be_rebound(host):
        raise NotAllowed(
            f"Host {host[:80]!r} is not this machine: call the control door as 127.0.0.1 or localhost, or start the gateway with a key"
        )
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        raise NotAllowed(f"a page of {origin[:80]!r} may not use the control door: it takes no requests from other sites")
    if headers.get("sec-fetch-site") == "cross-site":
        raise NotAllowed("a page of another site may not use the control door")


def refuse_wrong_type(content_type: str | None) -> None:
    """Raises BadRequest (415) for a body that does not say it is JSON: HTML forms cannot say so, programs can."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind not in _JSON_TYPES and not kind.endswith("+json"):
        raise BadRequest("send the body as JSON, with the header content-type: application/json", status=415)


def _cannot_be_rebound(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name.endswith(".localhost"):
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
