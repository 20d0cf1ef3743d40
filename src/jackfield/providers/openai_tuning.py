"""Fine-tuning over OpenAI's calls: start a job on an uploaded file, watch it, plug the model it makes. A trait of rows.

The result needs nothing of its own: `fine_tuned_model` is a model name like any other of the same provider.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from jackfield.core.contracts import FineTunes
from jackfield.providers.http_json import decoded, path_part, read_reply
from jackfield.providers.http_source import HttpSource

PATH = "fine_tuning/jobs"


class TunesModels:
    _source: HttpSource

    async def start_tuning(self, model: str, file_id: str) -> str:
        """Costs money at the source. Raises the mapped error."""
        body = msgspec.json.encode({"model": model, "training_file": file_id})
        reply = await self._source.post(PATH, body, model=model)
        job = await read_reply(self._source, reply, decode_job, "start fine-tuning", model)
        return str(job["id"])

    async def tuning_status(self, job_id: str) -> Mapping[str, Any]:
        reply = await self._source.get(
            f"{PATH}/{path_part(job_id)}", operation="look at fine-tuning", missing=f"job {job_id!r}"
        )
        return await read_reply(self._source, reply, decode_job, "look at fine-tuning", None)

    async def cancel_tuning(self, job_id: str) -> Mapping[str, Any]:
        reply = await self._source.post(f"{PATH}/{path_part(job_id)}/cancel", b"", model=None, missing=f"job {job_id!r}")
        return await read_reply(self._source, reply, decode_job, "cancel fine-tuning", None)


class _Job(msgspec.Struct):
    id: str
    status: str
    fine_tuned_model: str | None = None


def decode_job(body: bytes) -> dict[str, Any]:
    """The whole job object, once what is promised of it was checked."""
    job = decoded(body, _Job, "the fine-tuning job")
    whole = decoded(body, dict[str, Any], "the fine-tuning job")
    return {**whole, "fine_tuned_model": job.fine_tuned_model}


def _satisfies() -> type[FineTunes]:
    return TunesModels
