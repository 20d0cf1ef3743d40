"""What subscribers are told while it happens: requests, the panel, the status of backends, the length of queues.

Watches nothing while nobody is subscribed; each topic has its own source of news, switched on with its first listener. News is
encoded once for all listeners, who never make anybody wait.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any

from jackfield.core.errors import BadRequest
from jackfield.core.parameters import did_you_mean
from jackfield.doors.websocket.messages import TOPICS, News, Topic, write
from jackfield.gateway.call import Call
from jackfield.gateway.pipeline import Pipeline
from jackfield.routing.backends import Backend, BackendStatus
from jackfield.routing.manager import BackendManager
from jackfield.slots.registry import ProviderRegistry

LOOK_EVERY_S = 1.0
"""How often queues are looked at although no request has come or gone."""
SETTLE_S = 0.1
"""Requests that come together are told of together."""
Listener = Callable[[bytes], None]
Mask = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Topics:
    """`mask` takes secrets out of what a source said of itself; `now` gives Unix seconds. One event loop only."""

    def __init__(
        self,
        pipeline: Pipeline,
        backends: BackendManager,
        registry: ProviderRegistry,
        mask: Mask,
        now: Callable[[], float],
    ) -> None:
        self._pipeline = pipeline
        self._backends = backends
        self._registry = registry
        self._mask = mask
        self._now = now
        self._listeners: dict[Topic, dict[Listener, None]] = {topic: {} for topic in TOPICS}
        self._tasks: dict[Topic, asyncio.Task[None]] = {}
        self._requests_moved = asyncio.Event()
        self._depths: dict[str, Any] = {}

    def subscribe(self, topic: Topic, listener: Listener) -> None:
        """From now on `listener` hears of it; of queues at once."""
        self._listeners[topic][listener] = None
        self._keep_up()
        if topic == "queue":
            self._depths = self._read_depths()
            listener(self._news("queue", "depth", self._depths))

    def unsubscribe(self, topic: Topic, listener: Listener) -> None:
        """Nothing more is told of it to `listener`."""
        self._listeners[topic].pop(listener, None)
        self._keep_up()

    def drop(self, listener: Listener) -> None:
        """Takes a listener out of every topic."""
        for listeners in self._listeners.values():
            listeners.pop(listener, None)
        self._keep_up()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is watched."""
        return not any(self._listeners.values())

    # Sources of news

    def began(self, call: Call) -> None:
        self._requests_moved.set()
        self._tell("inference", "started", {"request_id": call.request_id, "model": call.model_text, "stream": call.stream})

    def ended(self, call: Call) -> None:
        self._requests_moved.set()
        if self._listeners["inference"]:
            self._tell("inference", "ended", _outcome(call))

    def _keep_up(self) -> None:
        """Switches on what somebody listens to, and off what nobody does."""
        wanted = self._listeners
        if wanted["inference"] or wanted["queue"]:
            self._pipeline.watcher = self
        elif self._pipeline.watcher is self:
            self._pipeline.watcher = None
        told = self._backends.listeners
        if (wanted["backend"] or wanted["status"]) and self._status_changed not in told:
            told.append(self._status_changed)
        elif not (wanted["backend"] or wanted["status"]) and self._status_changed in told:
            told.remove(self._status_changed)
        self._run_while(bool(wanted["status"]), "status", self._follow_panel)
        self._run_while(bool(wanted["queue"]), "queue", self._follow_queues)

    def _run_while(self, is_wanted: bool, topic: Topic, work: Callable[[], Any]) -> None:
        if is_wanted and topic not in self._tasks:
            self._tasks[topic] = asyncio.get_running_loop().create_task(work(), name=f"tell of {topic}")
        elif not is_wanted and topic in self._tasks:
            self._tasks.pop(topic).cancel()

    def _status_changed(self, backend: Backend, before: BackendStatus, after: BackendStatus) -> None:
        told = {
            "id": backend.id,
            "name": backend.name,
            "provider": backend.provider,
            "model": backend.model,
            "slot": backend.slot,
            "status": str(after),
            "before": str(before),
            "reason": backend.reason,
        }
        self._tell("backend", "status_changed", self._mask(told))
        if self._listeners["status"]:
            report = self._backends.get_backend_status_report()
            self._tell("status", "backends_changed", {"backends_by_status": report["backends_by_status"]})

    async def _follow_panel(self) -> None:
        async with self._registry.subscribe() as events:
            async for event in events:
                told = {"kind": event.kind, "slots": event.slots, "actor": event.actor, "detail": event.detail}
                self._tell("status", "panel_changed", self._mask(told))

    async def _follow_queues(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._requests_moved.wait()
            await asyncio.sleep(SETTLE_S)
            self._requests_moved.clear()
            depths = self._read_depths()
            if depths != self._depths:
                self._depths = depths
                self._tell("queue", "depth", depths)

    def _read_depths(self) -> dict[str, Any]:
        """Requests that run at the backends and that wait for them, and both together for each that has some."""
        held = [(backend.id, backend.metrics) for backend in self._backends.list_backends() if backend.metrics.queue]
        return {
            "depth": sum(metrics.queue for _, metrics in held),
            "active": sum(metrics.active for _, metrics in held),
            "waiting": sum(metrics.waiting for _, metrics in held),
            "backends": {name: metrics.queue for name, metrics in held},
        }

    def _tell(self, topic: Topic, event: str, data: Mapping[str, Any]) -> None:
        listeners = self._listeners[topic]
        if listeners:
            news = self._news(topic, event, data)
            for listener in tuple(listeners):
                listener(news)

    def _news(self, topic: Topic, event: str, data: Mapping[str, Any]) -> bytes:
        return write(News(topic, event, data, self._now()))


def topic_named(name: str) -> Topic:
    """Raises BadRequest for a topic that there is not."""
    for topic in TOPICS:
        if topic == name:
            return topic
    shown = name[:64]
    raise BadRequest(
        f"there is no topic {shown!r}{did_you_mean(shown, TOPICS)}: topics are {', '.join(TOPICS)}", param="topics"
    )


def _outcome(call: Call) -> dict[str, Any]:
    usage, cost = call.usage, call.cost
    return {
        "request_id": call.request_id,
        "model": call.model_text,
        "slot": call.slot_number,
        "provider": None if call.binding is None else call.binding.info.id,
        "outcome": call.outcome,
        "status": call.status,
        "latency_ms": round((perf_counter() - call.received_at) * 1000, 3),
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
        "cost_msat": None if cost is None else cost.msat,
    }
