"""Alerts: those that fire, by what tocsin knows now, and those of the past, by history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from heapq import nlargest
from typing import Annotated, Any
from uuid import UUID

import msgspec
from attrs import frozen

from tocsin.core.alerts.model import Alert, Cause, Suppression
from tocsin.core.auth import Role
from tocsin.core.contracts.rule import Severity
from tocsin.core.hiding import clean
from tocsin.core.http.history import Moment
from tocsin.core.http.ledger import NotificationView, ledger_of
from tocsin.core.http.paging import IdCursor, Limit, Name
from tocsin.core.http.problems import Problem, not_found
from tocsin.core.http.routing import Call, Routes
from tocsin.core.ids import time_of
from tocsin.core.monitor.events import Acknowledged
from tocsin.core.store import StoreUnavailable
from tocsin.core.store.alerts import AlertFilter

routes = Routes()


@frozen(kw_only=True)
class AlertView:
    """An alert. ``state`` is firing, acknowledged, suppressed, pending or resolved.

    ``suppressed_by`` says what keeps it from being told, and ``explained_by`` names the target that
    does; ``flaps`` how often it fired again; ``heard`` which channels were told that it fires.
    """

    id: UUID
    alert_type: str
    severity: str
    container_name: str | None
    message: str
    state: str
    details: Mapping[str, Any] | None
    created_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None
    downtime_seconds: float | None
    notification_sent: bool
    flaps: int
    escalated: bool
    suppressed_by: str | None
    explained_by: str | None
    heard: tuple[str, ...]


@frozen(kw_only=True)
class AlertPage:
    """Alerts, newest first."""

    items: list[AlertView]
    next: UUID | None


@frozen(kw_only=True)
class AlertDetail:
    """An alert and its ledger: each decision to tell, or not to tell, a channel; oldest first."""

    alert: AlertView
    affected: tuple[str, ...]
    ledger: list[NotificationView]


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
    """Which alerts; ``type`` is the rule's name. Times in RFC 3339."""

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
        """Those that are wanted; none: any."""
        return tuple(self.state.strip().split(",")) if self.state else ()


@frozen(kw_only=True)
class AckBody:
    """What the person has to say about it."""

    comment: Annotated[str, msgspec.Meta(max_length=500)] = ""


def alert_view(alert: Alert) -> AlertView:
    """The view of an alert that tocsin has in memory."""
    why = alert.suppression
    return AlertView(
        id=alert.id,
        alert_type=alert.rule,
        severity=alert.severity.value,
        container_name=alert.target,
        message=alert.message,
        state=alert.state,
        details=alert.details,
        created_at=alert.fired_at or alert.since_at,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by,
        resolved_at=alert.resolved_at,
        downtime_seconds=alert.downtime,
        notification_sent=alert.ever_told,
        flaps=alert.flaps,
        escalated=alert.escalated,
        suppressed_by=None if why is None else why.message,
        explained_by=None if why is None or not _is_another(alert, why) else why.by,
        heard=tuple(sorted(alert.heard)),
    )


def _stored(row: Mapping[str, Any]) -> AlertView:
    details = dict(row["details"] or {})
    acknowledged = row["acknowledged_by"] is not None
    state = "acknowledged" if acknowledged else "firing"
    return AlertView(
        state="resolved" if row["resolved_at"] is not None else state,
        downtime_seconds=details.pop("downtime_seconds", None),
        details={k: v for k, v in details.items() if k != "flaps"},
        escalated=False,
        suppressed_by=None,
        explained_by=None,
        heard=(),
        **{k: v for k, v in row.items() if k not in ("details", "revision")},
    )


def _is_another(alert: Alert, why: Suppression) -> bool:
    """Whether another target explains an alert, and not another alert of its own."""
    return why.cause in (Cause.INHIBITED, Cause.HELD) and why.by != alert.target


_Place = tuple[datetime, UUID]
"""Where an alert stands in a list: when it fired, and its id."""


def _place(alert: Alert) -> _Place:
    return alert.fired_at or alert.since_at, alert.id


async def _before(call: Call, known: Mapping[UUID, Alert], cursor: UUID | None) -> _Place | None:
    """Where the list goes on behind the alert that was the last on a page."""
    if cursor is None:
        return None
    if cursor in known:
        return _place(known[cursor])
    with suppress(StoreUnavailable):
        if (row := await call.monitor.store.alerts.one(cursor)) is not None:
            return row["created_at"], cursor
    return time_of(cursor), cursor  # it is kept no more


def _of(alert: Alert, query: AlertQuery, before: _Place | None) -> bool:
    """Whether what an alert is for good fits."""
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
    """List alerts, those that fired last first; while the database is away, those that are
    remembered."""
    alerting = call.monitor.alerting
    # As they are now, their words included; what fires may be older than all that is remembered.
    current = {alert.id: alert for alert in alerting.engine.alerts.values()}
    known = {id_: current.get(id_, alert) for id_, alert in alerting.monitor.recent.alerts.items()}
    known |= {alert.id: alert for alert in alerting.active()}
    before = await _before(call, known, query.cursor)
    matching = [alert for alert in known.values() if _matches(alert, query, before)]
    newest = nlargest(query.limit + 1, matching, key=_place)
    rows: list[dict[str, Any]] = []
    if not query.states or "resolved" in query.states:
        # What has changed so that it does not fit any more may still fit in history.
        fitting = {alert.id for alert in matching}
        with suppress(StoreUnavailable):
            rows = await call.monitor.store.alerts.page(
                AlertFilter(
                    active=False if query.states else None,  # the others are all known
                    target=query.target,
                    rule=query.type,
                    severity=None if query.severity is None else query.severity.value,
                    since=query.since,
                    until=query.until,
                    before=before,
                    without={
                        n for n, a in known.items() if n not in fitting and _of(a, query, before)
                    },
                    limit=query.limit + 1,
                )
            )
    found = _merge((_stored(row) for row in rows), {a.id: alert_view(a) for a in newest})
    items = found[: query.limit]
    return AlertPage(items=items, next=items[-1].id if len(found) > query.limit else None)


def _merge(stored: Iterable[AlertView], known: Mapping[UUID, AlertView]) -> list[AlertView]:
    """Both, those that fired last first; what is in memory is newer than its copy."""
    both = {view.id: view for view in stored} | dict(known)
    return sorted(both.values(), key=lambda view: (view.created_at, view.id), reverse=True)


@routes.get("/api/v1/alerts/active")
async def list_active(call: Call, query: AlertQuery) -> AlertPage:
    """List the alerts that fire now, the last first; this needs no database."""
    active = {alert.id: alert for alert in call.monitor.alerting.active()}
    before = await _before(call, active, query.cursor)
    matching = sorted(
        (a for a in active.values() if _matches(a, query, before)), key=_place, reverse=True
    )
    items = [alert_view(alert) for alert in matching[: query.limit]]
    return AlertPage(items=items, next=items[-1].id if len(matching) > query.limit else None)


@routes.get("/api/v1/alerts/{id}", errors=(404, 503))
async def get_alert(call: Call) -> AlertDetail:
    """Show one alert and why it was, or was not, told to each channel."""
    identity = alert_id(call)
    alerting = call.monitor.alerting
    alert = alerting.engine.table.find(identity) or alerting.monitor.recent.alerts.get(identity)
    if alert is not None:
        view = alert_view(alert)
    else:
        try:
            row = await call.monitor.store.alerts.one(identity)
        except StoreUnavailable as error:
            raise Problem(503, str(error)) from error
        if row is None:
            raise not_found("alert", str(identity))
        view = _stored(row)
    return AlertDetail(
        alert=view,
        affected=alerting.engine.inhibition.affected(view.container_name or ""),
        ledger=list(reversed(await ledger_of(call, identity))),
    )


def alert_id(call: Call) -> UUID:
    """The id in the path. Raises Problem where it is none."""
    try:
        return UUID(call.path["id"])
    except ValueError:
        raise Problem(
            404, f"{call.path['id'][:60]!r} is no id of an alert; 'tocsin alerts' lists them"
        ) from None


@routes.post("/api/v1/alerts/{id}/acknowledge", role=Role.OPERATOR, errors=(404, 409))
async def acknowledge(call: Call, body: AckBody) -> AlertView:
    """Acknowledge a firing alert: repeats and escalation stop, the recovery is still told."""
    identity, comment = alert_id(call), body.comment
    entry = call.entry("acknowledge", str(identity), comment=comment)
    alert = await _submit(call, Acknowledged(identity, call.actor, clean(comment), entry))
    return alert_view(alert)


@routes.post("/api/v1/alerts/{id}/unacknowledge", role=Role.OPERATOR, errors=(404, 409))
async def unacknowledge(call: Call) -> AlertView:
    """Take an acknowledgement back: repeats go on."""
    identity = alert_id(call)
    entry = call.entry("unacknowledge", str(identity))
    alert = await _submit(call, Acknowledged(identity, None, audit=entry))
    return alert_view(alert)


async def _submit(call: Call, event: Acknowledged) -> Alert:
    """What a person does to an alert; the alert after that."""
    outcome = await call.monitor.alerting.executor.submit(event)
    if outcome.is_missing:
        raise not_found("open alert", str(event.alert))
    if outcome.alert is None:
        raise Problem(409, outcome.refused)
    return outcome.alert
