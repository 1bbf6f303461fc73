"""Reading history: the coarsest resolution that fills the chart, the newest part from raw data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from attrs import Factory, define, frozen

from tocsin.core.contracts.model import Status
from tocsin.core.hiding import clean
from tocsin.core.store.batch import KEPT_METRICS, STATUSES
from tocsin.core.store.connection import Connection
from tocsin.core.store.resolution_plan import Piece, climb


@frozen(kw_only=True)
class Range:
    """A metric over a stretch of time."""

    min: float
    avg: float
    max: float


@frozen(kw_only=True)
class Point:
    """One stretch of time: how often each status was seen, and each metric's range."""

    at: datetime
    up: int
    degraded: int
    down: int
    unknown: int
    metrics: Mapping[str, Range]


@frozen(kw_only=True)
class History:
    """A chart's worth of points; ``step`` in seconds. Where nothing was seen, no point is made."""

    resolution: str
    step: float
    points: tuple[Point, ...]


@frozen(kw_only=True)
class Uptime:
    """Share of results that were up or degraded, 0 to 1; ``unknown`` ones left out.

    ``available`` is None where nothing is known.
    """

    up: int = 0
    degraded: int = 0
    down: int = 0
    unknown: int = 0

    @property
    def available(self) -> float | None:
        """The share, or None."""
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
    """Counts and ranges being added up for one point."""

    counts: list[int] = Factory(lambda: [0, 0, 0, 0])
    metrics: dict[str, list[float]] = Factory(dict)

    def add(self, counts: Iterable[int], metrics: Mapping[str, list[float]]) -> None:
        """Add a row: metrics as [count, min, average, max]."""
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]
        for name, (n, low, mean, high) in metrics.items():
            known = self.metrics.get(name)
            if known is None:
                self.metrics[name] = [n, low, n * mean, high]
            else:
                known[0] += n
                known[2] += n * mean
                if low < known[1]:  # ten thousand times in a chart: min() costs a call
                    known[1] = low
                if high > known[3]:
                    known[3] = high

    def point(self, at: datetime) -> Point:
        """The finished point."""
        up, degraded, down, unknown = self.counts
        ranges = {
            name: Range(min=low, avg=total / n, max=high)
            for name, (n, low, total, high) in sorted(self.metrics.items())
        }
        return Point(at=at, up=up, degraded=degraded, down=down, unknown=unknown, metrics=ranges)


_COLUMNS = ", ".join(f"m.{name}" for name in KEPT_METRICS)
# The range stands on both sides of the join: partitions of both tables are pruned by it.
SAMPLES = (
    "SELECT r.at, r.status, r.latency_seconds, r.message, r.metrics, " + _COLUMNS + " "
    "FROM check_results r LEFT JOIN container_metrics m ON m.check_id = r.check_id "
    "AND m.timestamp = r.at AND m.timestamp >= $2 AND m.timestamp < $3 AND m.check_id = $1 "
    "WHERE r.check_id = $1 AND r.at >= $2 AND r.at < $3 ORDER BY r.at {order} LIMIT $4"
)
"""Raw results of a check between two moments."""


async def check_number(connection: Connection, target: str, check: str | None) -> int | None:
    """The number of a check; without a name, of the container check of the target."""
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
) -> History:
    """The history of one check. ``kept``: since when each of the finer resolutions is there."""
    ladder = await climb(connection, since, until, points, kept)
    sums: dict[int, _Sum] = {}
    for piece in ladder.pieces:
        read_piece = _raw if piece.resolution == "raw" else _rolled
        for at, counts, metrics in await read_piece(connection, number, piece):
            sums.setdefault(ladder.point_of(at), _Sum()).add(counts, metrics)
    return History(
        resolution=ladder.resolution,
        step=ladder.step,
        points=tuple(sums[n].point(ladder.start_of(n)) for n in sorted(sums)),
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
    """Raw results of one check between two moments, newest first unless told otherwise."""
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
