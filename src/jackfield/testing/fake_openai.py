"""A fake of OpenAI's whole platform on loopback: what testing/fakes.py serves, and responses, images, sound, files, jobs.

Written after OpenAI's API reference. It keeps files and jobs while it runs; a batch or a fine-tuning job is done when looked at
for the second time. Everything it makes is the same for the same request.
"""

import email.parser
import email.policy
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from jackfield.testing.answers import CREATED, altered, answer_for, whole_body
from jackfield.testing.fake_responses import events_of, response_body
from jackfield.testing.fake_server import Behaviour, Recorded, Wire
from jackfield.testing.fakes import FakeOpenAI

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
SOUND = b"ID3\x04\x00fake sound"
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_DONE_AFTER = 2

Form = dict[str, list[tuple[str | None, bytes]]]


def read_form(request: Recorded) -> Form:
    """A multipart body: for every field its (file name, content) pairs, read by Python's own mail parser."""
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    whole = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    form: Form = {}
    for part in whole.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        form.setdefault(name, []).append((part.get_filename(), content if isinstance(content, bytes) else b""))
    return form


class FakePlatform(FakeOpenAI):
    """`files` by id as (name, purpose, content); `jobs` by id, batches and fine-tuning alike."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.files: dict[str, tuple[str, str, bytes]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self._looks: dict[str, int] = {}

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        path = request.path.partition("?")[0].partition("/v1/")[2]
        steps = path.split("/")
        if request.method == "POST" and path == "responses":
            return await self._respond(request, behaviour, wire)
        if request.method == "POST" and path == "audio/speech":
            return await wire.send(200, SOUND, {"content-type": "audio/mpeg"})
        if steps[0] == "files" and steps[2:] == ["content"] and steps[1] in self.files:
            return await wire.send(200, self.files[steps[1]][2], {"content-type": "application/octet-stream"})
        made = self._call(request, path, steps)
        if made is None:
            return await super().serve(request, behaviour, wire)
        return await wire.json(*made)

    def _call(self, request: Recorded, path: str, steps: list[str]) -> tuple[int, Any] | None:
        calls: Mapping[str, Callable[[Recorded], Any]] = {
            "images/generations": self._draw,
            "images/edits": self._edit,
            "audio/transcriptions": self._transcribe,
            "audio/translations": self._transcribe,
            "moderations": self._moderate,
            "rerank": self._rerank,
            "files": self._upload,
            "batches": self._start_batch,
            "fine_tuning/jobs": self._start_tuning,
        }
        if request.method == "POST" and path in calls:
            return 200, calls[path](request)
        kind = "fine_tuning/jobs" if path.startswith("fine_tuning/jobs") else steps[0]
        rest = path.removeprefix(kind).strip("/").split("/") if kind in calls else []
        if rest == [""] and request.method == "GET":
            return 200, self._list(kind)
        if rest and kind == "files":
            return self._file_call(request, rest[0])
        if rest and kind in ("batches", "fine_tuning/jobs"):
            return self._job_call(request, *rest)
        return None

    async def _respond(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        self.completions += 1
        body = request.json
        refusal = self._refusal(body)
        if refusal is not None:
            return await wire.json(*refusal)
        answer = altered(answer_for(_as_chat(body)), is_empty=behaviour.is_empty, finish_reason=behaviour.finish_reason)
        whole = response_body(answer, body["model"], self.completions)
        if not body.get("stream") or behaviour.ignores_stream:
            return await self.whole(whole, behaviour, wire)
        return await self.stream(events_of(whole), behaviour, wire)

    def _draw(self, request: Recorded) -> dict[str, Any]:
        given = request.json
        by_url = str(given["model"]).startswith("dall-e") and given.get("response_format") != "b64_json"
        image = {"url": f"{self.root_url}/image.png", "revised_prompt": given["prompt"]} if by_url else {"b64_json": PIXEL}
        return _images([image] * (given.get("n") or 1))

    def _edit(self, request: Recorded) -> dict[str, Any]:
        form = read_form(request)
        return _images([{"b64_json": PIXEL}] * int(form.get("n", [(None, b"1")])[0][1]))

    def _transcribe(self, request: Recorded) -> dict[str, Any]:
        form = read_form(request)
        name, content = form["file"][0]
        usage = {"type": "duration", "seconds": len(content) / 100}
        told = {"text": f"You said {len(content)} bytes in {name}.", "usage": usage}
        if form.get("response_format", [(None, b"json")])[0][1] != b"verbose_json":
            return told
        segment = {"id": 0, "start": 0.0, "end": 1.0, "text": told["text"]}
        return {**told, "language": "english", "duration": len(content) / 100, "segments": [segment]}

    def _moderate(self, request: Recorded) -> dict[str, Any]:
        given = request.json
        texts = given["input"] if isinstance(given["input"], list) else [given["input"]]
        return {"id": "modr-1", "model": given.get("model", "omni-moderation-latest"), "results": list(map(_judged, texts))}

    def _rerank(self, request: Recorded) -> dict[str, Any]:
        """The more words a document shares with the query, the better."""
        given = request.json
        words = set(given["query"].lower().split())
        scores = [len(words & set(text.lower().split())) / len(words) for text in given["documents"]]
        results = [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]
        return {"object": "list", "model": given["model"], "results": results, "usage": {"prompt_tokens": 9, "total_tokens": 9}}

    def _upload(self, request: Recorded) -> dict[str, Any]:
        form = read_form(request)
        name, content = form["file"][0]
        return self._keep(name or "", form["purpose"][0][1].decode(), content)

    def _keep(self, name: str, purpose: str, content: bytes) -> dict[str, Any]:
        file_id = f"file-{len(self.files) + 1}"
        self.files[file_id] = (name, purpose, content)
        return self._file(file_id)

    def _file(self, file_id: str) -> dict[str, Any]:
        name, purpose, content = self.files[file_id]
        about = {"created_at": CREATED, "filename": name, "purpose": purpose, "status": "processed"}
        return {"id": file_id, "object": "file", "bytes": len(content), **about}

    def _file_call(self, request: Recorded, file_id: str) -> tuple[int, Any]:
        if file_id not in self.files:
            return 404, self.error(404, f"No such File object: {file_id}", None)
        if request.method == "DELETE":
            del self.files[file_id]
            return 200, {"id": file_id, "object": "file", "deleted": True}
        return 200, self._file(file_id)

    def _list(self, kind: str) -> dict[str, Any]:
        ids = [job_id for job_id, job in self.jobs.items() if (job["object"] == "batch") == (kind == "batches")]
        data = [self._file(file_id) for file_id in self.files] if kind == "files" else [self.jobs[job_id] for job_id in ids]
        return {"object": "list", "data": data, "has_more": False}

    def _start_batch(self, request: Recorded) -> dict[str, Any]:
        given = request.json
        job = {
            "id": f"batch_{len(self.jobs) + 1}", "object": "batch", "endpoint": given["endpoint"], "status": "validating",
            "input_file_id": given["input_file_id"], "completion_window": given["completion_window"], "created_at": CREATED,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }  # fmt: skip
        self.jobs[str(job["id"])] = job
        return job

    def _start_tuning(self, request: Recorded) -> dict[str, Any]:
        given = request.json
        job = {
            "id": f"ftjob-{len(self.jobs) + 1}", "object": "fine_tuning.job", "model": given["model"], "created_at": CREATED,
            "training_file": given["training_file"], "status": "running", "fine_tuned_model": None, "error": None,
            "finished_at": None, "hyperparameters": {"n_epochs": 3}, "organization_id": "org-1", "result_files": [], "seed": 1,
            "trained_tokens": None, "validation_file": None,
        }  # fmt: skip
        self.jobs[str(job["id"])] = job
        return job

    def _job_call(self, request: Recorded, job_id: str, *action: str) -> tuple[int, Any]:
        job = self.jobs.get(job_id)
        if job is None:
            return 404, self.error(404, f"No such job: {job_id}", None)
        if action == ("cancel",):
            job["status"] = "cancelling" if job["object"] == "batch" else "cancelled"
        elif job["status"] in ("validating", "running"):
            self._looks[job_id] = self._looks.get(job_id, 0) + 1
            if self._looks[job_id] >= _DONE_AFTER:
                self._finish(job)
        return 200, job

    def _finish(self, job: dict[str, Any]) -> None:
        if job["object"] != "batch":
            job |= {"status": "succeeded", "fine_tuned_model": f"ft:{job['model']}:org::1", "finished_at": CREATED + 1}
            self.models.append(job["fine_tuned_model"])
            return
        lines = [msgspec.json.decode(line) for line in self.files[job["input_file_id"]][2].splitlines()]
        good = [line for line in lines if line["body"]["model"] in self.models]
        kept = self._keep("output.jsonl", "batch_output", b"\n".join(msgspec.json.encode(_answered(line)) for line in good))
        job |= {"status": "completed", "output_file_id": kept["id"]}
        if len(good) < len(lines):
            bad = [msgspec.json.encode(_unanswered(line)) for line in lines if line not in good]
            job["error_file_id"] = self._keep("errors.jsonl", "batch_output", b"\n".join(bad))["id"]
        job["request_counts"] = {"total": len(lines), "completed": len(good), "failed": len(lines) - len(good)}


def _answered(line: Mapping[str, Any]) -> dict[str, Any]:
    body = whole_body(answer_for(line["body"]), line["body"]["model"], 1)
    return {"id": "r1", "custom_id": line["custom_id"], "error": None, "response": {"status_code": 200, "body": body}}


def _unanswered(line: Mapping[str, Any]) -> dict[str, Any]:
    told = {"error": {"message": "The model does not exist", "code": "model_not_found", "type": None, "param": None}}
    return {"id": "r2", "custom_id": line["custom_id"], "error": None, "response": {"status_code": 404, "body": told}}


def _images(data: list[dict[str, Any]]) -> dict[str, Any]:
    details = {"image_tokens": 0, "text_tokens": 7}
    usage = {"input_tokens": 7, "output_tokens": 40, "total_tokens": 47, "input_tokens_details": details}
    return {"created": CREATED, "data": data, "usage": usage}


def _judged(text: str) -> dict[str, Any]:
    hits = {name: name in text.lower() for name in CATEGORIES}
    return {
        "flagged": any(hits.values()),
        "categories": hits,
        "category_scores": {name: 0.9 if hit else 0.01 for name, hit in hits.items()},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }


def _as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request as the chat request that the fake model answers."""
    return {
        "messages": _messages(body),
        "tools": [{"function": tool} for tool in body.get("tools") or [] if tool.get("type") == "function"],
        "max_tokens": body.get("max_output_tokens"),
        "reasoning_effort": (body.get("reasoning") or {}).get("effort"),
        "response_format": (body.get("text") or {}).get("format"),
    }


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    messages = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
    for item in given:
        if item.get("type") == "function_call_output":
            messages.append({"role": "tool", "content": item["output"]})
        elif "role" in item:
            messages.append({"role": item["role"], "content": item["content"]})
    return messages
