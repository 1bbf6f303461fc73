"""How slots are shared out: checks that hang starve no others."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.test_scheduler import Recorder, play, settle
from tests.core.works import Doing
from tocsin.core.checks.runs import LEAVE_PATIENCE
from tocsin.core.checks.scheduler import Scheduler, spread_for
from tocsin.core.runtime import descriptors
from tocsin.testing import SettableClock

TIMEOUT = 10.0


class Tarpit:
    """Runs that hang until their timeout; some never end, and ignore being cancelled."""

    def __init__(self, clock: SettableClock, timeout: float = TIMEOUT) -> None:
        self.clock, self.timeout = clock, timeout
        self.ends: list[tuple[float, asyncio.Event]] = []
        self.cancelled: Counter[str] = Counter()
        self.deaf = False

    def of(self, check_id: str) -> Doing:
        async def run() -> None:
            over = asyncio.Event()
            self.ends.append((self.clock.monotonic() + self.timeout, over))
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    self.cancelled[check_id] += 1
                    if not self.deaf:
                        raise

        return Doing(run)

    async def turn(self) -> None:
        """End those whose time is over."""
        now = self.clock.monotonic()
        for end in [end for end in self.ends if end[0] <= now]:
            self.ends.remove(end)
            end[1].set()
        await settle()


async def seen(
    hung: int, owner: str, interval: float = 10, timeout: float = TIMEOUT
) -> list[float]:
    """When 100 healthy checks of the configuration run in 90 s beside so many that hang."""
    clock = SettableClock()
    scheduler, healthy, tarpit = Scheduler(clock), Recorder(clock), Tarpit(clock, timeout)
    for n in range(100):
        scheduler.put(f"good{n}/c", 10, healthy.of(f"good{n}/c"), spread=spread_for(100 + 1200))
    for n in range(hung):
        name = f"bad{n}/c"
        scheduler.put(name, interval, tarpit.of(name), owner=owner, spread=spread_for(100 + hung))
    for _ in range(900):
        await play(scheduler, clock, 0.1)
        await tarpit.turn()
    await scheduler.drain()
    return healthy.times


async def test_hung_checks_of_another_owner_delay_nothing() -> None:
    """1,200 hung checks that labels ask for leave those of the configuration where they were."""
    assert await seen(1200, "docker") == await seen(0, "docker")


async def test_hung_checks_of_the_same_owner_delay_little() -> None:
    """1,200 hung checks of the configuration, too many for the slots, delay the first runs of its
    others by less than a second, and later runs not at all: quick checks have slots that slow ones
    cannot take."""
    beside, alone = await seen(1200, ""), await seen(0, "")
    assert len(beside) == len(alone)
    assert all(late - due < 1 for late, due in zip(beside, alone, strict=True))
    assert beside[100:] == alone[100:]


async def test_checks_that_begin_to_hang_all_at_once_delay_others_by_a_second(
    clock: SettableClock,
) -> None:
    """1,200 checks that were quick hang from one moment on: what the others wait is bounded by the
    second after which a run counts as slow."""
    scheduler, healthy, tarpit = Scheduler(clock), Recorder(clock), Tarpit(clock)
    hang = False

    def fickle(name: str) -> Doing:
        async def run() -> None:
            if hang:
                await tarpit.of(name).run()

        return Doing(run)

    for n in range(100):
        scheduler.put(f"good{n}/c", 10, healthy.of(f"good{n}/c"), spread=10)
    for n in range(1200):
        scheduler.put(f"bad{n}/c", 10, fickle(f"bad{n}/c"), spread=10)
    await play(scheduler, clock, 30)
    hang = True
    before = len(healthy.times)
    for _ in range(600):
        await play(scheduler, clock, 0.1)
        await tarpit.turn()
    assert len(healthy.times) - before == 600
    assert scheduler.stats().lateness_max < 30  # of the hung ones, which wait among themselves
    slots = scheduler.runs.slots
    assert slots.running <= 1.5 * slots.limit
    await scheduler.drain()


async def test_targets_of_one_owner_take_turns(clock: SettableClock) -> None:
    """A target with many checks that wait does not stand before one with a single check."""
    scheduler, recorder = Scheduler(clock, limit=1), Recorder(clock)
    recorder.gate.clear()
    for name in ["first/c", *(f"greedy/{n}" for n in range(50)), "modest/c"]:
        scheduler.put(name, 60, recorder.of(name))
        scheduler.tick()
    await settle()
    assert list(recorder.runs) == ["first/c"]
    recorder.gate.set()
    for _ in range(3):
        await asyncio.sleep(0)
    await settle()
    order = list(recorder.runs)
    assert order.index("modest/c") <= 3
    for _ in range(60):
        await settle()
    assert len(recorder.runs) == 52


async def test_one_owner_alone_has_all_slots(clock: SettableClock) -> None:
    """Slots that nobody else waits for are not kept back from checks that nothing is known of."""
    scheduler, recorder = Scheduler(clock, limit=100), Recorder(clock)
    recorder.gate.clear()
    for n in range(200):
        scheduler.put(f"t{n}/c", 60, recorder.of(f"t{n}/c"), owner="docker")
    scheduler.tick()
    await settle()
    assert recorder.most == 100
    recorder.gate.set()


async def test_a_limit_that_falls_leaves_room_for_quick_checks(
    clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a running process is allowed fewer descriptors, checks that hang from then on take no
    more of them than if it had been started so; where it is allowed more again, more may run."""
    limit = 65536
    monkeypatch.setattr(descriptors, "limit", lambda: limit)
    scheduler, tarpit = (
        Scheduler(clock, at_once=descriptors.checks_at_once),
        Tarpit(clock, 5_000_000),
    )
    scheduler.tick()
    limit = 192
    for n in range(300):
        scheduler.put(f"t{n}/c", 1, tarpit.of(f"t{n}/c"))
    await play(scheduler, clock, 10)
    assert descriptors.checks_at_once(1000) <= scheduler.runs.slots.running <= 30
    limit = 65536
    await play(scheduler, clock, 10)
    assert scheduler.runs.slots.running == 300
    await scheduler.drain()


async def test_the_run_of_a_removed_check_is_cancelled(clock: SettableClock) -> None:
    """Its slot is free at once, as is that of a check which was replaced."""
    scheduler, tarpit = Scheduler(clock, limit=2), Tarpit(clock, 5_000_000)
    for name in ("a/c", "b/c"):
        scheduler.put(name, 60, tarpit.of(name))
    scheduler.tick()
    await settle()
    assert scheduler.stats().running == 2
    scheduler.remove("a/c")
    scheduler.put("b/c", 30, tarpit.of("b/c"))
    await settle()
    assert tarpit.cancelled == {"a/c": 1, "b/c": 1}
    assert scheduler.stats().running == 0
    await scheduler.drain()


async def test_a_run_that_is_removed_before_its_first_step_leaves_nothing(
    clock: SettableClock,
) -> None:
    """A task that is cancelled before it has begun ends without a word; its slot is free."""
    scheduler, tarpit = Scheduler(clock, limit=1), Tarpit(clock, 5_000_000)
    scheduler.put("a/c", 60, tarpit.of("a/c"))
    scheduler.tick()
    scheduler.remove("a/c")
    await settle()
    assert scheduler.stats().running == 0
    assert not scheduler.runs.running


async def test_a_removed_run_that_ignores_its_cancellation_loses_its_slot(
    clock: SettableClock,
) -> None:
    """After a few seconds the slot is given to others, though the run goes on."""
    scheduler, recorder = Scheduler(clock, limit=1), Recorder(clock)
    tarpit = Tarpit(clock, 5_000_000)
    tarpit.deaf = True
    scheduler.put("a/c", 60, tarpit.of("a/c"))
    scheduler.tick()
    await settle()
    scheduler.put("b/c", 60, recorder.of("b/c"))
    scheduler.remove("a/c")
    await play(scheduler, clock, LEAVE_PATIENCE - 1)
    assert not recorder.runs
    await play(scheduler, clock, 2)
    assert recorder.runs == {"b/c": 1}
    tarpit.ends[0][1].set()
    await settle()
    assert scheduler.stats().running == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "end", "hang", "wait"]),
        st.integers(0, 11),
        st.sampled_from(["", "docker", "far"]),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_counts_are_true_and_no_slot_is_left_idle(
    steps: list[tuple[str, int, str]], limit: int
) -> None:
    """Whatever checks do: as many slots are taken as runs go on, never more than the limit and a
    half (and one for each share), and nothing waits that could begin."""

    async def live() -> None:
        clock = SettableClock()
        scheduler = Scheduler(clock, limit=limit)
        gates: dict[str, asyncio.Event] = {}
        now: Counter[str] = Counter()

        def of(name: str) -> Doing:
            async def run() -> None:
                now[name] += 1
                try:
                    await gates.setdefault(name, asyncio.Event()).wait()
                finally:
                    now[name] -= 1

            return Doing(run)

        for what, n, owner in steps:
            name = f"t{n % 4}/c{n}"
            if what == "put":
                scheduler.put(name, 5, of(name), owner=owner)
            elif what == "remove":
                scheduler.remove(name)
            elif what == "end":
                gates.setdefault(name, asyncio.Event()).set()
            elif what == "hang":
                gates[name] = asyncio.Event()
            await play(scheduler, clock, 1.5 if what == "wait" else 0.5, step=0.5)
            slots = scheduler.runs.slots
            shares = slots.shares.values()
            assert slots.running == now.total() == sum(s.running for s in shares)
            assert slots.waiting == sum(s.waiting for s in shares)
            assert slots.waiting == sum(len(q) for s in shares for q in s.queues.values())
            assert all(count <= 1 for count in now.values())
            assert slots.running <= limit + limit // 2 + len(shares)
            assert not any(s.waiting and slots.is_free(s) for s in shares)
        await scheduler.drain()
        assert scheduler.runs.slots.running == 0

    asyncio.run(live())
