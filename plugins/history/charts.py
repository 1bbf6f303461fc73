"""Queries for the history of one check.

A chart is read from the coarsest resolution that gives enough points, its newest part from raw
data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from asyncpg import Record
from attrs import Factory, define

from tocsin import Observation, Result
from tocsin.history import Chart, Point, Range
from tocsin.plugins.history.batch import KEPT_METRICS, STATUSES
from tocsin.plugins.history.connection import Connection
from tocsin.plugins.history.resolution_plan import Piece, plan_resolutions


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
    for row in await _samples(connection, number, piece.since, piece.until, None, "ASC"):
        counts = [0, 0, 0, 0]
        counts[row["status"]] = 1
        values = _values(row)
        if row["latency_seconds"] is not None:
            values["latency_seconds"] = row["latency_seconds"]
        rows.append((row["at"], counts, {name: [1, v, v, v] for name, v in values.items()}))
    return rows


async def results(
    connection: Connection,
    target: str,
    check: str,
    since: datetime,
    until: datetime,
    limit: int,
) -> list[Observation]:
    """Return results of one check between two times, newest first.

    Args:
        connection: a connection to the database.
        target: name of the target.
        check: name of the check.
        since: start of the time range.
        until: end of the time range, exclusive.
        limit: most results.
    """
    number = await check_number(connection, target, check)
    if number is None:
        return []
    return [
        Observation(
            target=target,
            check=check,
            at=row["at"],
            result=Result(
                status=STATUSES[row["status"]],
                message=row["message"] or "",
                latency=row["latency_seconds"],
                metrics=_values(row),
            ),
        )
        for row in await _samples(connection, number, since, until, limit, "DESC")
    ]


async def _samples(
    connection: Connection,
    number: int,
    since: datetime,
    until: datetime,
    limit: int | None,
    order: str,
) -> list[Record]:
    return await connection.fetch(SAMPLES.format(order=order), number, since, until, limit)


def _values(row: Record) -> dict[str, float]:
    values: dict[str, float] = msgspec.json.decode(row["metrics"]) if row["metrics"] else {}
    values.update({name: float(row[name]) for name in KEPT_METRICS if row[name] is not None})
    return values
