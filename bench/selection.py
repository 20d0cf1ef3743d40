"""Measures what choosing a backend costs, among 500 backends in 50 slots, by policy and by how well they are.

    python bench/selection.py            a few seconds; prints microseconds of CPU a selection
    python bench/selection.py --strict   status 1 where a steady case is over the bound

Real backends, with health and circuits. "alike" has all 500 for one model, "ten models" 50 each for ten models asked for in
turn. "a tenth rests" has open circuits; "measured" has a queue and a latency for everyone; "flapping": one of them goes down
or comes back every ten selections. "after a change" is the first selection once the panel has changed: it looks at everybody.
At the end, what reading a state costs: of one backend, and the whole status report of all 500.
"""

import argparse
import gc
import logging
import statistics
import sys
from collections.abc import Callable, Sequence
from time import perf_counter, process_time

from jackfield.core.profiles import CapabilityRequirement
from jackfield.routing.attempts import FailureKind
from jackfield.routing.backends import Backend, BackendType, Identity, Outcome
from jackfield.routing.balance import POLICIES
from jackfield.routing.breaker import Breaker, BreakerSettings
from jackfield.routing.health import HealthSettings
from jackfield.routing.manager import BackendManager
from jackfield.routing.pools import Pool
from jackfield.routing.stages import Wish
from jackfield.routing.wishes import Wishes

BACKENDS, SLOTS, MODELS = 500, 50, 10
BOUND_US = 20.0
ROUNDS, PER_ROUND = 9, 1000
KEY = "conversation"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def backends(models: int) -> list[Backend]:
    """Ten in each slot; the model's number turns from one to the next."""
    clock = Clock()
    made = []
    for number in range(BACKENDS):
        backend = Backend(
            Identity(id=f"slot-{number % SLOTS}:{number}", type=BackendType.API, name="B", provider=f"p{number % SLOTS}"),
            breaker=Breaker(BreakerSettings(), clock, lambda: 0.5),
            clock=clock,
            health=HealthSettings(),
            instance=object(),
            model=f"m{number // SLOTS % models}",
        )
        backend.slot = number % SLOTS
        made.append(backend)
    return made


def measure(backend: Backend, latency_s: float) -> None:
    backend.end(Outcome(latency_s=latency_s, completion_tokens=100), backend.begin())
    backend.begin()


def break_down(backend: Backend) -> None:
    while backend.is_routable:
        backend.end(Outcome(failure=FailureKind.CREDENTIAL), backend.begin())


def per_call_us(once: Callable[[], object], before: Callable[[], None] | None = None) -> list[float]:
    """Rounds of CPU time a call, best first."""
    for _ in range(100):
        once()
    found = []
    for _ in range(ROUNDS):
        if before is not None:
            before()
        began = process_time()
        for _ in range(PER_ROUND):
            once()
        found.append((process_time() - began) / PER_ROUND * 1e6)
    return sorted(found)


def one_by_one_us(once: Callable[[], object], before: Callable[[], None]) -> list[float]:
    """Each call by itself, with `before` outside of what is measured."""
    found = []
    for _ in range(60):
        before()
        began = perf_counter()
        once()
        found.append((perf_counter() - began) * 1e6)
    return sorted(found)


def steady() -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for policy in POLICIES:
        alike = backends(1)
        pool, wish = Pool(alike), Wish(model="m0", policy=policy)
        found[f"alike, {policy}"] = per_call_us(lambda pool=pool, wish=wish: pool.select(wish, KEY))  # type: ignore[misc]
        for number, backend in enumerate(alike):
            measure(backend, 0.1 + number / 1000)
        found[f"measured, {policy}"] = per_call_us(lambda pool=pool, wish=wish: pool.select(wish, KEY))  # type: ignore[misc]
        for backend in alike[::10]:
            break_down(backend)
        found[f"a tenth rests, {policy}"] = per_call_us(lambda pool=pool, wish=wish: pool.select(wish, KEY))  # type: ignore[misc]
    many = Pool(backends(MODELS))
    turns = iter(range(10**9))
    needs = CapabilityRequirement(tools=True)
    found["ten models, a new wish each"] = per_call_us(
        lambda: many.select(
            Wish(model=f"m{next(turns) % MODELS}", needs=needs, min_context=1000, wishes=Wishes(sort="cheapest"))
        )
    )
    return found


def flapping() -> list[float]:
    """One of 500 goes down or comes back, again and again."""
    members = backends(1)
    pool, wish, turns = Pool(members), Wish(model="m0"), iter(range(10**9))

    def once() -> None:
        turn = next(turns)
        if turn % 10 == 0:
            seen = members[turn // 20 % BACKENDS].seen
            seen.reachable = False if turn % 20 == 0 else None
        pool.select(wish)

    return per_call_us(once)


def after_a_change() -> list[float]:
    pool, wish = Pool(backends(1)), Wish(model="m0")
    return one_by_one_us(lambda: pool.select(wish), pool.touch)


def reading() -> dict[str, list[float]]:
    """The state as it is known; nobody is asked for it."""
    manager = BackendManager()
    for number in range(BACKENDS):
        manager.register_backend(f"b{number}", "api", "B", object(), model="m")
    one = manager.list_backends()[0]
    return {
        "status of one": per_call_us(lambda: one.status),
        "status report of all": one_by_one_us(manager.get_backend_status_report, lambda: measure(one, 0.1)),
    }


def tell(name: str, rounds: Sequence[float]) -> None:
    print(f"{name:42} {rounds[0]:8.2f} {statistics.median(rounds):8.2f} {rounds[-1]:8.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strict", action="store_true", help=f"status 1 where a median is over {BOUND_US:g} us")
    options = parser.parse_args()
    logging.disable()
    gc.disable()
    print(f"{BACKENDS} backends in {SLOTS} slots, us a selection    best   median    worst round")
    found = steady()
    for name, rounds in found.items():
        tell(name, rounds)
    tell("flapping (not steady)", flapping())
    tell("after a change (not steady)", after_a_change())
    for name, rounds in reading().items():
        tell(name, rounds)
    over = [name for name, rounds in found.items() if statistics.median(rounds) > BOUND_US]
    print(f"over {BOUND_US:g} us: {', '.join(over) or 'none'}")
    return int(options.strict and bool(over))


if __name__ == "__main__":
    sys.exit(main())
