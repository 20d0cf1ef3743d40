"""Where an OpenAI-compatible API lives: one rule from the many ways people write a base URL to the API's root.

The rule, applied to what a person wrote (a row's own `base_url` is used as it stands):

1. a trailing `/` and a pasted `/chat/completions` (or `/models`, `/embeddings`) are cut off;
2. without a path, the row's path is added: `http://host:8000` -> `http://host:8000/v1`, for Lemonade `/api/v1`;
3. a path with a version in it (`/v1`, `/api/v1`, `/v1beta`, `/api/paas/v4`) or ending like the row's own is kept;
4. any other path gets `/v1`, if the row's own path ends so; `path` in the config overrides rules 2 to 4;
5. `unix:///run/x.sock` names a socket: the row's path is added after a colon, `unix:///run/x.sock:/v1`.

Pure: no name is looked up and nothing is connected here.
"""

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit, urlunsplit

from jackfield.core.errors import BadRequest
from jackfield.providers.presets import Preset

_ENDINGS = ("/chat/completions", "/completions", "/embeddings", "/models")
_VERSION = re.compile(r"/v\d+[a-z0-9]*(/|\Z)")
_LAST_VERSION = re.compile(r"/v\d+[a-z0-9]*\Z")
_LOOPBACK = re.compile(r"(localhost|[a-z0-9-]+\.localhost|127(\.\d{1,3}){3}|::1)\Z")


def is_loopback(host: str) -> bool:
    """Does the name say that it is this machine? No look-up."""
    return bool(_LOOPBACK.match(host.lower().strip("[]")))


def api_root(
    preset: Preset, base_url: str | None = None, host: str | None = None, port: int | None = None, path: str | None = None
) -> str:
    """The URL that request paths are appended to, without a trailing slash. Raises BadRequest naming what is missing."""
    written = base_url or _from_parts(preset, host, port)
    if written is None:
        raise BadRequest(
            f"{preset.id} needs a base_url, such as http://127.0.0.1:8000/v1: give it when plugging", param="base_url"
        )
    url = _split(written)
    if url.scheme == "unix":
        socket, _, own = written.strip().partition("unix:")[2].partition(":")
        return f"unix:{socket}:{own or path or preset.path}"
    if preset.ipv4_only and url.hostname == "localhost":
        url = url._replace(netloc=url.netloc.replace("localhost", "127.0.0.1"))
    if path is not None:
        root = f"/{path.strip('/')}".rstrip("/")
    elif base_url is None:
        root = url.path.rstrip("/")
    else:
        own = preset.path.rstrip("/")
        root = _api_path(url.path, own, _ENDINGS, re.search(r"/v1\Z", own))
    return urlunsplit((url.scheme, url.netloc, root, "", ""))


def joined_root(written: str, own_url: str | None, endings: Sequence[str]) -> str:
    """The same rule for an API of another kind: `own_url` is where it usually is, `endings` are its calls.

    A path without a version gets the one that `own_url` ends in, if it ends in one. Raises BadRequest.
    """
    own = _split(own_url).path.rstrip("/") if own_url else ""
    url = _split(written)
    if url.scheme == "unix":
        socket, _, path = written.strip().partition("unix:")[2].partition(":")
        return f"unix:{socket}:{path or own}"
    path = _api_path(url.path, own, endings, _LAST_VERSION.search(own))
    return urlunsplit((url.scheme, url.netloc, path, "", ""))


def _from_parts(preset: Preset, host: str | None, port: int | None) -> str | None:
    if host is None and port is None:
        return preset.url
    if preset.port is None and preset.base_url is not None:
        raise BadRequest(f"{preset.id} is not a local server: give base_url instead of host and port", param="port")
    chosen = port or preset.port
    if chosen is None:
        return None
    name = host or preset.host
    shown = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return f"http://{shown}:{chosen}{preset.path}"


def _split(written: str) -> SplitResult:
    text = written.strip()
    if "://" not in text:
        text = f"http://{text}" if is_loopback(text.partition("/")[0].partition(":")[0]) else text
    try:
        url = urlsplit(text)
        missing = url.scheme not in ("http", "https", "unix") or not (url.hostname or url.scheme == "unix")
    except ValueError:
        missing = True
    if missing:
        raise BadRequest(
            f"base_url {_shown(written)!r} is not a URL: write http://host:port/v1 or https://host/v1", param="base_url"
        )
    return url


def _shown(written: str) -> str:
    """A URL may hold a password or a key: show no more than its address."""
    return re.sub(r"[^/@]*@", "", written.partition("?")[0])[:80]


def _api_path(path: str, own: str, endings: Sequence[str], version: re.Match[str] | None) -> str:
    cut = path.rstrip("/")
    for ending in endings:
        if cut.endswith(ending):
            cut = cut.removesuffix(ending)
            break
    if not cut:
        return own
    if _VERSION.search(cut) or (own and cut.endswith(own)):
        return cut
    return f"{cut}{version[0]}" if version else cut
