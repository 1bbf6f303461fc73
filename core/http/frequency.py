"""Alert frequency: counts by type, by hour of the day and by day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

import msgspec
from attrs import frozen

from tocsin.core.contracts.route import Routes
from tocsin.core.http.history import SpanQuery, span, unavailable
from tocsin.core.http.problems import Problem
from tocsin.core.http.routing import Call
from tocsin.core.units import time_zone

routes = Routes()

_ZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"


@frozen(kw_only=True)
class FrequencyQuery(SpanQuery):
    """Hours and days are those of ``timezone``, an IANA name, or of the configured time zone."""

    timezone: Annotated[str, msgspec.Meta(pattern=_ZONE, max_length=100)] | None = None


@frozen(kw_only=True)
class TypeCount:
    """The number of alerts of one type and severity."""

    alert_type: str
    severity: str
    count: int


@frozen(kw_only=True)
class DayCount:
    """The number of alerts that began on one day."""

    day: date
    count: int


@frozen(kw_only=True)
class FrequencyView:
    """How many alerts began in a time range.

    ``by_type`` has the most frequent type first. ``by_hour`` has one count for each hour of the
    day, 0 to 23. ``by_day`` leaves out days without alerts. Hours and days are those of
    ``timezone``.
    """

    since: datetime
    until: datetime
    by_type: list[TypeCount]
    by_hour: list[int]
    by_day: list[DayCount]
    timezone: str


@routes.get("/api/v1/alerts/frequency", errors=(404, 503))
async def frequency(call: Call, query: FrequencyQuery) -> FrequencyView:
    """Count alerts by type, by hour of the day and by day, by default over the last 24 hours."""
    since, until = span(call, query)
    name = call.monitor.settings.timezone if query.timezone is None else query.timezone
    try:
        zone = time_zone(name)
    except ValueError as error:
        said = f"there is no time zone {name!r}; give a name such as 'Europe/Berlin', or 'UTC'"
        raise Problem(404, said) from error
    with unavailable():
        counts = await call.monitor.history.ask(
            lambda history: history.alert_counts(since, until), Sequence
        )
    types: Counter[tuple[str, str]] = Counter()
    hours: Counter[int] = Counter()
    days: Counter[date] = Counter()
    for each in counts:
        local = each.at.astimezone(zone)
        types[each.rule, each.severity] += each.count
        hours[local.hour] += each.count
        days[local.date()] += each.count
    return FrequencyView(
        since=since,
        until=until,
        by_type=[
            TypeCount(alert_type=kind, severity=severity, count=count)
            for (kind, severity), count in sorted(types.items(), key=lambda i: (-i[1], i[0]))
        ],
        by_hour=[hours[hour] for hour in range(24)],
        by_day=[DayCount(day=day, count=days[day]) for day in sorted(days)],
        timezone=name,
    )
