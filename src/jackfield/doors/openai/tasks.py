"""POST /v1/embeddings, /v1/moderations and /v1/rerank: texts in, numbers out."""

import msgspec

from jackfield.core.contracts import Embeds, Moderates, Reranks
from jackfield.dialects.openai_chat import parse_fields
from jackfield.dialects.openai_embeddings import decode_embed_request, encode_embed_reply, wants_base64
from jackfield.dialects.openai_moderations import decode_moderate_request, encode_moderate_reply
from jackfield.dialects.rerank import decode_rerank_request, encode_rerank_reply
from jackfield.doors.openai.errands import Errands
from jackfield.gateway.client import Client
from jackfield.gateway.errand import Done, Errand


class Embeddings:
    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    async def __call__(self, client: Client) -> None:
        body = await client.body()
        fields = parse_fields(body)
        request, as_base64 = decode_embed_request(fields), wants_base64(fields)

        async def run(provider: Embeds, model: str | None) -> Done:
            reply = await provider.embed(msgspec.structs.replace(request, model=model))
            return Done(encode_embed_reply(reply, as_base64=as_base64), reply.usage, reply.model)

        await self._errands.run(client, fields, lambda _: Errand("embeddings", Embeds, run), len(body))


class Moderations:
    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    async def __call__(self, client: Client) -> None:
        body = await client.body()
        fields = parse_fields(body)
        request = decode_moderate_request(fields)

        def errand(request_id: str) -> Errand:
            async def run(provider: Moderates, model: str | None) -> Done:
                reply = await provider.moderate(msgspec.structs.replace(request, model=model))
                return Done(encode_moderate_reply(reply, request_id), None, reply.model)

            return Errand("moderation", Moderates, run)

        await self._errands.run(client, fields, errand, len(body))


class Rerank:
    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    async def __call__(self, client: Client) -> None:
        body = await client.body()
        fields = parse_fields(body)
        request, with_documents = decode_rerank_request(fields)

        def errand(request_id: str) -> Errand:
            async def run(provider: Reranks, model: str | None) -> Done:
                reply = await provider.rerank(msgspec.structs.replace(request, model=model))
                encoded = encode_rerank_reply(reply, request, request_id, with_documents=with_documents)
                return Done(encoded, reply.usage, reply.model)

            return Errand("reranking", Reranks, run)

        await self._errands.run(client, fields, errand, len(body))
