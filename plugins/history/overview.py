"""Queries for the history of many targets at once: uptime, and trends of a metric."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from math import ceil

from tocsin.history import Counts, Trend, TrendPoint, Trends, Uptimes
from tocsin.plugins.history.batch import KEPT_METRICS
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
                _uptimes(plan), list(numbers), *_moments(plan), plan.origin, plan.step
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
                _available(plan), list(numbers), *_moments(plan),
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
                _ranking(rough, metric), list(numbers), *_moments(rough), metric,
                list(numbers.values()), top,
            )  # fmt: skip
            chosen = {row["target"] for row in leaders}
            numbers = {number: target for number, target in numbers.items() if target in chosen}
            plan = await plan_resolutions(connection, since, until, points, self._kept())
            rows = await connection.fetch(
                _points(plan, metric), list(numbers), *_moments(plan), metric,
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


def _moments(plan: ResolutionPlan) -> list[datetime]:
    """Return the bounds of the pieces as parameters from $2 on; $1 are the checks' numbers."""
    return [at for piece in plan.pieces for at in (piece.since, piece.until)]


_PLACE = "floor(extract(epoch FROM at - {origin}::timestamptz) / {step}::float8)::int"
"""SQL for the number of the point that a row belongs to."""

_COUNTS = {
    "raw": "SELECT check_id, at, (status = 0)::int AS up, (status = 1)::int AS degraded, "
    "(status = 2)::int AS down, (status = 3)::int AS unknown FROM check_results",
    "rolled": "SELECT check_id, at, up, degraded, down, unknown FROM check_rollup_{resolution}",
}


def _counted(plan: ResolutionPlan) -> str:
    """Return SQL for all counts: check's number, time, up, degraded, down, unknown."""
    return " UNION ALL ".join(
        _COUNTS["raw" if piece.resolution == "raw" else "rolled"].format(
            resolution=piece.resolution
        )
        + _within("at", 2 + 2 * n)
        for n, piece in enumerate(plan.pieces)
    )


def _available(plan: ResolutionPlan) -> str:
    """Return SQL with one row for each target: its name and its availability.

    Its parameters after the bounds: for each check the target, the interval in seconds, and the
    length of the target's points in seconds.
    """
    targets, every, lengths = _after(plan, 3)
    return (
        "WITH seen AS (SELECT target, check_id, floor(extract(epoch FROM at) / length) AS place, "
        "every / length AS one, length, sum(up + degraded + down)::float8 AS known, "
        "sum(down)::float8 AS down, sum(up + degraded + down + unknown)::float8 AS n "
        f"FROM ({_counted(plan)}) AS counted JOIN unnest($1::int[], {targets}::text[], "
        f"{every}::float8[], {lengths}::float8[]) AS c (check_id, target, every, length) "
        "USING (check_id) GROUP BY check_id, target, place, every, length), "
        "weighed AS (SELECT target, place, length, known, down, CASE WHEN "
        "place > min(place) OVER own AND place < max(place) OVER own "
        "THEN 1 ELSE least(1, n * one) END / n AS weight "
        "FROM seen WINDOW own AS (PARTITION BY check_id)) "
        "SELECT target, 1 - sum(length * down) / nullif(sum(length * known), 0) AS share "
        "FROM ("
        "SELECT target, length, max(weight * known) AS known, max(weight * down) AS down "
        "FROM weighed GROUP BY target, place, length) AS points GROUP BY target"
    )


def _uptimes(plan: ResolutionPlan) -> str:
    """Return SQL with one row for each check: the numbers of its points, and the counts of each.

    Its parameters after the bounds: the origin of the grid, and its step in seconds.
    """
    rows = _counted(plan)
    origin, step = _after(plan, 2)
    place = _PLACE.format(origin=origin, step=step)
    return (
        f"SELECT check_id, array_agg(place), array_agg(counts) FROM (SELECT check_id, {place} "
        "AS place, ARRAY[sum(up), sum(degraded), sum(down), sum(unknown)]::int[] AS counts "
        f"FROM ({rows}) AS seen GROUP BY 1, 2) AS folded GROUP BY 1"
    )


def _ranking(plan: ResolutionPlan, metric: str) -> str:
    """Return SQL for the targets with the highest averages.

    Its parameters after the bounds: name of the metric, the target of each check, and how many.
    """
    name, targets, top = _after(plan, 3)
    return (
        f"SELECT target FROM ({_seen(plan, metric, name)}) AS seen "
        f"JOIN unnest($1::int[], {targets}::text[]) AS c (check_id, target) USING (check_id) "
        f"GROUP BY 1 ORDER BY sum(n * mean) / sum(n) DESC, 1 LIMIT {top}::int"
    )


def _points(plan: ResolutionPlan, metric: str) -> str:
    """Return SQL with one row for each point of each target.

    Columns: target, number of the point, number of results, average, maximum. Its parameters after
    the bounds: name of the metric, the target of each check, origin and step of the grid.
    """
    name, targets, origin, step = _after(plan, 4)
    place = _PLACE.format(origin=origin, step=step)
    return (
        f"SELECT target, {place}, sum(n), sum(n * mean) / sum(n), max(high) "
        f"FROM ({_seen(plan, metric, name)}) AS seen "
        f"JOIN unnest($1::int[], {targets}::text[]) AS c (check_id, target) USING (check_id) "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )


def _seen(plan: ResolutionPlan, metric: str, name: str) -> str:
    return " UNION ALL ".join(
        source
        for n, piece in enumerate(plan.pieces)
        for source in _values(piece.resolution, metric, name, 2 + 2 * n)
    )


def _after(plan: ResolutionPlan, count: int) -> list[str]:
    """Return the placeholders of the next parameters after the checks' numbers and the bounds."""
    first = 2 + 2 * len(plan.pieces)
    return [f"${first + n}" for n in range(count)]


def _values(resolution: str, metric: str, name: str, first: int) -> list[str]:
    """Return SQL for each place where values of a metric are stored.

    ``name`` is the placeholder of the metric's name, ``first`` the number of the parameter with the
    start of the time range.
    """
    if resolution != "raw":
        return [
            "SELECT check_id, at, stats[place][1] AS n, stats[place][3] AS mean, "
            f"stats[place][4] AS high FROM check_rollup_{resolution} JOIN (SELECT id, "
            f"array_position(names, {name}::text) AS place FROM metric_sets "
            f"WHERE {name}::text = ANY(names)) AS s ON s.id = metric_set" + _within("at", first)
        ]
    plain = "SELECT check_id, {at} AS at, 1::float8 AS n, v AS mean, v AS high FROM {table}, "
    value = f"(metrics->>{name}::text)::float8"
    if metric == "latency_seconds":
        value = f"COALESCE({value}, latency_seconds::float8)"
    found = [
        plain.format(at="at", table="check_results")
        + f"LATERAL (SELECT {value} AS v) AS value"
        + _within("at", first)
        + " AND v IS NOT NULL"
    ]
    if metric in KEPT_METRICS:  # one of tocsin's own names, so it is safe in SQL
        found.append(
            plain.format(at="timestamp", table="container_metrics")
            + f"LATERAL (SELECT {metric}::float8 AS v) AS value"
            + _within("timestamp", first)
            + " AND v IS NOT NULL"
        )
    return found


def _within(column: str, first: int) -> str:
    return (
        f" WHERE check_id = ANY($1::int[]) AND {column} >= ${first}::timestamptz "
        f"AND {column} < ${first + 1}::timestamptz"
    )
