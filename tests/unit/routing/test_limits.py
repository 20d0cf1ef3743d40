"""Admission under limits: nothing over them, turns for every key, nobody forgotten. Time is the loop's own, and virtual."""

import asyncio
import gc
import selectors
from collections import defaultdict
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackfield.core.errors import JackfieldError, Overloaded, RateLimited
from jackfield.routing.gauges import Limit
from jackfield.routing.limits import FREE, Limits, LimitSettings, Ticket

Result = TypeVar("Result")


class Skipping(selectors.DefaultSelector):
    """Never waits: the time that it should have waited has passed at once. Waiting for nothing is a failure."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits, and nothing will ever wake them"
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.skipping = Skipping()
        super().__init__(self.skipping)

    def time(self) -> float:
        return self.skipping.now


def play(scene: Callable[[Callable[..., Limits]], Awaitable[Result]], *, collects: bool = False) -> Result:
    """Runs `scene` on a virtual loop; it is given what makes Limits."""
    loop = VirtualLoop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))

    async def run() -> Result:
        made: list[Limits] = []

        def make(**limits: Any) -> Limits:
            made.append(Limits(LimitSettings(**limits), clock=loop.time))
            return made[-1]

        result = await scene(make)
        assert [limits.waiting for limits in made] == [0] * len(made)
        assert not [handle for handle in loop._scheduled if not handle.cancelled()], "a timer was left"  # type: ignore[attr-defined]
        return result

    try:
        result = loop.run_until_complete(run())
    finally:
        loop.close()
    if collects:
        gc.collect()  # complaints about results that nobody read come with it
    assert not problems
    return result


def now() -> float:
    return asyncio.get_running_loop().time()


async def hold(limits: Limits, key: str, hold_s: float, tokens: int = 0, **more: Any) -> float:
    """Enters, stays, leaves; the time at which it was let in."""
    ticket = await limits.enter(key, "groq", "m", tokens, **more)
    began = now()
    try:
        await asyncio.sleep(hold_s)
    finally:
        ticket.release()
    return began


def test_without_limits_everything_enters_and_nothing_is_counted() -> None:
    limits = Limits()
    assert limits.try_enter("k", "p", "m", 10**9) is FREE
    FREE.release(5)
    limits = Limits(LimitSettings(providers={"groq": Limit(concurrency=1)}))
    assert limits.try_enter("k", "another", "m") is FREE


@pytest.mark.behaviour("MGR-32")
def test_requests_a_minute() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(requests_per_minute=2)}, queue_timeout_s=30)
        for _ in range(2):
            ticket = limits.try_enter("k", "groq", "m")
            assert isinstance(ticket, Ticket)
            ticket.release()
        assert limits.try_enter("k", "groq", "m") == pytest.approx(60, abs=1.01)
        with pytest.raises(RateLimited, match="the provider groq may use 2 requests a minute") as caught:
            await limits.enter("k", "groq", "m")
        assert caught.value.status == 429
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.retry_after_s is not None
        assert 60 <= caught.value.retry_after_s <= 62
        await asyncio.sleep(35)
        began = now()
        (await limits.enter("k", "groq", "m")).release()
        assert 25 <= now() - began <= 27, "a wait that the queue's time allows is waited for"

    play(scene)


@pytest.mark.behaviour("PROV-34")
@pytest.mark.parametrize("provider", ["bedrock", "vertex", "azure-openai"])
def test_the_eleventh_request_of_a_minute_waits(provider: str) -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={provider: Limit(requests_per_minute=10)}, queue_timeout_s=90)
        first = now()
        for _ in range(10):
            (await limits.enter("k", provider, "m")).release()
        assert now() == first
        (await limits.enter("k", provider, "m")).release()
        assert 59 <= now() - first <= 62

    play(scene)


@pytest.mark.behaviour("MGR-32")
def test_tokens_a_minute_are_reserved_and_settled() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(models={"m": Limit(tokens_per_minute=100)})
        ticket = limits.try_enter("k", "groq", "m", 80)
        assert isinstance(ticket, Ticket)
        assert isinstance(limits.try_enter("k", "groq", "m", 30), float)
        ticket.release(tokens=10)
        ticket.release(tokens=0)  # a second release does nothing
        ticket = limits.try_enter("k", "groq", "m", 90)
        assert isinstance(ticket, Ticket)
        ticket.release(tokens=150)  # more than was thought: the next ones wait
        assert isinstance(limits.try_enter("k", "groq", "m", 1), float)
        await asyncio.sleep(61)
        assert isinstance(limits.try_enter("k", "groq", "m", 100), Ticket)

    play(scene)


def test_a_request_larger_than_its_limit_is_told_so_and_not_kept_waiting() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(every_key=Limit(tokens_per_minute=100))
        assert limits.try_enter("secret-name", "groq", "m", 101) == inf
        with pytest.raises(RateLimited, match="counts for 101 tokens, and your key may use 100 a minute") as caught:
            await limits.enter("secret-name", "groq", "m", 101)
        assert caught.value.retry_after_s is None
        assert "secret-name" not in str(caught.value)

    play(scene)


@pytest.mark.behaviour("MGR-32")
def test_a_full_queue_turns_away_and_a_wait_ends_when_it_should() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(concurrency=1)}, queue_size=1, queue_timeout_s=2)
        first = await limits.enter("k", "groq", "m")
        began = now()
        second = asyncio.create_task(limits.enter("k", "groq", "m"))
        await asyncio.sleep(0)
        with pytest.raises(
            Overloaded, match="the provider groq takes 1 requests at once, and the queue of 1 is full"
        ) as caught:
            await limits.enter("k", "groq", "m")
        assert (caught.value.status, caught.value.code) == (429, "queue_full")
        assert caught.value.retry_after_s is not None
        assert caught.value.retry_after_s >= 1
        with pytest.raises(Overloaded, match="no place came free in time") as late:
            await second
        assert (late.value.status, late.value.code) == (503, "queue_timeout")
        assert now() - began == pytest.approx(2)
        began = now()
        with pytest.raises(Overloaded):
            await limits.enter("k", "groq", "m", deadline_s=0.5)
        assert now() - began == pytest.approx(0.5)
        first.release()
        (await limits.enter("k", "groq", "m")).release()

    play(scene)


def test_a_queue_of_no_size_turns_away_at_once() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(gateway=Limit(concurrency=1), queue_size=0)
        ticket = await limits.enter("k", "groq", "m")
        with pytest.raises(Overloaded, match="this gateway takes 1 requests at once"):
            await limits.enter("k", "groq", "m")
        assert "all are taken" in str(limits.refusal("k", "groq", "m"))
        ticket.release()

    play(scene)


@pytest.mark.behaviour("LIM-02")
def test_a_flood_of_one_key_leaves_every_second_place_to_another() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(concurrency=1)}, queue_timeout_s=1000)
        async with asyncio.TaskGroup() as group:
            flood = [group.create_task(hold(limits, "flood", 1)) for _ in range(40)]
            await asyncio.sleep(0.5)
            calm = [group.create_task(hold(limits, "calm", 1)) for _ in range(5)]
        begun = max(task.result() for task in calm) - min(task.result() for task in flood)
        assert begun <= 11
        assert [task.result() for task in flood] == sorted(task.result() for task in flood), "first come, first served"

    play(scene)


def test_a_keys_models_take_turns_too() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(gateway=Limit(concurrency=1), queue_timeout_s=1000)
        served: list[str] = []

        async def one(model: str) -> None:
            ticket = await limits.enter("k", "groq", model)
            served.append(model)
            await asyncio.sleep(1)
            ticket.release()

        await asyncio.gather(*map(one, "mmmmnn"))
        assert "".join(served) == "mmnmnm"

    play(scene)


@pytest.mark.behaviour("LIM-02")
def test_who_fills_the_queue_gives_his_last_place_to_a_key_with_fewer() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(concurrency=1)}, queue_size=4, queue_timeout_s=1000)
        first = await limits.enter("flood", "groq", "m")
        flood = [asyncio.create_task(hold(limits, "flood", 1)) for _ in range(4)]
        await asyncio.sleep(0)
        calm = [asyncio.create_task(hold(limits, "calm", 1)) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert limits.waiting == 4
        assert [task.done() for task in flood] == [False, False, True, True]
        assert [task.done() for task in calm] == [False, False, True], "an even share, and no more"
        first.release()
        ends = await asyncio.gather(*flood, *calm, return_exceptions=True)
        assert [getattr(end, "code", "in") for end in ends] == ["in", "in", *["queue_full"] * 2, "in", "in", "queue_full"]

    play(scene)


@pytest.mark.behaviour("LIM-02")
def test_a_large_request_is_not_starved_by_small_ones() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(tokens_per_minute=100)}, queue_timeout_s=200, queue_size=1000)
        small = []
        for _ in range(10):
            small.append(asyncio.create_task(hold(limits, "small", 0.1, 10)))
            await asyncio.sleep(1)
        large = asyncio.create_task(hold(limits, "large", 0.1, 95))
        asked = now()
        for _ in range(100):
            small.append(asyncio.create_task(hold(limits, "small", 0.1, 10)))
            await asyncio.sleep(1)
        assert large.done()
        assert large.result() - asked <= 62
        await asyncio.gather(*small, return_exceptions=True)

    play(scene)


def test_who_is_held_up_by_his_own_key_holds_up_nobody_else() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(keys={"slow": Limit(concurrency=1)}, providers={"groq": Limit(concurrency=2)}, queue_timeout_s=100)
        ticket = await limits.enter("slow", "groq", "m")
        waiting = asyncio.create_task(hold(limits, "slow", 1))
        await asyncio.sleep(0)
        quick = limits.try_enter("quick", "groq", "m")
        assert isinstance(quick, Ticket)
        quick.release()
        ticket.release()
        await waiting

    play(scene)


def test_who_is_held_up_by_his_own_key_keeps_no_shared_tokens_from_others() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        tokens = Limit(tokens_per_minute=60)
        limits = make(keys={"slow": tokens}, providers={"groq": Limit(tokens_per_minute=70)}, queue_timeout_s=100)
        assert isinstance(limits.try_enter("slow", "groq", "m", 60), Ticket)
        waiting = asyncio.create_task(hold(limits, "slow", 1, 50))
        await asyncio.sleep(0)
        assert isinstance(limits.try_enter("quick", "groq", "m", 5), Ticket)
        await waiting

    play(scene)


@pytest.mark.behaviour("LIM-03")
@pytest.mark.parametrize("is_cancelled", [True, False])
def test_when_the_one_in_front_leaves_the_next_ones_enter_at_once(is_cancelled: bool) -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(tokens_per_minute=100)}, queue_timeout_s=100)
        first = await limits.enter("a", "groq", "m", 60)
        began = now()
        large = asyncio.create_task(limits.enter("a", "groq", "m", 90, deadline_s=65))
        await asyncio.sleep(30)
        first.release(tokens=120)  # more than was thought, so that the large one waits in vain
        await asyncio.sleep(32)
        small = asyncio.create_task(hold(limits, "b", 0, 40))
        await asyncio.sleep(1)
        assert not small.done(), "what it could have is spoken for"
        if is_cancelled:
            large.cancel()
        assert await small - began == pytest.approx(63 if is_cancelled else 65, abs=0.01)
        await asyncio.gather(large, return_exceptions=True)

    play(scene)


def test_who_is_cancelled_as_he_is_turned_away_leaves_no_complaint_behind() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(concurrency=1)}, queue_size=2, queue_timeout_s=100)
        first = await limits.enter("a", "groq", "m")
        flood = [asyncio.create_task(hold(limits, "flood", 0)) for _ in range(2)]
        await asyncio.sleep(0)
        calm = asyncio.create_task(hold(limits, "calm", 0))
        asyncio.get_running_loop().call_soon(flood[1].cancel)
        first.release()
        await asyncio.gather(*flood, calm, return_exceptions=True)
        assert flood[1].cancelled()

    play(scene, collects=True)


def test_who_comes_new_does_not_overtake_who_waits() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(tokens_per_minute=100)}, queue_timeout_s=100)
        limits.try_enter("a", "groq", "m", 60)
        waiting = asyncio.create_task(hold(limits, "a", 0, 50))
        await asyncio.sleep(0)
        wait_s = limits.try_enter("b", "groq", "m", 10)  # would fit, and would hold up the one in front
        assert isinstance(wait_s, float)
        assert wait_s > 0
        await waiting

    play(scene)


@pytest.mark.behaviour("LIM-03")
def test_who_is_cancelled_frees_what_he_held_wherever_he_was() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(concurrency=1)}, queue_timeout_s=100)
        first = await limits.enter("a", "groq", "m")
        waiting = [asyncio.create_task(limits.enter("b", "groq", "m")) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert limits.waiting == 2
        first.release()
        waiting[1].cancel()  # let in already, and cancelled before it could know
        (await waiting[2]).release()
        first = await limits.enter("a", "groq", "m")
        late = asyncio.create_task(limits.enter("b", "groq", "m"))
        await asyncio.sleep(0)
        late.cancel()
        first.release()  # his turn, and he is on his way out
        (await limits.enter("c", "groq", "m", deadline_s=1)).release()
        await asyncio.gather(*waiting, late, return_exceptions=True)

    play(scene)


def test_other_limits_hold_at_once_for_those_who_wait_too() -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(concurrency=1)}, queue_timeout_s=100)
        first = await limits.enter("a", "groq", "m")
        waiting = [asyncio.create_task(limits.enter("b", "groq", "m")) for _ in range(3)]
        await asyncio.sleep(0)
        limits.configure(LimitSettings(providers={"groq": Limit(concurrency=3)}))
        await asyncio.sleep(0)
        assert limits.waiting == 1, "the one that is in counts under the new limit"
        limits.configure(LimitSettings())
        first.release()
        for task in waiting:
            (await task).release()
        assert limits.try_enter("a", "groq", "m") is FREE

    play(scene)


REQUESTS = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from("abc"),
            "provider": st.sampled_from(["groq", "local", "free"]),
            "model": st.sampled_from("mn"),
            "tokens": st.integers(0, 60),
            "used": st.floats(0, 1),
            "after_s": st.sampled_from([0.0, 0.0, 0.1, 1.0, 7.3, 29.7, 59.6]),
            "hold_s": st.sampled_from([0.0, 0.5, 3.0, 20.0]),
            "deadline_s": st.sampled_from([0.0, 1.0, 30.0, 90.0]),
            "cancel_s": st.none() | st.sampled_from([0.0, 0.5, 3.0, 10.0]),
            "waits": st.booleans(),
        }
    ),
    min_size=4,
    max_size=30,
)
LIMITS = st.builds(Limit, st.none() | st.integers(1, 8), st.none() | st.integers(1, 120), st.none() | st.integers(1, 3))
SETTINGS = st.fixed_dictionaries(
    {
        "gateway": st.none() | LIMITS,
        "every_key": st.none() | LIMITS,
        "providers": st.fixed_dictionaries({"groq": LIMITS, "local": LIMITS}),
        "models": st.just({}) | st.fixed_dictionaries({"m": LIMITS}),
        "queue_size": st.sampled_from([0, 1, 5, 100]),
        "queue_timeout_s": st.sampled_from([5.0, 100.0]),
    }
)
Scope = tuple[str, str]


class Entry:
    """One that was let in; `tokens` as far as is known."""

    def __init__(self, at: float, tokens: int) -> None:
        self.at = at
        self.tokens = tokens


class Observer:
    """What is in flight and what was admitted, counted by the limits' meaning and not by their arithmetic."""

    def __init__(self, limits: dict[str, Any]) -> None:
        self.limits: dict[Scope, Limit] = {("gateway", ""): limits["gateway"]} if limits["gateway"] else {}
        self.every_key: Limit | None = limits["every_key"]
        self.limits |= {("provider", name): limit for name, limit in limits["providers"].items()}
        self.limits |= {("model", name): limit for name, limit in limits["models"].items()}
        self.running: dict[Scope, int] = defaultdict(int)
        self.admitted: dict[Scope, list[Entry]] = defaultdict(list)

    def scopes(self, request: dict[str, Any]) -> list[tuple[Scope, Limit]]:
        found = [("gateway", ""), ("provider", request["provider"]), ("model", request["model"])]
        scopes = [(scope, self.limits[scope]) for scope in found if scope in self.limits]
        return scopes if self.every_key is None else [*scopes, (("key", request["key"]), self.every_key)]

    def enters(self, request: dict[str, Any]) -> Entry:
        entry = Entry(now(), request["tokens"])
        for scope, limit in self.scopes(request):
            self.running[scope] += 1
            self.admitted[scope].append(entry)
            assert limit.concurrency is None or self.running[scope] <= limit.concurrency
            minute = [entry.tokens for entry in self.admitted[scope] if entry.at > now() - 60]
            assert limit.requests_per_minute is None or len(minute) <= limit.requests_per_minute
            assert limit.tokens_per_minute is None or sum(minute) <= limit.tokens_per_minute
        return entry

    def leaves(self, request: dict[str, Any]) -> None:
        for scope, _ in self.scopes(request):
            self.running[scope] -= 1


@pytest.mark.behaviour("LIM-01", "LIM-03")
@settings(max_examples=200, deadline=None)
@given(SETTINGS, REQUESTS, st.booleans())
def test_whatever_comes_no_limit_is_passed_and_nobody_forgotten(
    limited: dict[str, Any], requests: list[dict[str, Any]], settles: bool
) -> None:
    told: list[JackfieldError] = []

    async def one(limits: Limits, seen: Observer, request: dict[str, Any]) -> None:
        began = now()
        names = (request["key"], request["provider"], request["model"], request["tokens"])
        ticket: Ticket | float
        try:
            if request["waits"]:
                ticket = await limits.enter(*names, deadline_s=request["deadline_s"])
            else:
                ticket = limits.try_enter(*names)
        except JackfieldError as error:
            told.append(error)
            return
        finally:
            assert now() - began <= min(request["deadline_s"], limited["queue_timeout_s"]) + 0.01
        if isinstance(ticket, float):
            assert ticket > 0
            return
        entry = seen.enters(request)
        try:
            await asyncio.sleep(request["hold_s"])
        finally:
            if settles:
                entry.tokens = int(request["used"] * request["tokens"])
            ticket.release(entry.tokens if settles else None)
            seen.leaves(request)

    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(**limited)
        seen = Observer(limited)
        tasks = []
        for request in requests:
            await asyncio.sleep(request["after_s"])
            tasks.append(asyncio.create_task(one(limits, seen, request)))
            if request["cancel_s"] is not None:
                asyncio.get_running_loop().call_later(request["cancel_s"], tasks[-1].cancel)
        while any(not task.done() for task in tasks):
            await asyncio.sleep(0.737)
            waiting = limits.waiting
            limits.pump()
            assert limits.waiting == waiting, "somebody could have been let in and was not"
            await asyncio.sleep(0)
        for task in tasks:
            assert task.cancelled() or task.exception() is None
        assert all(error.status in (429, 503) for error in told)
        assert all(error.retry_after_s is None or error.retry_after_s >= 1 for error in told)
        assert not any(seen.running.values())
        for provider, limit in limited["providers"].items():
            await asyncio.sleep(62)
            alone = limits.try_enter("fresh", provider, "none", 0)
            assert isinstance(alone, Ticket), f"{provider} is not free again: {limit}"
            alone.release()

    play(scene)


@pytest.mark.behaviour("LIM-02")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=40), st.integers(1, 3))
def test_among_keys_that_all_wait_none_is_two_places_ahead(keys: list[str], places: int) -> None:
    async def scene(make: Callable[..., Limits]) -> None:
        limits = make(providers={"groq": Limit(concurrency=places)}, queue_timeout_s=1000)
        held = [await limits.enter("first", "groq", "m") for _ in range(places)]
        served: list[str] = []
        left = {key: keys.count(key) for key in keys}

        async def one(key: str) -> None:
            ticket = await limits.enter(key, "groq", "m")
            served.append(key)
            await asyncio.sleep(1)
            ticket.release()

        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(one(key))
            await asyncio.sleep(0)
            for ticket in held:
                ticket.release()
        for count in range(1, len(served) + 1):
            so_far = {key: served[:count].count(key) for key in left}
            unserved = [key for key in left if so_far[key] < left[key]]
            for key in unserved:
                assert max(so_far.values()) - so_far[key] <= 1, served

    play(scene)
