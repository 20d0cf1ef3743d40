"""Credentials of Google's two kinds, with a key made for these tests, that a fake token endpoint takes."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from jackfield.testing.fake_gemini import FakeGemini

_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = _KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def account(fake: FakeGemini, **more: Any) -> dict[str, Any]:
    """A service account's file."""
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k1",
        "private_key": PEM,
        "client_email": "robot@p.iam.gserviceaccount.com",
        "token_uri": f"{fake.root_url}/token",
        **more,
    }


def login(fake: FakeGemini) -> dict[str, Any]:
    """What `gcloud auth application-default login` writes."""
    given = {"client_id": "c", "client_secret": "s", "refresh_token": "r"}
    return {"type": "authorized_user", "token_uri": f"{fake.root_url}/token", **given}
