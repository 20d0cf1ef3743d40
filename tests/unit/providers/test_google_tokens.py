import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.auth import jwt

from google_credentials import PEM, PUBLIC, account, login
from jackfield.core.errors import AuthFailed, BadRequest, Overloaded
from jackfield.providers.google_tokens import SCOPE, WELL_KNOWN, GoogleTokens, parse_credentials
from jackfield.testing.fake_gemini import TOKEN, FakeGemini
from jackfield.testing.fake_server import Behaviour
from jackfield.testing.tools import FakeTools, provider_tools


class Clock:
    def __init__(self) -> None:
        self.now = 1_900_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def tools() -> AsyncIterator[FakeTools]:
    async with provider_tools() as made:
        yield made


@pytest.fixture
async def fake() -> AsyncIterator[FakeGemini]:
    async with FakeGemini() as serving:
        yield serving


def _tokens(fake: FakeGemini, tools: FakeTools, credentials: dict[str, Any], clock: Clock | None = None) -> GoogleTokens:
    return GoogleTokens(tools.http, secret=msgspec.json.encode(credentials).decode(), clock=clock or Clock())


@pytest.mark.behaviour("PROV-33")
async def test_a_service_account_shows_an_assertion_that_google_s_own_code_verifies(fake: FakeGemini, tools: FakeTools) -> None:
    tokens = GoogleTokens(tools.http, secret=msgspec.json.encode(account(fake)).decode())
    assert await tokens.token() == f"{TOKEN}-1"
    form = parse_qs(fake.assertions[0])
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    judge: Any = jwt
    assert judge.decode_header(form["assertion"][0]) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    verified = judge.decode(form["assertion"][0], certs=PUBLIC, audience=f"{fake.root_url}/token")
    assert (verified["iss"], verified["scope"]) == ("robot@p.iam.gserviceaccount.com", SCOPE)
    assert verified["exp"] - verified["iat"] == 3600


async def test_a_person_s_login_is_exchanged_by_its_refresh_token(fake: FakeGemini, tools: FakeTools) -> None:
    assert await _tokens(fake, tools, login(fake)).token() == f"{TOKEN}-1"
    given = {"grant_type": ["refresh_token"], "client_id": ["c"], "client_secret": ["s"], "refresh_token": ["r"]}
    assert parse_qs(fake.assertions[0]) == given


@pytest.mark.behaviour("PROV-33")
async def test_a_token_is_kept_until_shortly_before_its_end_and_asked_for_once(fake: FakeGemini, tools: FakeTools) -> None:
    clock = Clock()
    tokens = _tokens(fake, tools, account(fake), clock)
    assert set(await asyncio.gather(*(tokens.token() for _ in range(5)))) == {f"{TOKEN}-1"}
    clock.now += 3600 - 121
    assert await tokens.token() == f"{TOKEN}-1"
    clock.now += 2
    assert await tokens.token() == f"{TOKEN}-2"
    tokens.forget()
    assert await tokens.token() == f"{TOKEN}-3"


async def test_a_file_is_read_when_first_needed_and_from_where_gcloud_puts_it(
    fake: FakeGemini, tools: FakeTools, tmp_path: Path
) -> None:
    named = GoogleTokens(tools.http, file=str(tmp_path / "key.json"))
    usual = GoogleTokens(tools.http, home=tmp_path)
    for tokens, told in ((named, "key.json"), (usual, "on this machine")):
        with pytest.raises(AuthFailed, match=told):
            await tokens.token()
    (tmp_path / "key.json").write_bytes(msgspec.json.encode(account(fake)))
    (tmp_path / WELL_KNOWN).parent.mkdir(parents=True)
    (tmp_path / WELL_KNOWN).write_bytes(msgspec.json.encode(login(fake)))
    assert await named.token() == f"{TOKEN}-1"
    assert await usual.token() == f"{TOKEN}-2"


async def test_a_ready_token_is_used_as_it_is(tools: FakeTools) -> None:
    assert await GoogleTokens(tools.http, secret="ya29.ready").token() == "ya29.ready"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}', AuthFailed),
        (401, b'{"error": "invalid_client"}', AuthFailed),
        (403, b"<html>", AuthFailed),
        (503, b"", Overloaded),
    ],
)
async def test_a_refusal_is_told_with_what_to_do(
    status: int, body: bytes, kind: type[Exception], fake: FakeGemini, tools: FakeTools
) -> None:
    fake.behaviour = Behaviour(status=status, body=body, everywhere=True)
    with pytest.raises(kind) as refused:
        await _tokens(fake, tools, account(fake)).token()
    if kind is AuthFailed:
        assert "gcloud auth application-default login" in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        b"no json",
        b"[]",
        b'{"type": "external_account"}',
        b'{"type": "service_account"}',
        b'{"type": "authorized_user", "client_id": "c"}',
    ],
)
def test_what_are_no_credentials_is_told(given: bytes) -> None:
    with pytest.raises(BadRequest) as told:
        parse_credentials(given)
    assert told.value.param == "credentials_file"


async def test_a_key_that_is_none_is_told_and_never_shown(fake: FakeGemini, tools: FakeTools) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for pem in ("not a key", other):
        with pytest.raises(BadRequest, match="private key") as told:
            await _tokens(fake, tools, account(fake, private_key=pem)).token()
        assert pem not in str(told.value)
    assert PEM not in repr(parse_credentials(msgspec.json.encode(account(fake))))
    assert "secret" not in repr(_tokens(fake, tools, account(fake)))
