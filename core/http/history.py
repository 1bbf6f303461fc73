"""Time ranges of the resources of history, and the answer while that is unavailable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from attrs import frozen

from tocsin.core.contracts.history import HistoryUnavailable
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call

Moment = Annotated[datetime, msgspec.Meta(tz=True, description="RFC 3339, with its offset.")]
Hours = Annotated[float, msgspec.Meta(gt=0, le=24 * 366 * 100)]
EARLIEST = datetime(2000, 1, 2, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Bounds of the time ranges; there is no history outside of them."""


@frozen(kw_only=True)
class SpanQuery:
    """The time range is from ``since``, or the last ``hours``, until ``until`` or now."""

    hours: Hours = 24.0
    since: Moment | None = None
    until: Moment | None = None


@frozen(kw_only=True)
class RangeQuery(SpanQuery):
    """The chart has about ``points`` points.

    The time range is from ``since``, or the last ``hours``, until ``until`` or now.
    """

    points: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 300


@frozen(kw_only=True)
class SampleQuery(SpanQuery):
    """At most ``limit`` results are returned.

    The time range is from ``since``, or the last ``hours``, until ``until`` or now.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


def span(call: Call, query: SpanQuery) -> tuple[datetime, datetime]:
    """Return the start and end of a time range, both within :data:`EARLIEST` and :data:`LATEST`.

    A range that ends before it starts is reduced to its last millisecond, which holds nothing.
    """
    until = _within(query.until or call.monitor.clock.now())
    since = query.since or until - timedelta(hours=query.hours)
    return min(_within(since), until - timedelta(milliseconds=1)), until


def _within(at: datetime) -> datetime:
    try:
        return min(max(at.astimezone(UTC), EARLIEST), LATEST)
    except OverflowError:
        return EARLIEST if at.year < EARLIEST.year else LATEST


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn HistoryUnavailable into a 503 problem."""
    try:
        yield
    except HistoryUnavailable as error:
        raise Problem(503, str(error), headers={"Retry-After": "10"}) from error
