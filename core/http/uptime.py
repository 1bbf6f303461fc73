"""Uptime of several targets over the same time range."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from attrs import frozen

from tocsin.core.contracts.history_series import Counts, Uptimes
from tocsin.core.contracts.route import Routes
from tocsin.core.http.history import SpanQuery, span, unavailable
from tocsin.core.http.paging import Limit, NameCursor, page
from tocsin.core.http.routing import Call

routes = Routes()


@frozen(kw_only=True)
class UptimeQuery(SpanQuery):
    """Filters are ``kind`` and ``q``, a part of the name. A target has about ``points`` points."""

    points: Annotated[int, msgspec.Meta(ge=1, le=200)] = 48
    kind: str | None = None
    q: str | None = None
    limit: Limit = 100
    cursor: NameCursor | None = None


@frozen(kw_only=True)
class TargetUptime:
    """The uptime of one target.

    ``available`` is the share of the known time in which no check was down, 0 to 1, or null if
    nothing is known. ``counts`` holds for each point the number of up, degraded, down and unknown
    results.
    """

    target: str
    kind: str
    available: float | None
    counts: list[Counts]


@frozen(kw_only=True)
class UptimePage:
    """A page of targets, sorted by name.

    Each point covers ``step`` seconds; the first one starts at ``since``.
    """

    since: datetime
    until: datetime
    resolution: str
    step: float
    items: list[TargetUptime]
    total: int
    next: str | None


@routes.get("/api/v1/uptime", errors=(503,))
async def uptime(call: Call, query: UptimeQuery) -> UptimePage:
    """Show the uptime of targets, by default over the last 24 hours.

    Each point shows the worst check of the target: the one with the largest share of down results,
    then of degraded, then of unknown ones. ``available`` is a share of time and does not depend on
    ``points``.
    """
    wanted = None if query.q is None else query.q.lower()
    chosen = [
        state
        for state in call.monitor.state
        if (query.kind is None or state.target.kind == query.kind)
        and (wanted is None or wanted in state.target.name.lower())
    ]
    states, after = page(chosen, lambda s: s.target.name, query.limit, query.cursor)
    since, until = span(call, query)
    checks = [(s.target.name, c.name, c.interval) for s in states for c in s.checks.values()]
    names = [(target, check) for target, check, _ in checks]
    past = call.monitor.history
    with unavailable():
        found = await past.ask(lambda h: h.uptimes(names, since, until, query.points), Uptimes)
        shares = await past.ask(lambda h: h.availability(checks, since, until), Mapping)
    items = []
    for state in states:
        counts = found.counts.get(state.target.name, [])
        items.append(
            TargetUptime(
                target=state.target.name,
                kind=state.target.kind,
                available=shares.get(state.target.name),
                counts=counts,
            )
        )
    return UptimePage(
        since=found.since, until=until, resolution=found.resolution, step=found.step,
        items=items, total=len(chosen), next=after,
    )  # fmt: skip
