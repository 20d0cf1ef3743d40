"""One vocabulary for what a model is asked to do: many spellings, one name each. A table, no behaviour."""

from collections.abc import Mapping

TEXT_GENERATION = "text-generation"
TEXT_EMBEDDING = "text-embedding"
RERANK = "rerank"
CLASSIFICATION = "text-classification"

TASK_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    TEXT_GENERATION: ("chat", "chat-completion", "completion", "conversational", "generate", "text2text-generation"),
    TEXT_EMBEDDING: ("embed", "embedding", "embeddings", "feature-extraction", "sentence-similarity"),
    RERANK: ("reranking", "text-ranking"),
    CLASSIFICATION: ("classify", "moderation", "moderations"),
}
_CANONICAL = {name: task for task, names in TASK_SYNONYMS.items() for name in (task, *names)}


def canonical_task(name: str) -> str:
    """The one spelling of a task; a name that is not in the table stays as it is, in lower case with dashes."""
    plain = name.strip().lower().replace("_", "-")
    return _CANONICAL.get(plain, plain)
