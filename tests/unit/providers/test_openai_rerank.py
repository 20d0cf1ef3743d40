"""Reranking by the servers that copy Jina's call: what is sent, and what may come back."""

import pytest

from jackfield.core.contracts import Reranks
from jackfield.core.errors import Malformed
from jackfield.core.requests import RankedDocument, RerankRequest
from jackfield.providers.openai_rerank import decode_rerank, encode_rerank
from jackfield.providers.registry import load_registrar

ASKED = RerankRequest("a cat", ("a dog", "a cat"), top_n=1, extra={"truncate": True})


def test_the_request_as_the_servers_take_it() -> None:
    expected = b'{"truncate":true,"model":"m","query":"a cat","documents":["a dog","a cat"],"top_n":1}'
    assert encode_rerank(ASKED, "m") == expected


@pytest.mark.parametrize(
    ("usage", "tokens"), [(b'{"prompt_tokens":18,"total_tokens":18}', 18), (b'{"total_tokens":7}', 7), (b"{}", 0)]
)
def test_the_best_comes_first_with_what_it_cost(usage: bytes, tokens: int) -> None:
    results = b'[{"index":0,"relevance_score":-1.5},{"index":1,"relevance_score":2,"document":{"text":"a cat"}}]'
    told = decode_rerank(b'{"results":' + results + b',"usage":' + usage + b"}", 2, "m")
    assert told.results == (RankedDocument(1, 2.0), RankedDocument(0, -1.5))
    assert (told.model, told.usage.prompt_tokens) == ("m", tokens)


@pytest.mark.parametrize("index", [-1, 2])
def test_a_document_that_was_never_sent_is_no_ranking(index: int) -> None:
    with pytest.raises(Malformed, match="2 documents"):
        decode_rerank(b'{"results":[{"index":%d,"relevance_score":1}]}' % index, 2, "m")


def test_only_rows_that_say_so_rerank() -> None:
    registrar = load_registrar(plugins=False)
    assert issubclass(registrar.get("vllm"), Reranks)
    assert not issubclass(registrar.get("groq"), Reranks)
