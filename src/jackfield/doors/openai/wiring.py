"""The OpenAI door put together: every call that it serves, on one pipeline."""

from collections.abc import Callable

from jackfield.dialects import (
    openai_audio,
    openai_completions,
    openai_embeddings,
    openai_images,
    openai_moderations,
    openai_responses,
    rerank,
)
from jackfield.dialects.batch_lines import CHAT_URL
from jackfield.doors.openai.audio import Speech, Transcriptions, Translations
from jackfield.doors.openai.batches import Batches
from jackfield.doors.openai.chat import ChatCompletions
from jackfield.doors.openai.dialect import OpenAICompletions
from jackfield.doors.openai.door import OpenAIDoor
from jackfield.doors.openai.errands import Errands
from jackfield.doors.openai.files import Files
from jackfield.doors.openai.images import Edits, Generations
from jackfield.doors.openai.models import Models
from jackfield.doors.openai.responses import Responses
from jackfield.doors.openai.responses_count import PATH as COUNT_PATH
from jackfield.doors.openai.responses_count import InputTokens
from jackfield.doors.openai.responses_kept import Kept
from jackfield.doors.openai.tasks import Embeddings, Moderations, Rerank
from jackfield.gateway.batches.engine import BatchEngine
from jackfield.gateway.door import Handler
from jackfield.gateway.kept_responses import KeptResponses
from jackfield.gateway.pipeline import Pipeline
from jackfield.gateway.token_count import TokenCount
from jackfield.slots.catalogue import Catalogue

BATCHED = (openai_completions.PATH, openai_responses.PATH, openai_embeddings.PATH, openai_moderations.PATH)
"""What a batch can ask besides chats."""


def openai_door(
    pipeline: Pipeline,
    catalogue: Catalogue,
    count: TokenCount,
    new_request_id: Callable[[], str],
    now: Callable[[], float],
    started_at: Callable[[], float],
    kept: KeptResponses,
    engine: BatchEngine,
) -> OpenAIDoor:
    """`now` and `started_at` are Unix seconds. The lines of `engine`'s batches are answered by this door's handlers."""
    errands = Errands(pipeline, new_request_id, now)
    posts: dict[str, Handler] = {
        openai_completions.PATH: ChatCompletions(pipeline, new_request_id, now, OpenAICompletions()),
        openai_responses.PATH: Responses(pipeline, kept, new_request_id, now),
        COUNT_PATH: InputTokens(count, kept, new_request_id, now),
        openai_embeddings.PATH: Embeddings(errands),
        openai_moderations.PATH: Moderations(errands),
        rerank.PATH: Rerank(errands),
        openai_images.DRAW_PATH: Generations(errands),
        openai_images.EDIT_PATH: Edits(errands),
        openai_audio.SPEAK_PATH: Speech(errands),
        openai_audio.TRANSCRIBE_PATH: Transcriptions(errands),
        openai_audio.TRANSLATE_PATH: Translations(errands),
    }
    chat = ChatCompletions(pipeline, new_request_id, now)
    batched: dict[str, Handler] = {path: posts[path] for path in BATCHED}
    # Thousands of lines would push out what conversations still need.
    batched[openai_responses.PATH] = Responses(pipeline, kept, new_request_id, now, keeps_unasked=False)
    engine.answer_by({CHAT_URL: chat, **{f"/v1/{path}": handler for path, handler in batched.items()}}, OpenAIDoor.encode_error)
    files, batches = Files(engine.shelf), Batches(engine)
    return OpenAIDoor(
        chat,
        Models(catalogue, started_at),
        {
            **{path: {"POST": handler} for path, handler in posts.items()},
            "files": {"GET": files.list, "POST": files.upload},
            "batches": {"GET": batches.list, "POST": batches.create},
        },
        {"responses/": Kept(kept).find, "files/": files.find, "batches/": batches.find},
    )
