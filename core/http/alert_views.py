"""Alerts as the API shows them: from memory and from history."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import frozen

from tocsin.core.alerts.model import Alert, Cause, Suppression
from tocsin.core.contracts.history_records import AlertRecord
from tocsin.core.http.ledger import NotificationView


@frozen(kw_only=True)
class AlertView:
    """An alert. ``state`` is firing, acknowledged, suppressed, pending or resolved.

    ``suppressed_by`` explains why notifications are suppressed, and ``explained_by`` names the
    target whose alert inhibits this one. ``flaps`` counts how often the alert fired again after it
    was resolved. ``heard`` lists the channels that were notified that it fires.
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
    """A page of alerts, newest first."""

    items: list[AlertView]
    next: UUID | None


@frozen(kw_only=True)
class AlertDetail:
    """An alert with its ledger: every decision to notify a channel or not, oldest first.

    ``affected`` lists the targets whose alerts this target inhibits.
    """

    alert: AlertView
    affected: tuple[str, ...]
    ledger: list[NotificationView]


def alert_view(alert: Alert) -> AlertView:
    """Return the API's view of an alert that is in memory."""
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
        notification_sent=alert.ever_notified,
        flaps=alert.flaps,
        escalated=alert.escalated,
        suppressed_by=None if why is None else why.message,
        explained_by=None if why is None or not _is_another(alert, why) else why.by,
        heard=tuple(sorted(alert.notified_channels)),
    )


def stored_alert_view(record: AlertRecord) -> AlertView:
    """Return the API's view of an alert in history."""
    state = "acknowledged" if record.acknowledged_by is not None else "firing"
    return AlertView(
        id=record.id,
        alert_type=record.rule,
        severity=record.severity,
        container_name=record.target,
        message=record.message,
        state="resolved" if record.resolved_at is not None else state,
        details=record.details,
        created_at=record.created_at,
        acknowledged_at=record.acknowledged_at,
        acknowledged_by=record.acknowledged_by,
        resolved_at=record.resolved_at,
        downtime_seconds=record.downtime,
        notification_sent=record.notified,
        flaps=record.flaps,
        escalated=False,
        suppressed_by=None,
        explained_by=None,
        heard=(),
    )


def _is_another(alert: Alert, why: Suppression) -> bool:
    """Return whether the suppression comes from another target, not from the alert's own target."""
    return why.cause in (Cause.INHIBITED, Cause.HELD) and why.by != alert.target
