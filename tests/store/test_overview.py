"""History of many targets at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.store.helpers import container, fill, make, seen
from tocsin.core.contracts.model import Observation, Result, Status
from tocsin.plugins.history.store import Store
from tocsin.testing import SettableClock

CHECKS = [("web", "http"), ("db", "docker")]


async def filled(database: str, path: Path, clock: SettableClock, minutes: int) -> Store:
    """A store with history in all resolutions and a raw rest that is not rolled up yet."""
    store = make(database, path, clock)
    await store.flush()
    await fill(store, clock, minutes)
    await store.tidy()
    await fill(store, clock, 7)
    return store


@pytest.mark.parametrize("hours", [0.1, 1, 24, 24 * 30])
async def test_uptimes_are_those_of_the_checks(
    database: str, tmp_path: Path, clock: SettableClock, hours: float
) -> None:
    """Whatever the resolution, each target has as many results of each status as its check's own
    chart over the same time, and each stretch of time has its own."""
    store = await filled(database, tmp_path, clock, 26 * 60)
    until = clock.now()
    found = await store.uptimes(CHECKS, until - timedelta(hours=hours), until, 48)
    for target, check in CHECKS:
        chart = await store.chart(target, check, until - timedelta(hours=hours), until, 48)
        assert (found.resolution, found.step) == (chart.resolution, chart.step)
        totals = [sum(counts) for counts in zip(*found.counts[target], strict=True)]
        assert sum(totals) > 0
        for place, name in enumerate(("up", "degraded", "down", "unknown")):
            assert totals[place] == sum(getattr(point, name) for point in chart.points)
        first = chart.points[0]
        bucket = (first.at - found.since) // timedelta(seconds=found.step)
        assert found.counts[target][bucket] == [
            first.up, first.degraded, first.down, first.unknown
        ]  # fmt: skip
    await store.close()


async def test_a_target_shows_its_worst_check(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """A frequent check that is up does not hide a rare one that is down, nor one that is down for a
    third of an hour one that is unknown all the time; stretches without results stay empty."""
    store = make(database, tmp_path, clock)
    start = clock.now()

    def see(check: str, status: Status) -> None:
        result = Result(status=status)
        store.add(Observation(target="web", check=check, at=clock.now(), result=result))

    for n in range(60):
        see("often", Status.UP)
        if n % 20 == 0:
            see("rare", Status.DOWN if n == 20 else Status.UP)
        see("blind", Status.UNKNOWN)
        clock.advance(60)
    await store.flush()
    names = [("web", name) for name in ("often", "rare", "blind", "never")]
    found = await store.uptimes(names, start, start + timedelta(hours=2), 2)
    assert found.counts == {"web": [[2, 0, 1, 0], [0, 0, 0, 0]]}
    nothing = await store.uptimes([("web", "never")], start, clock.now(), 2)
    assert nothing.counts == {}
    await store.close()


async def lived(
    store: Store, clock: SettableClock, minutes: int, **often: tuple[int, Callable[[int], Status]]
) -> None:
    """Minutes of the checks of ``web``: for each how many minutes lie between two results, and what
    it says in each."""
    for n in range(minutes):
        for check, (interval, status) in often.items():
            if n % interval == 0:
                result = Result(status=status(n))
                store.add(Observation(target="web", check=check, at=clock.now(), result=result))
        clock.advance(60)
    await store.flush()


async def available(
    store: Store, clock: SettableClock, hours: float, **minutes: int
) -> float | None:
    checks = [("web", name, interval * 60.0) for name, interval in minutes.items()]
    found = await store.availability(checks, clock.now() - timedelta(hours=hours), clock.now())
    return found.get("web")


@pytest.mark.parametrize("tidied", [True, False])
@pytest.mark.parametrize("hours", [24, 24 * 7, 24 * 30])
async def test_a_check_counts_for_as_long_as_it_was_there(
    database: str, tmp_path: Path, clock: SettableClock, hours: int, tidied: bool
) -> None:
    """One that came three minutes ago and fails since takes three minutes of a day, a week, a
    month."""
    store = make(database, tmp_path, clock)
    await store.flush()
    old = (1, lambda n: Status.UP)
    await lived(store, clock, 24 * 60, old=old)
    await lived(store, clock, 3, old=old, new=(1, lambda n: Status.DOWN))
    if tidied:
        await store.tidy()
    share = await available(store, clock, hours, old=1, new=1)
    assert share == pytest.approx(1 - 3 / (24 * 60), abs=0.001)
    await store.close()


async def test_availability_is_time_and_not_results(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """A check that ran every twenty minutes and failed once was down for twenty minutes, however
    often another one of the target ran; outages at different times add up, those at the same time
    do not; what is unknown beside what is known does not count, nor does time without results."""
    store = make(database, tmp_path, clock)
    await store.flush()
    await lived(
        store, clock, 60,
        often=(1, lambda n: Status.DOWN if n < 10 else Status.UP),
        early=(1, lambda n: Status.DEGRADED if n >= 5 else Status.DOWN),
        late=(1, lambda n: Status.DOWN if 30 <= n < 36 else Status.UP),
        rare=(20, lambda n: Status.DOWN if n == 20 else Status.UP),
        blind=(1, lambda n: Status.UNKNOWN),
    )  # fmt: skip
    assert await available(store, clock, 1, often=1, early=1, late=1) == pytest.approx(44 / 60)
    assert await available(store, clock, 1, often=1, rare=20, blind=1) == pytest.approx(
        30 / 60, abs=0.1
    )
    assert await available(store, clock, 1, rare=20) == pytest.approx(40 / 60, abs=0.01)
    assert await available(store, clock, 24, often=1) == pytest.approx(50 / 60, abs=0.01)
    assert await available(store, clock, 1, blind=1) is None
    assert await available(store, clock, 1, never=1) is None
    await store.close()


@pytest.mark.parametrize("hours", [0.1, 1, 24, 24 * 30])
@pytest.mark.parametrize(
    ("metric", "target", "check"),
    [("cpu_percent", "db", "docker"), ("latency_seconds", "web", "http")],
)
async def test_trends_are_those_of_the_checks(
    database: str,
    tmp_path: Path,
    clock: SettableClock,
    metric: str,
    target: str,
    check: str,
    hours: float,
) -> None:
    """Each point has the average and maximum of the check's own chart, and so has the whole."""
    store = await filled(database, tmp_path, clock, 26 * 60)
    since, until = clock.now() - timedelta(hours=hours), clock.now()
    found = await store.trends(CHECKS, metric, since, until, top=8, points=48)
    (trend,) = found.items
    assert trend.target == target
    chart = await store.chart(target, check, since, until, 48)
    ranges = [(point.at, point.metrics[metric]) for point in chart.points]
    assert [(p.at, p.max) for p in trend.points] == [(at, r.max) for at, r in ranges]
    assert [p.avg for p in trend.points] == pytest.approx([r.avg for _, r in ranges])
    assert trend.max == max(r.max for _, r in ranges)
    await store.close()


async def test_the_highest_averages_come_first(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Of many targets the top ones by average are given, not those with the highest moment; a
    check's own metric is found as a container's is, and a strange name finds nothing."""
    store = make(database, tmp_path, clock)
    start = clock.now()
    for n in range(10):
        for queue in (1.0, 100.0 if n == 9 else n):
            result = Result.up(metrics={"queue": queue})
            store.add(Observation(target=f"t{n}", check="q", at=clock.now(), result=result))
            clock.advance(1)
    store.add(seen(clock, metrics={"queue": 50.0}))
    store.add(container(clock))
    await store.flush()
    names = [(f"t{n}", "q") for n in range(10)] + CHECKS
    until = clock.now() + timedelta(seconds=1)

    async def leaders(metric: str) -> list[tuple[str, float]]:
        found = await store.trends(names, metric, start, until, top=3, points=10)
        return [(trend.target, trend.avg) for trend in found.items]

    assert await leaders("queue") == [("t9", 50.5), ("web", 50.0), ("t8", 4.5)]
    assert await leaders("cpu_percent") == [("db", 5.0)]
    assert await leaders("'; DROP TABLE checks; --") == []
    await store.close()
