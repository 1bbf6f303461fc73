"""Which resolutions, and so which tables, the parts of a chart are read from.

The coarsest resolution that gives enough points is read as far as it is complete; finer ones and
finally raw data provide the rest up to now.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from attrs import frozen

from tocsin.plugins.history.connection import Connection
from tocsin.plugins.history.rollup import STEPS, done_until, floor


@frozen
class Piece:
    """A time range and the resolution it is read from (``raw``: the results themselves)."""

    resolution: str
    since: datetime
    until: datetime


@frozen(kw_only=True)
class ResolutionPlan:
    """The pieces of a chart, oldest first, and its grid.

    A point begins at ``origin`` plus a whole number of ``step`` seconds.
    """

    resolution: str
    origin: datetime
    step: float
    pieces: tuple[Piece, ...]

    def point_of(self, at: datetime) -> int:
        """Return the number of the point that a time belongs to."""
        return (at - self.origin) // timedelta(seconds=self.step)

    def start_of(self, point: int) -> datetime:
        """Return the time at which a point begins."""
        return self.origin + point * timedelta(seconds=self.step)


def resolution_for(
    since: datetime, until: datetime, points: int, kept: Mapping[str, datetime] | None = None
) -> str:
    """Return the coarsest resolution that gives at least half as many points as were asked for.

    Args:
        since: start of the time range.
        until: end of the time range.
        points: about how many points to return.
        kept: for each of the finer resolutions, the time since when it is kept; one that no longer
            reaches back to ``since`` is not taken.
    """
    step = (until - since).total_seconds() / max(1, points)
    finest_first = ["raw", *STEPS]
    fitting = [name for name, size in STEPS.items() if size.total_seconds() <= 2 * step]
    resolution = fitting[-1] if fitting else "raw"
    while kept and resolution in kept and since < kept[resolution]:
        resolution = finest_first[finest_first.index(resolution) + 1]
    return resolution


async def plan_resolutions(
    connection: Connection,
    since: datetime,
    until: datetime,
    points: int,
    kept: Mapping[str, datetime],
) -> ResolutionPlan:
    """Plan a chart of about ``points`` points.

    Args:
        connection: a connection to the database.
        since: start of the time range.
        until: end of the time range.
        points: about how many points the chart should have.
        kept: for each of the finer resolutions, the time since when it is kept.
    """
    resolution = resolution_for(since, until, points, kept)
    step = (until - since).total_seconds() / max(1, points)
    cursor = origin = since
    pieces = []
    if resolution != "raw":
        size = STEPS[resolution].total_seconds()
        # A whole multiple of the resolution.
        step = max(1, -(-step // size)) * size
        cursor = floor(since, STEPS[resolution])
        # Points lie on a fixed grid, so that a chart does not change as time passes.
        origin = floor(since, timedelta(seconds=step))
        done = await done_until(connection)
        for name in ("1d", "1h", "1m"):
            end = min(until, done.get(name, cursor))
            if STEPS[name].total_seconds() <= size and end > cursor:
                pieces.append(Piece(name, cursor, end))
                cursor = end
    if cursor < until:
        pieces.append(Piece("raw", cursor, until))
    return ResolutionPlan(resolution=resolution, origin=origin, step=step, pieces=tuple(pieces))
