"""Answers a request from the cache where the same one was answered before, and keeps good answers for the next time.

Header and temperature decide. What is kept is the very bytes that a client got; a streamed request can be answered from a whole
answer, not the other way round. A hit asks nobody and costs nothing; the books say "cached".
"""

from jackfield.core.events import unfold
from jackfield.gateway.call import Call
from jackfield.gateway.client import Answers
from jackfield.gateway.route import Target
from jackfield.gateway.steps.replay import HEADER, CloseBooks, Keeping, Serve, give, sent, source
from jackfield.routing.cache import AnswerCache, CachedAnswer, answer_key, is_cacheable, wish


class Remember:
    """`close_books` is the pipeline's."""

    def __init__(self, cache: AnswerCache, close_books: CloseBooks) -> None:
        self.cache = cache
        self._close_books = close_books

    async def __call__(self, call: Call, client: Answers, serve: Serve) -> None:
        route = call.route
        assert route is not None
        first = route.first
        fields = sent(call, first)
        if call.errand is not None or not is_cacheable(fields, wish(call.headers.get(HEADER))):
            await serve(call, client)
            return
        whole = answer_key(call.dialect.name, source(first), fields, scope=call.key_name)
        streamed = whole + (b"+usage" if call.show_usage else b"+")
        if call.stream and (kept := self.cache.peek(streamed)) is not None:
            await give(call, client, kept.body, self._close_books)
        elif (kept := self.cache.get(whole)) is None:
            keeping = self._keeping(call, client, first, streamed if call.stream else whole)
            await serve(call, client if call.continues else keeping)  # what two sources said together is nobody's answer
        else:
            await give(call, client, _unfolded(call, kept) if call.stream else kept.body, self._close_books)

    def _keeping(self, call: Call, client: Answers, first: Target, key: bytes) -> Keeping:
        room = self.cache.settings.max_answer_bytes
        return Keeping(client, call, first, lambda body: self.cache.put(key, body, call.usage), room)


def _unfolded(call: Call, kept: CachedAnswer) -> bytes:
    """A whole answer as the stream that it would have been."""
    reply = call.dialect.decode_reply(kept.body)
    encoder = call.dialect.encoder(
        call.request_id, reply.created or int(call.at), reply.model or call.model_text, call.show_usage
    )
    return b"".join((*(encoder.encode(event) for event in unfold(reply)), encoder.end()))
