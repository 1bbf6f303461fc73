"""What a history answers about courses of time: charts, uptimes and trends; immutable data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

from attrs import frozen


@frozen(kw_only=True)
class Range:
    """Minimum, average and maximum of a metric in one point.

    Attributes:
        min: minimum.
        avg: average.
        max: maximum.
    """

    min: float
    avg: float
    max: float


@frozen(kw_only=True)
class Point:
    """One point of a chart: the number of results by status, and the range of each metric.

    Attributes:
        at: start of the point.
        up: number of results that were up.
        degraded: the same, degraded.
        down: the same, down.
        unknown: the same, unknown.
        metrics: the range of each metric, by name.
    """

    at: datetime
    up: int
    degraded: int
    down: int
    unknown: int
    metrics: Mapping[str, Range]


@frozen(kw_only=True)
class Chart:
    """The points of a chart. Times without results have no point.

    Attributes:
        resolution: of what the points are made: ``raw`` for results, or the length of the roll-ups.
        step: seconds from one point to the next.
        points: the points, in order of time.
    """

    resolution: str
    step: float
    points: tuple[Point, ...]


Counts: TypeAlias = list[int]
"""Numbers of up, degraded, down and unknown results."""


@frozen(kw_only=True)
class Uptimes:
    """Numbers of results of several targets. Targets without results are left out.

    Attributes:
        resolution: as of :class:`Chart`.
        since: start of the first point.
        step: seconds from one point to the next.
        counts: the numbers for each point, by target; all zero where there are no results.
    """

    resolution: str
    since: datetime
    step: float
    counts: Mapping[str, list[Counts]]


@frozen(kw_only=True)
class TrendPoint:
    """Average and maximum of a metric in one point.

    Attributes:
        at: start of the point.
        avg: average.
        max: maximum.
    """

    at: datetime
    avg: float
    max: float


@frozen(kw_only=True)
class Trend:
    """A metric of one target: over the whole time range, and by point.

    Attributes:
        target: name of the target.
        avg: average over the time range.
        max: maximum over the time range.
        points: the points, in order of time.
    """

    target: str
    avg: float
    max: float
    points: list[TrendPoint]


@frozen(kw_only=True)
class Trends:
    """The targets with the highest averages of a metric.

    Attributes:
        resolution: as of :class:`Chart`.
        step: seconds from one point to the next.
        items: the targets, highest average first.
    """

    resolution: str
    step: float
    items: list[Trend]
