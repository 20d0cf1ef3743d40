"""Access tokens for Google Cloud: from a service account's key or a person's login, kept and renewed in time.

Knows the two kinds of credentials file and OAuth2's exchange (RFC 7523; https://developers.google.com/identity/protocols/oauth2).
The exchange goes through the same client, and so the same gate, as every other request. Nothing secret is ever shown.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import urlencode

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from jackfield.core.errors import AuthFailed, BadRequest, JackfieldError, Malformed
from jackfield.core.redaction import redact
from jackfield.dialects.gemini import decode_error
from jackfield.providers.http_source import LOOK_TIMEOUTS
from jackfield.providers.refusal import read_refusal
from jackfield.transport.endpoint import split_target
from jackfield.transport.http1 import HttpClient

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
WELL_KNOWN = ".config/gcloud/application_default_credentials.json"
LIFETIME_S = 3600
RENEW_BEFORE_S = 120.0
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
_LOG_IN = "log in with `gcloud auth application-default login`, or give a service account's key"


class Credentials(msgspec.Struct, frozen=True):
    """What is read of a credentials file: of a service account, or of a person (`authorized_user`)."""

    type: str
    client_email: str = ""
    private_key: str = ""
    private_key_id: str = ""
    token_uri: str = TOKEN_URI
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.type})"


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float = LIFETIME_S


def parse_credentials(text: bytes) -> Credentials:
    """Raises BadRequest for what is no credentials file, or one of a kind that is not understood."""
    try:
        found = msgspec.json.decode(text, type=Credentials)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(f"the Google credentials are no credentials file: {_LOG_IN}", param="credentials_file") from None
    needed = {
        "service_account": (found.client_email, found.private_key),
        "authorized_user": (found.client_id, found.refresh_token),
    }
    if found.type not in needed:
        raise BadRequest(
            f"Google credentials of type {found.type[:40]!r} are not understood: {_LOG_IN}", param="credentials_file"
        )
    if not all(needed[found.type]):
        raise BadRequest(f"the Google credentials are not complete: {_LOG_IN}", param="credentials_file")
    return found


def signed_assertion(credentials: Credentials, now: float) -> str:
    """The JWT (RS256) that a service account shows for an access token. Raises BadRequest for a key that is none."""
    header = {"alg": "RS256", "typ": "JWT", "kid": credentials.private_key_id}
    issued = int(now)
    claims = {
        "iss": credentials.client_email,
        "scope": SCOPE,
        "aud": credentials.token_uri,
        "iat": issued,
        "exp": issued + LIFETIME_S,
    }
    signed = b".".join(_segment(msgspec.json.encode(part)) for part in (header, claims))
    try:
        key = load_pem_private_key(credentials.private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadRequest("the private key of the service account cannot be read", param="credentials_file") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadRequest("the private key of the service account is no RSA key", param="credentials_file")
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + _segment(signature)).decode("ascii")


def _segment(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class GoogleTokens:
    """Gives an access token whenever asked, a new one only when the last is about to end.

    `secret` is the credentials' JSON text or a ready access token; without it they are read from `file`, or from where
    `gcloud` puts them. Nothing is read before the first token is needed.
    """

    def __init__(
        self,
        http: HttpClient,
        *,
        secret: str | None = None,
        file: str | None = None,
        clock: Callable[[], float] = time,
        home: Path | None = None,
    ) -> None:
        self._http = http
        self._secret = secret
        self._file = file
        self._clock = clock
        self._home = home
        self._credentials: Credentials | None = None
        self._token = ""
        self._ends_at = 0.0
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return "<GoogleTokens>"

    async def token(self) -> str:
        """Raises AuthFailed where there are no credentials or Google refuses them, and Upstream errors."""
        if self._secret is not None and not self._secret.lstrip().startswith("{"):
            return self._secret
        if self._clock() < self._ends_at:
            return self._token
        async with self._turn:  # whoever waited for it finds the token that the first one got
            if self._clock() >= self._ends_at:
                await self._renew()
        return self._token

    def forget(self) -> None:
        """The next request asks for a new token: this one was refused."""
        self._ends_at = 0.0

    async def _read(self) -> Credentials:
        if self._credentials is None:
            text = self._secret.encode() if self._secret is not None else await asyncio.to_thread(self._contents)
            self._credentials = parse_credentials(text)
        return self._credentials

    def _contents(self) -> bytes:
        path = Path(self._file).expanduser() if self._file else (self._home or Path.home()) / WELL_KNOWN
        try:
            return path.read_bytes()
        except OSError:
            where = f"in {self._file}" if self._file else "on this machine"
            raise AuthFailed(f"no Google credentials {where}: {_LOG_IN}", param="credentials_file") from None

    async def _renew(self) -> None:
        credentials = await self._read()
        now = self._clock()
        granted = await self._exchange(credentials, _grant(credentials, now))
        self._token = granted.access_token
        self._ends_at = now + max(granted.expires_in - RENEW_BEFORE_S, granted.expires_in / 2)

    async def _exchange(self, credentials: Credentials, form: Mapping[str, str]) -> _Granted:
        endpoint, target = split_target(credentials.token_uri)
        reply = await self._http.send(endpoint.head("POST", target, _FORM), urlencode(form).encode(), LOOK_TIMEOUTS)
        if reply.status >= 300:
            raise await read_refusal(reply, "", _decode_refusal)
        try:
            return msgspec.json.decode(await reply.read(), type=_Granted)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Malformed("Google's token endpoint gave no access token") from None


def _grant(credentials: Credentials, now: float) -> dict[str, str]:
    if credentials.type == "service_account":
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        return {"grant_type": grant, "assertion": signed_assertion(credentials, now)}
    return {
        "grant_type": "refresh_token",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "refresh_token": credentials.refresh_token,
    }


def _decode_refusal(status: int, body: bytes, *, provider: str, retry_after_s: float | None = None) -> JackfieldError:
    """OAuth2 tells a refusal as {"error": "invalid_grant", "error_description": ...} with status 400 or 401."""
    if status not in (400, 401, 403):
        return decode_error(status, body, provider=provider, retry_after_s=retry_after_s)
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = {}
    said = redact(str(told.get("error_description") or told.get("error") or f"status {status}"))[:200]
    return AuthFailed(f"Google refused the credentials ({said}): {_LOG_IN}", param="credentials_file")
