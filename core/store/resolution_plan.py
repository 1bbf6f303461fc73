"""Which resolution a chart is read from, and from which tables its parts come.

The coarsest resolution that fills the chart gives all it has; finer ones, and raw data at last,
give the rest up to now.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from attrs import frozen

from tocsin.core.store.connection import Connection
from tocsin.core.store.rollup import STEPS, done_until, floor


@frozen
class Piece:
    """A stretch of time and the resolution it is read from (``raw``: the results themselves)."""

    resolution: str
    since: datetime
    until: datetime


@frozen(kw_only=True)
class Ladder:
    """The pieces of a chart, oldest first, and its grid: points begin at ``origin`` plus whole
    ``step`` seconds."""

    resolution: str
    origin: datetime
    step: float
    pieces: tuple[Piece, ...]

    def point_of(self, at: datetime) -> int:
        """The number of the point that holds a moment."""
        return (at - self.origin) // timedelta(seconds=self.step)

    def start_of(self, point: int) -> datetime:
        """When a point begins."""
        return self.origin + point * timedelta(seconds=self.step)


def resolution_for(
    since: datetime, until: datetime, points: int, kept: Mapping[str, datetime] | None = None
) -> str:
    """The coarsest resolution that still gives at least half as many points as were asked for;
    a coarser one where ``kept`` says that what begins at ``since`` is gone by now."""
    step = (until - since).total_seconds() / max(1, points)
    finest_first = ["raw", *STEPS]
    fitting = [name for name, size in STEPS.items() if size.total_seconds() <= 2 * step]
    resolution = fitting[-1] if fitting else "raw"
    while kept and resolution in kept and since < kept[resolution]:
        resolution = finest_first[finest_first.index(resolution) + 1]
    return resolution


async def climb(
    connection: Connection,
    since: datetime,
    until: datetime,
    points: int,
    kept: Mapping[str, datetime],
) -> Ladder:
    """The ladder of a chart of about ``points`` points. ``kept``: since when each of the finer
    resolutions is there."""
    resolution = resolution_for(since, until, points, kept)
    step = (until - since).total_seconds() / max(1, points)
    cursor = origin = since
    pieces = []
    if resolution != "raw":
        size = STEPS[resolution].total_seconds()
        step = max(1, -(-step // size)) * size  # whole steps of the resolution
        cursor = floor(since, STEPS[resolution])
        # Points stand on a grid of their own, so that a chart does not change as time goes on.
        origin = floor(since, timedelta(seconds=step))
        done = await done_until(connection)
        for name in ("1d", "1h", "1m"):
            end = min(until, done.get(name, cursor))
            if STEPS[name].total_seconds() <= size and end > cursor:
                pieces.append(Piece(name, cursor, end))
                cursor = end
    if cursor < until:
        pieces.append(Piece("raw", cursor, until))
    return Ladder(resolution=resolution, origin=origin, step=step, pieces=tuple(pieces))
