"""Answers a request whose client asks for it from an answer to a question that means the same, and keeps new ones.

As gateway/steps/remember.py, but by meaning (routing/semantic_cache.py); the header says how near the question was. Streams and
whole answers are kept apart.
"""

from jackfield.gateway.call import Call
from jackfield.gateway.client import Answers
from jackfield.gateway.route import Target
from jackfield.gateway.steps.replay import HEADER, CloseBooks, Keeping, Serve, give, sent, source
from jackfield.routing.semantic_cache import Asked, SemanticCache, is_asked, question


class Recall:
    """`close_books` is the pipeline's."""

    def __init__(self, cache: SemanticCache, close_books: CloseBooks) -> None:
        self.cache = cache
        self._close_books = close_books

    async def __call__(self, call: Call, client: Answers, serve: Serve) -> None:
        route = call.route
        assert route is not None
        first = route.first
        found = await self._find(call, first) if _may(call) else None
        if found is None:
            await serve(call, client)
        elif found.answer is None:
            await serve(call, self._keeping(call, client, first, found))
        else:
            told = b"semantic-hit; similarity=%.4f" % found.similarity
            await give(call, client, found.answer.body, self._close_books, told)

    async def _find(self, call: Call, first: Target) -> Asked | None:
        """None for a request that cannot be compared with others."""
        form = f"stream {call.show_usage}" if call.stream else "whole"
        asked = question(call.dialect.name, source(first), sent(call, first), scope=f"{form}\n{call.key_name}")
        return None if asked is None else await self.cache.find(asked)

    def _keeping(self, call: Call, client: Answers, first: Target, asked: Asked) -> Keeping:
        room = self.cache.settings.max_answer_bytes
        return Keeping(client, call, first, lambda body: self.cache.store(asked, body, call.usage), room)


def _may(call: Call) -> bool:
    """It is asked for, and the prompt may be shown to whoever makes the vectors."""
    keeps_nothing = call.wishes is not None and call.wishes.keeps_nothing
    return call.errand is None and is_asked(call.headers.get(HEADER)) and not call.continues and not keeps_nothing
