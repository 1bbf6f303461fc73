"""Queries for the history of one check.

A chart is read from the coarsest resolution that gives enough points, its newest part from raw
data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from attrs import Factory, define, frozen

from tocsin.core.contracts.model import Status
from tocsin.core.hiding import clean
from tocsin.core.store.batch import KEPT_METRICS, STATUSES
from tocsin.core.store.connection import Connection
from tocsin.core.store.resolution_plan import Piece, plan_resolutions


@frozen(kw_only=True)
class Range:
    """Minimum, average and maximum of a metric in one point."""

    min: float
    avg: float
    max: float


@frozen(kw_only=True)
class Point:
    """One point of a chart: the number of results by status, and the range of each metric."""

    at: datetime
    up: int
    degraded: int
    down: int
    unknown: int
    metrics: Mapping[str, Range]


@frozen(kw_only=True)
class Chart:
    """The points of a chart, ``step`` seconds apart. Times without results have no point."""

    resolution: str
    step: float
    points: tuple[Point, ...]


@frozen(kw_only=True)
class Uptime:
    """Number of results by status."""

    up: int = 0
    degraded: int = 0
    down: int = 0
    unknown: int = 0

    @property
    def available(self) -> float | None:
        """Return the share of known results that were up or degraded, 0 to 1; None without any."""
        known = self.up + self.degraded + self.down
        return None if not known else (self.up + self.degraded) / known


@frozen(kw_only=True)
class Sample:
    """One raw result."""

    at: datetime
    status: Status
    latency_seconds: float | None
    message: str
    metrics: Mapping[str, float] = Factory(dict)


@define
class _Sum:
    """Accumulates the counts and metrics of one point."""

    counts: list[int] = Factory(lambda: [0, 0, 0, 0])
    metrics: dict[str, list[float]] = Factory(dict)

    def add(self, counts: Iterable[int], metrics: Mapping[str, list[float]]) -> None:
        """Add a row; each metric is [count, minimum, average, maximum]."""
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]
        for name, (n, low, mean, high) in metrics.items():
            known = self.metrics.get(name)
            if known is None:
                self.metrics[name] = [n, low, n * mean, high]
            else:
                known[0] += n
                known[2] += n * mean
                # This runs ten thousand times for a chart, where a call of min() is too slow.
                if low < known[1]:
                    known[1] = low
                if high > known[3]:
                    known[3] = high

    def point(self, at: datetime) -> Point:
        """Return the finished point, which starts at ``at``."""
        up, degraded, down, unknown = self.counts
        ranges = {
            name: Range(min=low, avg=total / n, max=high)
            for name, (n, low, total, high) in sorted(self.metrics.items())
        }
        return Point(at=at, up=up, degraded=degraded, down=down, unknown=unknown, metrics=ranges)


_COLUMNS = ", ".join(f"m.{name}" for name in KEPT_METRICS)
# The range is given for both tables, so that partitions of both are pruned.
SAMPLES = (
    "SELECT r.at, r.status, r.latency_seconds, r.message, r.metrics, " + _COLUMNS + " "
    "FROM check_results r LEFT JOIN container_metrics m ON m.check_id = r.check_id "
    "AND m.timestamp = r.at AND m.timestamp >= $2 AND m.timestamp < $3 AND m.check_id = $1 "
    "WHERE r.check_id = $1 AND r.at >= $2 AND r.at < $3 ORDER BY r.at {order} LIMIT $4"
)
"""Raw results of check $1 from $2 until $3, at most $4."""


async def check_number(connection: Connection, target: str, check: str | None) -> int | None:
    """Return the number of a check; without a name, of the target's container check.

    Returns:
        The number in the table ``checks``, or None if there is none.
    """
    if check is not None:
        number: int | None = await connection.fetchval(
            "SELECT id FROM checks WHERE target = $1 AND name = $2", target, check
        )
        return number
    number = await connection.fetchval(
        "SELECT check_id FROM container_metrics WHERE container_name = $1 "
        "ORDER BY timestamp DESC LIMIT 1",
        target,
    )
    return number


async def read(
    connection: Connection,
    number: int,
    since: datetime,
    until: datetime,
    points: int,
    kept: Mapping[str, datetime],
) -> Chart:
    """Return the history of one check.

    Args:
        connection: a connection to the database.
        number: number of the check.
        since: start of the time range.
        until: end of the time range, exclusive.
        points: about how many points to return.
        kept: for each of the finer resolutions, the time since when it is kept.
    """
    plan = await plan_resolutions(connection, since, until, points, kept)
    sums: dict[int, _Sum] = {}
    for piece in plan.pieces:
        read_piece = _raw if piece.resolution == "raw" else _rolled
        for at, counts, metrics in await read_piece(connection, number, piece):
            sums.setdefault(plan.point_of(at), _Sum()).add(counts, metrics)
    return Chart(
        resolution=plan.resolution,
        step=plan.step,
        points=tuple(sums[n].point(plan.start_of(n)) for n in sorted(sums)),
    )


_Row = tuple[datetime, list[int], dict[str, list[float]]]


async def _rolled(connection: Connection, number: int, piece: Piece) -> list[_Row]:
    rows = await connection.fetch(
        "SELECT at, up, degraded, down, unknown, names, stats "
        f"FROM check_rollup_{piece.resolution} LEFT JOIN metric_sets AS s ON s.id = metric_set "
        "WHERE check_id = $1 AND at >= $2 AND at < $3 ORDER BY at",
        number,
        piece.since,
        piece.until,
    )
    return [
        (at, counts, dict(zip(names, stats, strict=True)) if names else {})
        for at, *counts, names, stats in rows
    ]


async def _raw(connection: Connection, number: int, piece: Piece) -> list[_Row]:
    rows = []
    for sample in await samples(
        connection, number, piece.since, piece.until, None, oldest_first=True
    ):
        counts = [0, 0, 0, 0]
        counts[list(STATUSES.values()).index(sample.status)] = 1
        values = dict(sample.metrics)
        if sample.latency_seconds is not None:
            values["latency_seconds"] = sample.latency_seconds
        rows.append((sample.at, counts, {name: [1, v, v, v] for name, v in values.items()}))
    return rows


async def samples(
    connection: Connection,
    number: int,
    since: datetime,
    until: datetime,
    limit: int | None,
    *,
    oldest_first: bool = False,
) -> list[Sample]:
    """Return raw results of one check between two times.

    Args:
        connection: a connection to the database.
        number: number of the check.
        since: start of the time range.
        until: end of the time range, exclusive.
        limit: most results; None for all.
        oldest_first: whether to sort by ascending time; default is newest first.
    """
    rows = await connection.fetch(
        SAMPLES.format(order="ASC" if oldest_first else "DESC"),
        number,
        since,
        until,
        limit,
    )
    found = []
    for row in rows:
        metrics = msgspec.json.decode(row["metrics"]) if row["metrics"] else {}
        metrics.update({name: float(row[name]) for name in KEPT_METRICS if row[name] is not None})
        found.append(
            Sample(
                at=row["at"],
                status=STATUSES[row["status"]],
                latency_seconds=row["latency_seconds"],
                message=clean(row["message"] or ""),
                metrics=metrics,
            )
        )
    return found
