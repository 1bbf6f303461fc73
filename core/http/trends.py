"""Trends: the targets with the highest average of a metric, and its course."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from attrs import frozen

from tocsin.core.contracts.history_series import Trend, Trends
from tocsin.core.contracts.route import Routes
from tocsin.core.http.history import SpanQuery, span, unavailable
from tocsin.core.http.paging import Name
from tocsin.core.http.routing import Call

routes = Routes()


@frozen(kw_only=True)
class TrendsQuery(SpanQuery):
    """``top`` is the number of targets, ``points`` about how many points each of them has."""

    metric: Name = "cpu_percent"
    top: Annotated[int, msgspec.Meta(ge=1, le=50)] = 8
    points: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


@frozen(kw_only=True)
class TrendsView:
    """The targets with the highest averages, highest first; each point covers ``step`` seconds."""

    metric: str
    since: datetime
    until: datetime
    resolution: str
    step: float
    items: list[Trend]


@routes.get("/api/v1/trends", errors=(503,))
async def trends(call: Call, query: TrendsQuery) -> TrendsView:
    """Chart a metric of the targets with its highest averages."""
    since, until = span(call, query)
    checks = [(s.target.name, check) for s in call.monitor.state for check in s.checks]
    with unavailable():
        found = await call.monitor.history.ask(
            lambda history: history.trends(
                checks, query.metric, since, until, top=query.top, points=query.points
            ),
            Trends,
        )
    return TrendsView(
        metric=query.metric, since=since, until=until, resolution=found.resolution,
        step=found.step, items=found.items,
    )  # fmt: skip
