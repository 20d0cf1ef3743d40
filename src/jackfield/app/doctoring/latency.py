"""Why answers are slow: which of strategy, queue, batching, number of backends, or a source itself holds them up.

Pure: judges figures that were counted elsewhere, and knows nobody who counts. Rules stand from what is cheap to change to what
is not; the first finding is the bottleneck.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean
from typing import Literal

import msgspec

Cause = Literal["strategy", "queue size", "batching", "number of backends", "the source itself"]
BUSY = 3.0
"""Requests at once at one backend from which it counts as busy, and the difference between two that is uneven."""
TIMES_SLOWER = 2.0
SHARE_KEPT = 0.5
"""Part of an even share of requests from which a slow backend still counts as getting its turn."""
WAITS_BEFORE_WORDS = 0.5
"""Part of an answer's time before its first words from which requests stand in line within the source."""
SLOW_FIRST_TOKEN_MS = 2_000.0
SLOW_ANSWER_MS = 10_000.0
FOLLOW_SPEED = ("best_performance", "fastest", "throughput", "least_loaded")
"""Policies that give a slow backend less."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One backend's figures. `pool`: those of one pool can answer for each other. Times in milliseconds, None unmeasured.

    `active` requests run there, `waiting` are held back for it by a limit: means over the looks. `batch_max` requests go to it
    together; `is_local`: it computes on this machine.
    """

    id: str
    pool: str
    provider: str = ""
    is_routable: bool = True
    is_local: bool = False
    requests: int = 0
    active: float = 0.0
    waiting: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None
    first_token_ms: float | None = None
    batch_max: int = 1

    @property
    def load(self) -> float:
        return self.active + self.waiting


class Bottleneck(msgspec.Struct, frozen=True):
    """`where` is a backend or a pool, `evidence` the figures that show it, `fix` what to do."""

    cause: Cause
    where: str
    evidence: str
    fix: str


class Scene(msgspec.Struct, frozen=True):
    """The gateway's policy, whether it hedges, and the members of one pool."""

    policy: str
    is_hedging: bool
    pool: str
    members: tuple[Source, ...]

    @property
    def routable(self) -> list[Source]:
        return [source for source in self.members if source.is_routable]


def bottlenecks(sources: Iterable[Source], *, policy: str, is_hedging: bool = False) -> list[Bottleneck]:
    """Everything that holds answers up, the bottleneck first; empty where nothing does, or nothing was measured."""
    scenes = _scenes(sources, policy, is_hedging)
    return [found for rule in RULES for scene in scenes for found in rule(scene)]


def _scenes(sources: Iterable[Source], policy: str, is_hedging: bool) -> list[Scene]:
    """The pools, the most loaded first."""
    pools: dict[str, list[Source]] = {}
    for source in sources:
        pools.setdefault(source.pool, []).append(source)
    scenes = [Scene(policy, is_hedging, pool, tuple(members)) for pool, members in pools.items()]
    return sorted(scenes, key=lambda scene: -sum(source.load for source in scene.members))


def _uneven_load(scene: Scene) -> Iterator[Bottleneck]:
    """Some wait while others idle."""
    members = scene.routable
    if len(members) < 2:
        return
    fullest, idlest = max(members, key=_load), min(members, key=_load)
    if idlest.load >= 1.0 or fullest.load - idlest.load < BUSY:
        return
    evidence = f"{fullest.id} has {fullest.load:g} requests while {idlest.id} has {idlest.load:g}"
    fix = "set routing.policy: least_loaded"
    if scene.policy == "least_loaded":
        fix = f"let clients ask for {scene.pool!r}: a slot's name, or order and only, hold requests to one source"
    yield Bottleneck("strategy", scene.pool, f"{evidence}, by {scene.policy}", fix)


def _slow_ones_get_their_share(scene: Scene) -> Iterator[Bottleneck]:
    """One is much slower than another and is asked as often."""
    measured = [source for source in scene.routable if source.p50_ms is not None]
    if len(measured) < 2 or scene.policy in FOLLOW_SPEED:
        return
    slowest, fastest = max(measured, key=_median), min(measured, key=_median)
    is_slower = _median(slowest) >= TIMES_SLOWER * _median(fastest)
    if not is_slower or slowest.requests < SHARE_KEPT * fmean(source.requests for source in measured):
        return
    evidence = f"{slowest.id} takes {_seconds(_median(slowest))} and {fastest.id} {_seconds(_median(fastest))}"
    evidence += f", and {scene.policy} gave them {slowest.requests} and {fastest.requests} requests"
    yield Bottleneck("strategy", scene.pool, evidence, "set routing.policy: best_performance, or give the slow one less weight")


def _held_back(scene: Scene) -> Iterator[Bottleneck]:
    """A limit lets requests wait in the gateway."""
    for source in sorted(scene.routable, key=lambda each: -each.waiting):
        if source.waiting < 1.0:
            return
        evidence = f"{source.waiting:g} requests wait in the gateway while {source.active:g} run at {source.id}"
        if _is_strained(source):
            fix = "it cannot take more: lower limits.queue_size, so that clients hear it at once, or add a backend"
        else:
            fix = f"it could take more: raise limits.providers.{source.provider or 'ID'} or limits.models"
        yield Bottleneck("queue size", source.id, evidence, fix)


def _one_at_a_time(scene: Scene) -> Iterator[Bottleneck]:
    """An engine here gets several requests at once and lets them stand in line within itself."""
    for source in scene.routable:
        if not source.is_local or source.active < 2.0 or source.batch_max > 1:
            continue
        if source.first_token_ms is None or not source.p50_ms or source.first_token_ms < WAITS_BEFORE_WORDS * source.p50_ms:
            continue
        share = min(source.first_token_ms / source.p50_ms, 1.0)
        evidence = (
            f"{source.active:g} requests run at {source.id}, and {share:.0%} of an answer's time is before its first words"
        )
        fix = "let the engine answer several at once (parallel slots, such as --parallel N or OLLAMA_NUM_PARALLEL), "
        yield Bottleneck("batching", source.id, evidence, f"{fix}or set max_batch_size where the provider has it")


def _all_are_busy(scene: Scene) -> Iterator[Bottleneck]:
    members = scene.routable
    if not members or min(source.load for source in members) < BUSY:
        return
    down = len(scene.members) - len(members)
    evidence = f"{len(members)} can be asked, and none has fewer than {min(map(_load, members)):g} requests"
    if down:
        evidence += f"; {down} more cannot be asked"
    mend = "mend those that are down (jackfield doctor backends), or " if down else ""
    yield Bottleneck("number of backends", scene.pool, evidence, f"{mend}plug another with this model: jackfield slots plug")


def _slow_alone(scene: Scene) -> Iterator[Bottleneck]:
    """Nothing waits, and it is slow all the same."""
    for source in scene.routable:
        if source.load >= BUSY:
            continue
        if source.first_token_ms is not None and source.first_token_ms >= SLOW_FIRST_TOKEN_MS:
            evidence = f"first words after {_seconds(source.first_token_ms)}"
        elif source.p50_ms is not None and source.p50_ms >= SLOW_ANSWER_MS:
            evidence = f"an answer takes {_seconds(source.p50_ms)}"
        else:
            continue
        yield Bottleneck("the source itself", source.id, f"{evidence}, and nothing waits there", _quicken(scene, source))


def _quicken(scene: Scene, source: Source) -> str:
    if len(scene.routable) > 1 and _is_strained(source) and not scene.is_hedging:
        return "it is slow now and then: set hedge.enabled: true"
    if source.is_local:
        return "a smaller model or quantisation, a shorter prompt, or more layers on the GPU"
    return "a nearer or faster provider, a smaller model, or a shorter prompt"


RULES: Sequence[Callable[[Scene], Iterator[Bottleneck]]] = (
    _uneven_load,
    _slow_ones_get_their_share,
    _held_back,
    _one_at_a_time,
    _all_are_busy,
    _slow_alone,
)


def _is_strained(source: Source) -> bool:
    """Its slow answers take much longer than its usual ones."""
    return source.p50_ms is not None and source.p95_ms is not None and source.p95_ms >= TIMES_SLOWER * source.p50_ms


def _load(source: Source) -> float:
    return source.load


def _median(source: Source) -> float:
    return source.p50_ms or 0.0


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"
