"""What all charts share: the stretch of time asked for, and a database that is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from attrs import frozen

from tocsin.core.api.problems import Problem
from tocsin.core.api.routing import Call
from tocsin.core.store import StoreUnavailable

Moment = Annotated[datetime, msgspec.Meta(tz=True, description="RFC 3339, with its offset.")]
Hours = Annotated[float, msgspec.Meta(gt=0, le=24 * 366 * 5)]
LONGEST = timedelta(days=366 * 5)


@frozen(kw_only=True)
class SpanQuery:
    """A stretch of time: from ``since``, or the last ``hours``, until ``until`` or now."""

    hours: Hours = 24.0
    since: Moment | None = None
    until: Moment | None = None


@frozen(kw_only=True)
class RangeQuery(SpanQuery):
    """A chart of about ``points`` points."""

    points: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 300


@frozen(kw_only=True)
class SampleQuery(SpanQuery):
    """At most ``limit`` raw results."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


def span(call: Call, query: SpanQuery) -> tuple[datetime, datetime]:
    """The beginning and end of the stretch. Raises Problem."""
    try:
        until = query.until or call.monitor.clock.now()
        since = query.since or until - timedelta(hours=query.hours)
        if not timedelta(0) < until - since <= LONGEST:
            raise Problem(422, "since must lie before until, at most five years")
        if not 2000 <= since.year <= until.year <= 2200:
            raise Problem(422, "since and until must lie between the years 2000 and 2200")
    except OverflowError as error:
        raise Problem(422, "since and until must lie between the years 2000 and 2200") from error
    return since, until


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn a database that is away into a 503 problem."""
    try:
        yield
    except StoreUnavailable as error:
        raise Problem(503, str(error), headers={"Retry-After": "10"}) from error
