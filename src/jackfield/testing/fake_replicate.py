"""A fake of Replicate's predictions API on loopback, written after its HTTP reference, with any misbehaviour asked of it.

A prediction runs until its stream was read, it was looked at `looks_needed` times, or it was cancelled.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from jackfield.testing.answers import Answer, altered, answer_for
from jackfield.testing.fake_server import Behaviour, FakeServer, Recorded, Wire


class FakeReplicate(FakeServer):
    """`looks_needed` looks pass before a prediction is over; `fails` makes every prediction end so. `cancelled` holds ids."""

    def __init__(self, models: Sequence[str] = ("acme/fake-model",), **rest: Any) -> None:
        super().__init__(**rest)
        self.models = list(models)
        self.looks_needed = 0
        self.fails: str | None = None
        self.streams = True
        self.cancelled: list[str] = []
        self.predictions: dict[str, dict[str, Any]] = {}
        self._answers: dict[str, Answer] = {}
        self._looks: dict[str, int] = {}

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        return {"detail": message, "status": status, "title": code or "Error"}

    def stream_error(self, message: str, code: str | None) -> bytes:
        return b"event: error\ndata: " + msgspec.json.encode({"detail": message}) + b"\n\n"

    def is_look(self, request: Recorded) -> bool:
        return request.method == "GET" and not request.path.startswith("/stream/")

    def ends_stream(self, data: bytes) -> bool:
        return data.endswith(b"event: done\ndata: {}\n\n")

    async def serve(self, request: Recorded, behaviour: Behaviour, wire: Wire) -> bool:
        path = request.path.removeprefix("/v1/")
        if request.method == "GET" and path == "collections/language-models":
            models = [dict(zip(("owner", "name"), name.split("/"), strict=True)) for name in self.models]
            return await wire.json(200, {"name": "Language models", "slug": "language-models", "models": models})
        if request.path.startswith("/stream/"):
            return await self._told(request.path.removeprefix("/stream/").partition("?")[0], behaviour, wire)
        if found := re.fullmatch(r"predictions/([^/]+)(/cancel)?", path):
            return await self._known(request, found[1], bool(found[2]), wire)
        if request.method == "POST" and (path == "predictions" or re.fullmatch(r"models/[^/]+/[^/]+/predictions", path)):
            return await self._made(request, path, behaviour, wire)
        return await wire.json(404, self.error(404, "The requested resource could not be found.", None))

    async def _made(self, request: Recorded, path: str, behaviour: Behaviour, wire: Wire) -> bool:
        body = request.json
        model = path.removeprefix("models/").removesuffix("/predictions")
        if path != "predictions" and model not in self.models:
            return await wire.json(404, self.error(404, "The requested resource could not be found.", None))
        self.completions += 1
        given = body["input"]
        last = given["prompt"].removesuffix("\n\nAssistant:").rpartition("User: ")[2]
        answer = answer_for({"messages": [{"role": "user", "content": last}], "max_tokens": given.get("max_tokens")})
        prediction_id = f"p{self.completions}"
        self._answers[prediction_id] = altered(answer, is_empty=behaviour.is_empty, finish_reason=None)
        urls = {
            name: f"{self.base_url}/predictions/{prediction_id}{tail}" for name, tail in (("get", ""), ("cancel", "/cancel"))
        }
        if body.get("stream") and self.streams and not behaviour.ignores_stream:
            urls["stream"] = f"{self.root_url}/stream/{prediction_id}?token=t"
        made = {
            "id": prediction_id,
            "model": model,
            "input": given,
            "status": "starting",
            "output": None,
            "error": None,
            "urls": urls,
        }
        self.predictions[prediction_id] = made
        if "stream" not in urls and not self.looks_needed:
            self._end(prediction_id)
            return await self.whole(made, behaviour, wire)
        return await wire.json(201, made)

    async def _known(self, request: Recorded, prediction_id: str, cancels: bool, wire: Wire) -> bool:
        prediction = self.predictions.get(prediction_id)
        if prediction is None:
            return await wire.json(404, self.error(404, "No such prediction", None))
        if cancels:
            self.cancelled.append(prediction_id)
            self.disconnected.set()
            prediction["status"] = "canceled"
        elif "stream" not in prediction["urls"]:
            self._looks[prediction_id] = self._looks.get(prediction_id, 0) + 1
            if self._looks[prediction_id] >= self.looks_needed and prediction["status"] == "starting":
                self._end(prediction_id)
        return await wire.json(200, prediction)

    def _end(self, prediction_id: str) -> None:
        answer, prediction = self._answers[prediction_id], self.predictions[prediction_id]
        if self.fails is not None:
            prediction |= {"status": "failed", "error": self.fails}
            return
        used = {"input_token_count": answer.prompt_tokens, "output_token_count": len(answer.pieces), "predict_time": 0.5}
        prediction |= {"status": "succeeded", "output": answer.pieces, "metrics": used}

    async def _told(self, prediction_id: str, behaviour: Behaviour, wire: Wire) -> bool:
        events = [_output(piece) for piece in self._answers[prediction_id].pieces]
        self.predictions[prediction_id]["status"] = "processing"
        went_well = await self.stream([*events, b"event: done\ndata: {}\n\n"], behaviour, wire)
        if behaviour.cut_after is None and behaviour.hang is None:
            self._end(prediction_id)
        return went_well


def _output(piece: str) -> bytes:
    lines = b"".join(b"data: " + line + b"\n" for line in piece.encode().split(b"\n"))
    return b"event: output\n" + lines + b"\n"
