"""The vocabulary of tasks: every spelling has one name, and names stay themselves."""

from jackfield.core.tasks import TASK_SYNONYMS, canonical_task


def test_every_spelling_has_one_name() -> None:
    spellings = [name for task, names in TASK_SYNONYMS.items() for name in (task, *names)]
    assert len(set(spellings)) == len(spellings)
    assert {canonical_task(name) for name in spellings} == set(TASK_SYNONYMS)
    assert canonical_task(" Feature_Extraction ") == "text-embedding"
    assert canonical_task("image-generation") == "image-generation"
