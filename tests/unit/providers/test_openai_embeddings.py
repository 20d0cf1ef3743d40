"""The embeddings call's bytes, judged by the official SDK's types."""

import base64
import struct

import msgspec
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.embedding_create_params import EmbeddingCreateParams

from jackfield.core.errors import Malformed
from jackfield.core.requests import EmbedRequest
from jackfield.providers.openai_embeddings import decode_embed, encode_embed
from jackfield.testing.answers import vectors

REQUEST = EmbedRequest(("one", "two"), dimensions=4)


def test_the_body_has_only_fields_that_the_sdk_knows() -> None:
    body = msgspec.json.decode(encode_embed(REQUEST, "m"))
    assert set(body) <= set(EmbeddingCreateParams.__annotations__)
    assert body == {"model": "m", "input": ["one", "two"], "encoding_format": "float", "dimensions": 4}


def test_vectors_come_back_in_the_order_of_the_inputs() -> None:
    whole = vectors(["one", "two two"], "m", 4)
    CreateEmbeddingResponse.model_validate(whole)
    whole["data"].reverse()
    reply = decode_embed(msgspec.json.encode(whole), REQUEST, "m")
    assert [len(vector) for vector in reply.vectors] == [4, 4]
    assert reply.vectors[0] == tuple(whole["data"][1]["embedding"])
    assert reply.usage.prompt_tokens == 3


def test_base64_is_understood_though_not_asked_for() -> None:
    packed = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()
    body = msgspec.json.encode({"data": [{"embedding": packed, "index": 0}, {"embedding": [1, 2], "index": 1}]})
    assert decode_embed(body, REQUEST, "m").vectors == ((0.5, -1.0), (1.0, 2.0))


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"embedding": [1.0]}],
        [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}],
        [{"embedding": []}] * 2,
        [{"embedding": "?!"}] * 2,
        [{"embedding": "AAA="}] * 2,
        [{}],
    ],
)
def test_what_cannot_be_vectors_is_malformed(data: list[object]) -> None:
    with pytest.raises(Malformed):
        decode_embed(msgspec.json.encode({"data": data}), REQUEST, "m")
