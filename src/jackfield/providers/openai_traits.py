"""Which class gives a row which of OpenAI's calls beside chat.

A row's type is composed of the traits of the calls in its `calls` table and the one adapter, so that what a provider can do is
told by its class: a row without images does not satisfy Draws, and nothing has to be refused at run time.
"""

from collections.abc import Mapping

from jackfield.providers.openai_audio import SpeaksAloud, WritesDown, WritesDownInEnglish
from jackfield.providers.openai_batches import WorksOffBatches
from jackfield.providers.openai_files import StoresFiles
from jackfield.providers.openai_images import DrawsImages, EditsDrawnImages
from jackfield.providers.openai_moderation import JudgesTexts
from jackfield.providers.openai_rerank import RanksDocuments
from jackfield.providers.openai_tuning import TunesModels
from jackfield.providers.presets import CallName, Preset

TRAITS: Mapping[CallName, type] = {
    "images": DrawsImages,
    "image_edits": EditsDrawnImages,
    "speech": SpeaksAloud,
    "transcription": WritesDown,
    "translation": WritesDownInEnglish,
    "moderation": JudgesTexts,
    "rerank": RanksDocuments,
    "files": StoresFiles,
    "batches": WorksOffBatches,
    "tuning": TunesModels,
}


def traits_of(preset: Preset) -> tuple[type, ...]:
    """In the table's order, whatever the row's."""
    return tuple(trait for name, trait in TRAITS.items() if name in preset.calls)
