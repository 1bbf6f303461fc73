"""Alerts: open ones from memory, past ones from history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from heapq import nlargest
from typing import Annotated
from uuid import UUID

import msgspec
from attrs import frozen

from tocsin.core.alerts.model import Alert
from tocsin.core.contracts.history import HistoryUnavailable
from tocsin.core.contracts.history_records import AlertFilter, AlertRecord
from tocsin.core.contracts.route import Role, Routes
from tocsin.core.contracts.rule import Severity
from tocsin.core.hiding import clean
from tocsin.core.history.records import cleaned
from tocsin.core.http.alert_views import (
    AlertDetail,
    AlertPage,
    AlertView,
    alert_view,
    stored_alert_view,
)
from tocsin.core.http.history import Moment
from tocsin.core.http.ledger import ledger_of
from tocsin.core.http.paging import IdCursor, Limit, Name
from tocsin.core.http.problems import Problem, not_found
from tocsin.core.http.routing import Call
from tocsin.core.ids import time_of
from tocsin.core.monitor.events import Acknowledged

routes = Routes()


States = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(firing|acknowledged|suppressed|resolved)"
        r"(,(firing|acknowledged|suppressed|resolved)){0,3}$",
        description="Any of firing, acknowledged, suppressed and resolved, comma-separated.",
    ),
]


@frozen(kw_only=True)
class AlertQuery:
    """Filters are combined with AND. ``type`` is the name of the rule; times are RFC 3339."""

    limit: Limit = 100
    cursor: IdCursor | None = None
    target: Name | None = None
    type: Name | None = None
    severity: Severity | None = None
    state: States | None = None
    since: Moment | None = None
    until: Moment | None = None

    @property
    def states(self) -> tuple[str, ...]:
        """Return the states asked for; empty means any state."""
        return tuple(self.state.strip().split(",")) if self.state else ()


@frozen(kw_only=True)
class AckBody:
    """An optional comment on the acknowledgement."""

    comment: Annotated[str, msgspec.Meta(max_length=500)] = ""


async def _find(call: Call, alert_id: UUID) -> AlertRecord | None:
    """Return an alert from history; None if there is none. Raises HistoryUnavailable."""
    found = await call.monitor.history.ask(
        lambda history: history.alert(alert_id), AlertRecord | None
    )
    return None if found is None else cleaned(found)


_Place = tuple[datetime, UUID]
"""Sort key of an alert in a list: when it fired, then its id."""


def _place(alert: Alert) -> _Place:
    return alert.fired_at or alert.since_at, alert.id


async def _before(call: Call, known: Mapping[UUID, Alert], cursor: UUID | None) -> _Place | None:
    """Return the sort key of the cursor's alert, which was the last one on the previous page."""
    if cursor is None:
        return None
    if cursor in known:
        return _place(known[cursor])
    with suppress(HistoryUnavailable):
        if (found := await _find(call, cursor)) is not None:
            return found.created_at, cursor
    # History has expired: fall back on the time in the id.
    return time_of(cursor), cursor


def _of(alert: Alert, query: AlertQuery, before: _Place | None) -> bool:
    """Return whether the properties of an alert that never change match the query."""
    return (
        (query.target is None or alert.target == query.target)
        and (query.type is None or alert.rule == query.type)
        and (before is None or _place(alert) < before)
    )


def _matches(alert: Alert, query: AlertQuery, before: _Place | None) -> bool:
    created = alert.fired_at or alert.since_at
    return (
        _of(alert, query, before)
        and (query.severity is None or alert.severity is query.severity)
        and (not query.states or alert.state in query.states)
        and (query.since is None or created >= query.since)
        and (query.until is None or created < query.until)
    )


@routes.get("/api/v1/alerts")
async def list_alerts(call: Call, query: AlertQuery) -> AlertPage:
    """List alerts, newest first.

    While the database is unavailable, the list holds only the alerts that are in memory.
    """
    alerting = call.monitor.alerting
    # Take open alerts from the engine: they are the most recent version, and one that has been
    # firing for long may no longer be among the recent alerts.
    current = {alert.id: alert for alert in alerting.engine.alerts.values()}
    known = {id_: current.get(id_, alert) for id_, alert in alerting.monitor.recent.alerts.items()}
    known |= {alert.id: alert for alert in alerting.active()}
    before = await _before(call, known, query.cursor)
    matching = [alert for alert in known.values() if _matches(alert, query, before)]
    newest = nlargest(query.limit + 1, matching, key=_place)
    stored: list[AlertRecord] = []
    if not query.states or "resolved" in query.states:
        # The stored row of an alert that changed since may still match; the version in memory
        # decides.
        fitting = {alert.id for alert in matching}
        wanted = AlertFilter(
            active=False if query.states else None,  # open alerts are all in memory
            target=query.target,
            rule=query.type,
            severity=None if query.severity is None else query.severity.value,
            since=query.since,
            until=query.until,
            before=before,
            without={n for n, a in known.items() if n not in fitting and _of(a, query, before)},
            limit=query.limit + 1,
        )
        with suppress(HistoryUnavailable):
            stored = await call.monitor.history.records(
                lambda history: history.alerts(wanted), AlertRecord
            )
    found = _merge(
        (stored_alert_view(record) for record in stored), {a.id: alert_view(a) for a in newest}
    )
    items = found[: query.limit]
    return AlertPage(items=items, next=items[-1].id if len(found) > query.limit else None)


def _merge(stored: Iterable[AlertView], known: Mapping[UUID, AlertView]) -> list[AlertView]:
    """Merge both lists, newest first. An alert in memory replaces its stored copy."""
    both = {view.id: view for view in stored} | dict(known)
    return sorted(both.values(), key=lambda view: (view.created_at, view.id), reverse=True)


@routes.get("/api/v1/alerts/active")
async def list_active(call: Call, query: AlertQuery) -> AlertPage:
    """List the open alerts, newest first.

    This works without the database.
    """
    active = {alert.id: alert for alert in call.monitor.alerting.active()}
    before = await _before(call, active, query.cursor)
    matching = sorted(
        (a for a in active.values() if _matches(a, query, before)), key=_place, reverse=True
    )
    items = [alert_view(alert) for alert in matching[: query.limit]]
    return AlertPage(items=items, next=items[-1].id if len(matching) > query.limit else None)


@routes.get("/api/v1/alerts/{id}", errors=(404, 503))
async def get_alert(call: Call) -> AlertDetail:
    """Return one alert, and for each channel why it was notified or not."""
    identity = alert_id(call)
    alerting = call.monitor.alerting
    alert = alerting.engine.table.find(identity) or alerting.monitor.recent.alerts.get(identity)
    if alert is not None:
        view = alert_view(alert)
    else:
        try:
            record = await _find(call, identity)
        except HistoryUnavailable as error:
            raise Problem(503, str(error)) from error
        if record is None:
            raise not_found("alert", str(identity))
        view = stored_alert_view(record)
    return AlertDetail(
        alert=view,
        affected=alerting.engine.inhibition.affected(view.container_name or ""),
        ledger=list(reversed(await ledger_of(call, identity))),
    )


def alert_id(call: Call) -> UUID:
    """Return the alert's id from the path.

    Raises:
        Problem: 404, the text is not a UUID.
    """
    try:
        return UUID(call.path["id"])
    except ValueError:
        raise Problem(
            404, f"{call.path['id'][:60]!r} is not the id of an alert; 'tocsin alerts' lists them"
        ) from None


@routes.post("/api/v1/alerts/{id}/acknowledge", role=Role.OPERATOR, errors=(404, 409))
async def acknowledge(call: Call, body: AckBody) -> AlertView:
    """Acknowledge a firing alert.

    Repeats and escalation stop; the recovery is still notified.
    """
    identity, comment = alert_id(call), body.comment
    entry = call.entry("acknowledge", str(identity), comment=comment)
    alert = await _submit(call, Acknowledged(identity, call.actor, clean(comment), entry))
    return alert_view(alert)


@routes.post("/api/v1/alerts/{id}/unacknowledge", role=Role.OPERATOR, errors=(404, 409))
async def unacknowledge(call: Call) -> AlertView:
    """Withdraw an acknowledgement, so that repeats and escalation resume."""
    identity = alert_id(call)
    entry = call.entry("unacknowledge", str(identity))
    alert = await _submit(call, Acknowledged(identity, None, audit=entry))
    return alert_view(alert)


async def _submit(call: Call, event: Acknowledged) -> Alert:
    """Apply a person's action to an alert and return the alert as it is then.

    Raises:
        Problem: 404, no such open alert; 409, the action was refused.
    """
    outcome = await call.monitor.alerting.executor.submit(event)
    if outcome.is_missing:
        raise not_found("open alert", str(event.alert))
    if outcome.alert is None:
        raise Problem(409, outcome.refused)
    return outcome.alert
