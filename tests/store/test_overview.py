"""History of many targets at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.store.helpers import container, fill, make, seen
from tocsin.core.model import Observation, Result, Status
from tocsin.core.store import Store
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
    found = await store.overview.uptimes(CHECKS, until - timedelta(hours=hours), until, 48)
    for target, check in CHECKS:
        chart = await store.check_history(target, check, until - timedelta(hours=hours), until, 48)
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
    await store.stop()


async def test_a_target_shows_its_worst_check(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """A frequent check that is up does not hide a rare one that is down, nor one that is down for a
    third of an hour one that is unknown all the time; stretches without results stay empty."""
    store = make(database, tmp_path, clock)
    start = clock.now()

    def see(check: str, status: Status) -> None:
        result = Result(status=status)
        store.write(Observation(target="web", check=check, at=clock.now(), result=result))

    for n in range(60):
        see("often", Status.UP)
        if n % 20 == 0:
            see("rare", Status.DOWN if n == 20 else Status.UP)
        see("blind", Status.UNKNOWN)
        clock.advance(60)
    await store.flush()
    names = [("web", name) for name in ("often", "rare", "blind", "never")]
    found = await store.overview.uptimes(names, start, start + timedelta(hours=2), 2)
    assert found.counts == {"web": [[2, 0, 1, 0], [0, 0, 0, 0]]}
    nothing = await store.overview.uptimes([("web", "never")], start, clock.now(), 2)
    assert nothing.counts == {}
    await store.stop()


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
    found = await store.overview.trends(CHECKS, metric, since, until, top=8, points=48)
    (trend,) = found.items
    assert trend.target == target
    chart = await store.check_history(target, check, since, until, 48)
    ranges = [(point.at, point.metrics[metric]) for point in chart.points]
    assert [(p.at, p.max) for p in trend.points] == [(at, r.max) for at, r in ranges]
    assert [p.avg for p in trend.points] == pytest.approx([r.avg for _, r in ranges])
    assert trend.max == max(r.max for _, r in ranges)
    await store.stop()


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
            store.write(Observation(target=f"t{n}", check="q", at=clock.now(), result=result))
            clock.advance(1)
    store.write(seen(clock, metrics={"queue": 50.0}))
    store.write(container(clock))
    await store.flush()
    names = [(f"t{n}", "q") for n in range(10)] + CHECKS
    until = clock.now() + timedelta(seconds=1)

    async def leaders(metric: str) -> list[tuple[str, float]]:
        found = await store.overview.trends(names, metric, start, until, top=3, points=10)
        return [(trend.target, trend.avg) for trend in found.items]

    assert await leaders("queue") == [("t9", 50.5), ("web", 50.0), ("t8", 4.5)]
    assert await leaders("cpu_percent") == [("db", 5.0)]
    assert await leaders("'; DROP TABLE checks; --") == []
    await store.stop()
