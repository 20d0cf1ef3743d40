"""Files and batches put together: where they are kept, how much of them, and how a batch sees that others wait."""

import time
from collections.abc import Callable

from jackfield.app.settings_tree import Settings
from jackfield.gateway.batches.engine import BatchBounds, BatchEngine
from jackfield.store.batches import BatchRepository
from jackfield.store.engine import Database
from jackfield.store.files import FileBounds, FileShelf


def batch_engine(settings: Settings, database: Database, under_way: Callable[[], int]) -> BatchEngine:
    """Not started yet: that is for when the sources are plugged. `under_way` counts all requests that are being answered."""
    files, batches = settings.files, settings.batches
    kept = FileBounds(files.max_file_bytes, files.max_count, files.max_bytes, files.ttl_s)
    bounds = BatchBounds(
        concurrency=batches.concurrency,
        retries=batches.retries,
        max_requests=batches.max_requests,
        max_unfinished=batches.max_unfinished,
        patience_s=settings.timeouts.total_s * 2,
    )
    store = settings.store_path
    shelf = FileShelf(database, store / "files", kept, time.time)
    return BatchEngine(shelf, BatchRepository(database), store / "batches", bounds, under_way, time.time)
