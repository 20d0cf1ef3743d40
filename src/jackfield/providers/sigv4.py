"""AWS Signature Version 4 for requests whose body is at hand: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html.

Pure: what is signed and when comes in, headers go out. Paths are encoded once more, as every service but S3 wants it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

import msgspec

_ALGORITHM = "AWS4-HMAC-SHA256"
_SAFE = "-._~"


class AwsKeys(msgspec.Struct, frozen=True):
    """Credentials. `session_token` belongs to temporary ones. Never shown."""

    access_key: str
    secret_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return "AwsKeys(...)"


def signed_headers(
    method: str, host: str, target: str, body: bytes, *, keys: AwsKeys, region: str, service: str, at: datetime
) -> dict[str, str]:
    """The headers to send beside `host`. `target` is the path as it is sent (percent-encoded) and its query; `at` is aware."""
    moment = at.astimezone(UTC)
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-date": stamp}
    if keys.session_token is not None:
        headers["x-amz-security-token"] = keys.session_token
    names = ";".join(sorted(headers))
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    request = canonical_request(method, target, headers, hashlib.sha256(body).hexdigest())
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.new(_signing_key(keys.secret_key, scope), text.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={keys.access_key}/{scope}"
    headers["authorization"] = f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
    del headers["host"]
    return headers


def canonical_request(method: str, target: str, headers: Mapping[str, str], body_sha256: str) -> str:
    """The text that both sides hash. `headers` are all that are signed, their names in lower case."""
    path, _, query = target.partition("?")
    names = sorted(headers)
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
    return "\n".join((method, quote(path, safe=f"/{_SAFE}"), _query(query), *lines, "", ";".join(names), body_sha256))


def _query(query: str) -> str:
    pairs = sorted(
        (quote(name, safe=_SAFE), quote(value, safe=_SAFE)) for name, value in parse_qsl(query, keep_blank_values=True)
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


def _signing_key(secret_key: str, scope: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
