"""Queries for the history of many targets at once: uptime, and trends of a metric."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from math import ceil

from tocsin.history import Counts, Trend, TrendPoint, Trends, Uptimes
from tocsin.plugins.history import overview_sql as sql
from tocsin.plugins.history.connection import Connection
from tocsin.plugins.history.resolution_plan import ResolutionPlan, plan_resolutions
from tocsin.plugins.history.rollup import STEPS

RANKING_POINTS = 12

FINE_POINTS, FINEST, COARSEST = 48, 60.0, 3600.0
"""The grid on which availability is computed: about so many points, independent of the chart, each
between these bounds in seconds as far as the resolution allows.
"""


class Overview:
    """Queries history for several targets.

    Args:
        reading: opens a connection for reading; raises HistoryUnavailable if there is none.
        kept: returns, for each of the finer resolutions, the time since when it is kept.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractAsyncContextManager[Connection]],
        kept: Callable[[], Mapping[str, datetime]],
    ) -> None:
        self._reading = reading
        self._kept = kept

    async def uptimes(
        self, checks: Collection[tuple[str, str]], since: datetime, until: datetime, points: int
    ) -> Uptimes:
        """Count the results of each target by status and point.

        If a target has several checks, each point shows the worst one: the one with the largest
        share of down results, then of degraded, then of unknown ones. Counts of different checks
        are not added: checks have different intervals, and roll-ups do not show whether two failed
        at the same time.

        Args:
            checks: target and name of each check.
            since: start of the time range.
            until: end of the time range.
            points: about how many points to return.

        Raises:
            HistoryUnavailable: the database cannot be read now.
        """
        async with self._planned(since, until, points) as (connection, plan):
            numbers = await _numbers(connection, checks)
            rows = await connection.fetch(
                sql.uptimes(plan), list(numbers), *sql.bounds(plan), plan.origin, plan.step
            )
        length = ceil((until - plan.origin).total_seconds() / plan.step)
        found: dict[str, list[Counts]] = {}
        for number, places, counts in rows:
            target, _ = numbers[number]
            first, own = target not in found, found.setdefault(target, _nothing(length))
            for place, seen in zip(places, counts, strict=True):
                if first or _badness(seen) > _badness(own[place]):
                    own[place] = seen
        return Uptimes(resolution=plan.resolution, since=plan.origin, step=plan.step, counts=found)

    async def availability(
        self, checks: Collection[tuple[str, str, float]], since: datetime, until: datetime
    ) -> dict[str, float | None]:
        """Return for each target the share of the known time in which no check was down.

        It is computed on a grid that depends only on the time range and on the longest interval of
        the target's checks. A check covers a point that lies between two other points of
        that check as a whole, and as much of its first and last point as its results do.

        Args:
            checks: target, name and interval in seconds of each check.
            since: start of the time range.
            until: end of the time range.

        Returns:
            A share of 0 to 1 for each target that has results; None if all are unknown.

        Raises:
            HistoryUnavailable: the database cannot be read now.
        """
        async with self._planned(since, until, FINE_POINTS) as (connection, plan):
            numbers = await _numbers(connection, [(target, name) for target, name, _ in checks])
            every = {(target, name): max(1.0, seconds) for target, name, seconds in checks}
            longest: dict[str, float] = {}
            for target, _, seconds in checks:
                longest[target] = max(longest.get(target, FINEST), seconds)
            size = STEPS[plan.resolution].total_seconds() if plan.resolution in STEPS else FINEST
            length = max(size, min(plan.step, COARSEST))
            rows = await connection.fetch(
                sql.available(plan), list(numbers), *sql.bounds(plan),
                [target for target, _ in numbers.values()],
                [every[check] for check in numbers.values()],
                [max(length, longest[target]) for target, _ in numbers.values()],
            )  # fmt: skip
        return {row["target"]: row["share"] for row in rows}

    async def trends(
        self,
        checks: Collection[tuple[str, str]],
        metric: str,
        since: datetime,
        until: datetime,
        *,
        top: int,
        points: int,
    ) -> Trends:
        """Return the course of a metric for the ``top`` targets with its highest averages.

        These targets are found with a few coarse points of all; only theirs are read at full
        resolution.

        Args:
            checks: target and name of each check.
            metric: name of the metric.
            since: start of the time range.
            until: end of the time range.
            top: most targets to return.
            points: about how many points of each target to return.

        Raises:
            HistoryUnavailable: the database cannot be read now.
        """
        async with self._planned(since, until, min(points, RANKING_POINTS)) as (connection, rough):
            named = await _numbers(connection, checks)
            numbers = {number: target for number, (target, _) in named.items()}
            leaders = await connection.fetch(
                sql.ranking(rough, metric), list(numbers), *sql.bounds(rough), metric,
                list(numbers.values()), top,
            )  # fmt: skip
            chosen = {row["target"] for row in leaders}
            numbers = {number: target for number, target in numbers.items() if target in chosen}
            plan = await plan_resolutions(connection, since, until, points, self._kept())
            rows = await connection.fetch(
                sql.points(plan, metric), list(numbers), *sql.bounds(plan), metric,
                list(numbers.values()), plan.origin, plan.step,
            )  # fmt: skip
        found: dict[str, list[tuple[TrendPoint, float]]] = {}
        for target, place, n, mean, high in rows:
            point = TrendPoint(at=plan.start_of(place), avg=mean, max=high)
            found.setdefault(target, []).append((point, n))
        items = [
            Trend(
                target=target,
                avg=sum(point.avg * n for point, n in weighed) / sum(n for _, n in weighed),
                max=max(point.max for point, _ in weighed),
                points=[point for point, _ in weighed],
            )
            for target, weighed in found.items()
        ]
        items.sort(key=lambda trend: (-trend.avg, trend.target))
        return Trends(resolution=plan.resolution, step=plan.step, items=items)

    @asynccontextmanager
    async def _planned(
        self, since: datetime, until: datetime, points: int
    ) -> AsyncIterator[tuple[Connection, ResolutionPlan]]:
        """Open a connection and plan which resolutions to read."""
        async with self._reading() as connection:
            yield connection, await plan_resolutions(connection, since, until, points, self._kept())


def _nothing(length: int) -> list[Counts]:
    return [[0, 0, 0, 0] for _ in range(length)]


def _badness(counts: Counts) -> tuple[float, float, float, float]:
    """Return a sort key: the worse the counts, the greater. No results at all are the least."""
    total = sum(counts)
    up, degraded, down, unknown = (count / (total or 1) for count in counts)
    return down, degraded, unknown, up


async def _numbers(
    connection: Connection, checks: Collection[tuple[str, str]]
) -> dict[int, tuple[str, str]]:
    """Return target and name of the checks by their numbers in the database."""
    rows = await connection.fetch(
        "SELECT c.id, c.target, c.name FROM checks c "
        "JOIN unnest($1::text[], $2::text[]) AS w(t, n) "
        "ON c.target = w.t AND c.name = w.n",
        [target for target, _ in checks],
        [name for _, name in checks],
    )
    return {row["id"]: (row["target"], row["name"]) for row in rows}
